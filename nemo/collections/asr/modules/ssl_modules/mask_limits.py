# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""What holds for every mask: no window is masked too full, no utterance is without a masked encoder step.

As in `block_sampling`, nothing loops over utterances or looks at a tensor's value where that would wait for a device.
"""

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from nemo.collections.asr.modules.ssl_modules.block_sampling import random_integers
from nemo.collections.asr.modules.ssl_modules.mask_windows import Windows
from nemo.utils.fast_paths import runs_eagerly

# What NeMo masks in an utterance that is too short for a block, when nothing says how long an encoder step is.
SHORT_BLOCK = 8


def where_needed(needed: Tensor, mask: Tensor, windows: Windows, change: Callable, *others: Tensor) -> Tensor:
    """
    `change(mask, windows, *others)` in the utterances that need it, (B, 1) booleans; the others keep their `mask`.

    On a CPU only those are computed, mostly none. Elsewhere all are: to ask which would wait for the device. While a
    graph is made (compiling, exporting, tracing), under `torch.func` and with fake tensors there is no value to ask
    for.
    """
    if mask.device.type != "cpu" or not runs_eagerly(mask):
        return torch.where(needed, change(mask, windows, *others), mask)
    rows = needed.squeeze(1).nonzero().squeeze(1)
    if len(rows) == 0:
        return mask
    changed = change(
        mask.index_select(0, rows), windows.of_utterances(rows), *(x.index_select(0, rows) for x in others)
    )
    return mask.index_copy(0, rows, changed)


def limit_share(mask: Tensor, windows: Windows, max_masked: Tensor) -> Tensor:
    """Masks at most `max_masked` frames of each window, (B, W); what is too much moves to windows with fewer, if any.

    In a window with too much, its first masked frames stay or its last ones, by a coin's toss: scattered frames would
    make no masked encoder step. In a window with fewer, frames at its head or tail are masked in addition, so that as
    many frames of the utterance are masked as were drawn.
    """
    too_many = (windows.num_masked(mask) > max_masked).any(dim=1, keepdim=True)
    return where_needed(too_many, mask, windows, _limit_share, max_masked)


def _limit_share(mask: Tensor, windows: Windows, max_masked: Tensor) -> Tensor:
    num_masked = windows.num_masked(mask)
    wanted, first, stop = (
        windows.of_frames(x) for x in (_share_out(num_masked, max_masked), windows.first, windows.stop)
    )
    frames = torch.arange(mask.size(1), device=mask.device)
    masked_before = F.pad(mask.cumsum(dim=1), (1, 0))
    masked_rank = masked_before.narrow(1, 0, mask.size(1)) - masked_before.gather(1, first)
    masked_in_window = windows.of_frames(num_masked)
    unmasked_rank = frames - first - masked_rank
    unmasked_in_window = stop - first - masked_in_window
    from_head = torch.rand((mask.size(0), 1), dtype=torch.float32, device=mask.device) < 0.5
    masked_rank = torch.where(from_head, masked_rank, masked_in_window - 1 - masked_rank)
    unmasked_rank = torch.where(from_head, unmasked_rank, unmasked_in_window - 1 - unmasked_rank)
    inside = (frames >= first) & (frames < stop)
    return inside & (torch.where(mask, masked_rank, masked_in_window + unmasked_rank) < wanted)


def _share_out(num_masked: Tensor, max_masked: Tensor) -> Tensor:
    """How many frames to mask in each window, (B, W), from how many are masked there and how many may be."""
    too_many = (num_masked - max_masked).clamp(min=0).sum(dim=1, keepdim=True)
    spare = (max_masked - num_masked).clamp(min=0)
    filled = (too_many.float() / spare.sum(dim=1, keepdim=True).clamp(min=1)).clamp(max=1)
    added = torch.floor(spare * filled + torch.rand_like(filled)).long()
    return torch.minimum(num_masked + added, max_masked)


def ensure_one_step(
    mask: Tensor, begin: Tensor, end: Tensor, windows: Windows, step: int, max_masked: Tensor
) -> Tensor:
    """Gives each utterance without a fully masked encoder step exactly one, at a random place.

    Without it a short utterance often has nothing masked, and a batch of them has no loss. The step wins over
    `max_masked`, (B, W), only where no window may have a whole step.

    Args:
        step: frames per encoder step, counted from frame 0 as the loss counts them; windows end with a step or with
            the utterance. 1 where it is not known, then a block of `SHORT_BLOCK` frames is masked, or of as many
            frames as may be.
    """
    whole_steps = mask
    if step > 1:
        steps = mask.size(1) // step
        in_step = mask.narrow(1, 0, steps * step).view(mask.size(0), steps, step)
        whole_steps = in_step.sum(dim=2, dtype=torch.int32) == step
    lacking = torch.logical_not(whole_steps.any(dim=1, keepdim=True))
    return where_needed(lacking, mask, windows, partial(_one_step, step), begin, end, max_masked)


def _one_step(step: int, mask: Tensor, windows: Windows, begin: Tensor, end: Tensor, max_masked: Tensor) -> Tensor:
    """One masked step in every utterance that has one; the others keep their mask."""
    size = torch.full_like(begin, step)
    if step == 1:
        size = max_masked.amax(dim=1, keepdim=True).clamp(1, SHORT_BLOCK)
    frames = torch.arange(mask.size(1), device=mask.device)
    allowed, stop = windows.of_frames(max_masked), windows.of_frames(windows.stop)
    fits = (frames % step == 0) & (frames >= begin) & (frames + size <= end)
    fits_window = (allowed >= size) & (frames + size <= stop)
    score = torch.rand(mask.shape, dtype=torch.float32, device=mask.device) + fits_window.float() + 2 * fits.float()
    start = score.argmax(dim=1, keepdim=True)
    block = (frames >= start) & (frames < start + size)
    if step > 1:
        first, length = _part_of_tail(step, start, end, windows, allowed)
        block = block | ((frames >= first) & (frames < first + length))
    return torch.where(fits.any(dim=1, keepdim=True), block, mask)


def _part_of_tail(step: int, start: Tensor, end: Tensor, windows: Windows, allowed: Tensor) -> tuple[Tensor, Tensor]:
    """Some of the frames after the last whole step, if that is the one at `start`: (first frame, how many), (B, 1).

    They belong to no whole step and would never be masked in an utterance that is too short for a block. As no window
    ends inside a step they are all in one window: the step's, or one of their own. `allowed`, (B, T), is how many
    frames may be masked in each frame's window.
    """
    tail = start + step
    window = windows.index.gather(1, tail.clamp(max=windows.index.size(1) - 1))
    is_shared = windows.index.gather(1, start) == window
    left_over = allowed.gather(1, tail.clamp(max=allowed.size(1) - 1)) - step * is_shared
    length = torch.where(end - tail < step, torch.minimum(end - tail, left_over), 0).clamp(min=0)
    return tail + random_integers((end - tail - length).clamp(min=0)), length
