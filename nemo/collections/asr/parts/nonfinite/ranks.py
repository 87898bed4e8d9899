# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""What is not finite, on which ranks: one all-reduce of a few numbers, one wait for the device."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor

from nemo.utils.ranks import from_all_ranks, has_ranks, largest_of_all_ranks

MOST_NAMES = 32  # of a batch, in a message


@dataclass(frozen=True)
class Batch:
    """What is remembered of a batch until its step is over."""

    index: int
    utterances: list[str] | None
    loader: int = 0

    def __str__(self) -> str:
        text = f"batch {self.index}" + (f" of data loader {self.loader}" if self.loader else "")
        if self.utterances is None:
            return f"{text} (its data does not say of which utterances)"
        left_out = len(self.utterances) - MOST_NAMES
        names = ", ".join(self.utterances[:MOST_NAMES]) + (f" and {left_out} more" if left_out > 0 else "")
        return f"{text} ({names})"


@dataclass(frozen=True)
class Findings:
    """What was not finite; the same on all ranks but for `own`.

    Args:
        ranks: those with a loss that is not finite
        gradients: whether the gradients, of all ranks together, are not
        own: flags of this rank's losses
    """

    ranks: tuple[int, ...]
    gradients: bool
    own: tuple[bool, ...]


def find(losses: Sequence[Tensor], gradients: Sequence[Tensor], device: torch.device) -> Findings | None:
    """
    Looks at losses and gradients of all ranks, each of which must call this. The host waits for the device once.

    Args:
        losses: scalars of this rank
        gradients: what the ranks share, or this rank's shards of it
    Returns:
        None if all are finite
    """
    # a sum of squares may be infinite where no gradient is: only then is it worth to look at each of them
    for order in (2.0, float("inf")):
        own, flags = flags_of(losses, gradients, device, order)
        *ranks, in_gradients = largest_of_all_ranks(flags).tolist()
        if any(ranks) or not in_gradients:
            break
    if not any(ranks) and not in_gradients:
        return None
    return Findings(tuple(i for i, flag in enumerate(ranks) if flag), bool(in_gradients), tuple(own.bool().tolist()))


def flags_of(
    losses: Sequence[Tensor], gradients: Sequence[Tensor], device: torch.device, order: float = 2.0
) -> tuple[Tensor, Tensor]:
    """
    This rank's part of what is looked at, on the device; nothing waits for it.

    Args:
        losses, gradients, device: see `find`
        order: of the norms that gradients are judged by; infinity is exact, 2 is many times faster on a CPU
    Returns:
        own: which of the losses are not finite
        flags: for each rank whether it has such a loss, 0 for other ranks than this one, and last the same for the
            gradients; (ranks + 1,), float32
    """
    rank, world = (dist.get_rank(), dist.get_world_size()) if has_ranks() else (0, 1)
    bad = [loss.detach().isfinite().all().logical_not() for loss in losses]
    own = torch.stack(bad) if bad else torch.zeros(0, device=device)
    place = torch.arange(world + 1, device=device)
    return own, (place == rank) * own.any().float() + (place == world) * _any_bad(gradients, device, order).float()


def describe(findings: Findings, batches: Sequence[Batch]) -> str:
    """Which batches of all ranks are meant, each of which must call this.

    Those with a bad loss. If all losses are finite, and only the gradients are not, it may be any: all of them.
    """
    pairs = zip(batches, findings.own)
    own = [str(batch) for batch, is_bad in pairs if is_bad or not findings.ranks]
    lines = [f"  rank {rank}: {text}" for rank, texts in enumerate(from_all_ranks(own)) for text in texts]
    what = "the loss is not finite" if findings.ranks else "the losses are finite, the gradients are not"
    return f"{what}:\n" + "\n".join(lines)


def _any_bad(gradients: Sequence[Tensor], device: torch.device, order: float) -> Tensor:
    local = [gradient.to_local() if hasattr(gradient, "to_local") else gradient for gradient in gradients]
    local = [gradient for gradient in local if gradient.numel()]  # a rank's shard may be empty
    if not local:
        return torch.zeros((), device=device)
    norms = torch._foreach_norm(local, order)
    return torch.stack([norm.to(device, torch.float32) for norm in norms]).isfinite().all().logical_not()
