# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""What shows whether token prediction learns something: counted over batches, summed over ranks."""

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torchmetrics import Metric

from nemo.collections.asr.losses.ssl_losses.mlm import TokenPredictions
from nemo.utils import logging

# Targets that use fewer codes than this share of the codebook after so many steps teach nothing.
COLLAPSE_SHARE = 0.01
COLLAPSE_STEPS = 100


class TokenPredictionMetrics(Metric):
    """What every objective counts.

    Predicting the most frequent token gives a misleadingly low loss when there are few tokens. So the loss stands
    beside the entropy of the targets, both in bits per token: above it nothing is learned that the frequencies do not
    tell. Perplexity is 2 to the entropy.

    Args:
        num_classes: tokens per codebook, C
        num_books: codebooks, H; counts of codes, perplexity and entropy are means over them

    Counts are exact, whatever the model is converted to. They are of tokens, of all codebooks together.

    `compute` returns
        accuracy: share of the tokens in the loss that are the most likely ones
        loss_bits: negative log-likelihood of the targets, bits per token
        target_entropy_bits: entropy of the targets over all valid steps, bits per token
        codes_used, perplexity: how many codes occur, and how many equally likely ones would have that entropy
    """

    full_state_update = False

    def __init__(self, num_classes: int, num_books: int = 1):
        super().__init__()
        self._add_counts("codes", size=(num_books, num_classes))
        self._add_counts("in_loss", "num_correct")
        self._add_sum("nats")

    def _add_counts(self, *names: str, size: tuple[int, ...] = ()):
        # int64: float32 goes on counting by ones up to 2 ** 24 only, bfloat16 up to 256
        for name in names:
            self.add_state(name, torch.zeros(size, dtype=torch.long), dist_reduce_fx="sum")

    def _add_sum(self, name: str, size: tuple[int, ...] = ()):
        # in float32, and what has been lost by rounding it, because not every device has float64
        for state in (name, f"lost_{name}"):
            self.add_state(state, torch.zeros(size, dtype=torch.float32), dist_reduce_fx="sum")

    @property
    def num_classes(self) -> int:
        """Tokens per codebook."""
        return self.codes.size(1)

    def set_dtype(self, dst_type):
        """Does nothing: what is counted keeps its type."""
        return self

    def _apply(self, fn, *args, **kwargs):
        # `model.to(torch.bfloat16)` and its like move the counts to the device, and leave their type
        return super()._apply(lambda x: x.to(fn(x.new_empty(0)).device), *args, **kwargs)

    def update(self, predictions: TokenPredictions, tokens: Tensor, lengths: Tensor):
        """Counts a batch; nothing waits for the device.

        Args:
            predictions: of the tokens in the loss, at T encoder steps
            tokens: the utterances' tokens (B, T', H), or (B, T'); the first T are looked at
            lengths: valid ones, (B,)
        """
        in_loss = predictions.in_loss
        tokens = tokens.reshape(*tokens.shape[:2], -1)[:, : in_loss.size(1)]
        valid = torch.arange(tokens.size(1), device=tokens.device) < lengths.unsqueeze(1)
        weights = valid.unsqueeze(2).expand_as(tokens).to(self.codes.dtype)
        # of this batch alone, because a device may scatter into 32 bits
        self.codes += torch.zeros_like(self.codes).scatter_add_(1, tokens.flatten(0, 1).t(), weights.flatten(0, 1).t())
        self.in_loss += in_loss.sum()
        self.num_correct += predictions.num_correct.to(self.num_correct.dtype)
        self._add("nats", predictions.nats.detach())

    def _add(self, name: str, value: Tensor):
        """Adds to a float32 state by Kahan's sum; `lost_{name}` is what has been lost by rounding."""
        before, value = getattr(self, name), value.to(torch.float32) - getattr(self, f"lost_{name}")
        total = before + value
        setattr(self, name, total)
        setattr(self, f"lost_{name}", (total - before) - value)

    def shown(self) -> dict[str, Tensor]:
        """What the progress bar shows, of this rank."""
        return {"acc": self.num_correct / self.in_loss.clamp(min=1)}

    def pop(self, prefix: str) -> dict[str, Tensor]:
        """The values since the last call, over all ranks, as `{prefix}_{name}`; empty if nothing was counted."""
        if not self.update_called:
            return {}
        values = self.compute()
        self.reset()
        return {f"{prefix}_{name}": value for name, value in values.items()}

    def compute(self) -> dict[str, Tensor]:
        """The values since the last `reset`, over all ranks; see the class."""
        shares = self.codes / self.codes.sum(dim=1, keepdim=True).clamp(min=1)
        entropy = -torch.special.xlogy(shares, shares).sum(dim=1)
        in_loss = self.in_loss.clamp(min=1)
        return {
            "accuracy": self.num_correct / in_loss,
            "loss_bits": (self.nats - self.lost_nats) / in_loss / math.log(2),
            "target_entropy_bits": entropy.mean() / math.log(2),
            "codes_used": (self.codes > 0).sum(dim=1).float().mean(),
            "perplexity": entropy.exp().mean(),
        }


class MaskedTokenMetrics(TokenPredictionMetrics):
    """`TokenPredictionMetrics`, and how many steps are masked.

    `compute` also returns
        masked_share: share of the tokens of valid encoder steps that are in the loss
    """

    def compute(self) -> dict[str, Tensor]:
        """The values since the last `reset`, over all ranks; see the class."""
        return {"masked_share": self.in_loss / self.codes.sum().clamp(min=1), **super().compute()}


class NextTokenMetrics(TokenPredictionMetrics):
    """`TokenPredictionMetrics` over all predicted tokens, and accuracy and bits of each offset.

    Args:
        num_classes, num_books: see `TokenPredictionMetrics`
        offsets: the predicted tokens, counted from a step's own

    `compute` also returns for each offset `n`
        accuracy_at_n: share of the predicted tokens that are right
        loss_bits_at_n: negative log-likelihood, bits per token
    """

    def __init__(self, num_classes: int, num_books: int, offsets: Sequence[int]):
        super().__init__(num_classes, num_books)
        self.offsets = tuple(offsets)
        self._add_counts("predicted_at", "correct_at", size=(len(self.offsets),))
        self._add_sum("nats_at", size=(len(self.offsets),))

    def update(self, predictions: TokenPredictions, tokens: Tensor, lengths: Tensor):
        """Counts a batch, see the base class; `predictions` are of (B, T, offsets * books) tokens."""
        super().update(predictions, tokens, lengths)
        self.predicted_at += self._by_offset(predictions.in_loss.sum(dim=(0, 1)))
        self.correct_at += self._by_offset(predictions.head_correct)
        self._add("nats_at", self._by_offset(predictions.head_nats))

    def _by_offset(self, heads: Tensor) -> Tensor:
        return heads.reshape(len(self.offsets), -1).sum(dim=1)

    def shown(self) -> dict[str, Tensor]:
        """Also the accuracy of each offset."""
        shares = self.correct_at / self.predicted_at.clamp(min=1)
        return {**super().shown(), **{f"acc_{offset}": share for offset, share in zip(self.offsets, shares)}}

    def compute(self) -> dict[str, Tensor]:
        """The values since the last `reset`, over all ranks; see the class."""
        values = super().compute()
        predicted = self.predicted_at.clamp(min=1)
        for i, offset in enumerate(self.offsets):
            values[f"accuracy_at_{offset}"] = self.correct_at[i] / predicted[i]
            values[f"loss_bits_at_{offset}"] = (self.nats_at[i] - self.lost_nats_at[i]) / predicted[i] / math.log(2)
        return values


class CollapseWarning:
    """Warns, once, when hardly any code is used as a target although there have been targets enough."""

    was_given = False

    def check(self, metrics: TokenPredictionMetrics | None, step: int, cfg: Mapping) -> None:
        """Gives the warning, once, if hardly any code is used.

        Args:
            metrics: counts of the training so far; None if the tokens are not counted
            step: optimizer steps so far
            cfg: the model's config
        """
        if metrics is None or self.was_given or not metrics.update_called or step < COLLAPSE_STEPS:
            return
        perplexity = float(metrics.compute()["perplexity"])
        if perplexity >= COLLAPSE_SHARE * metrics.num_classes:
            return
        self.was_given = True
        cause = "Look at the audio (silence? one level?) and at model.quantizer (code_dim, num_classes)."
        if cfg.get("target_normalize") is None and cfg["preprocessor"].get("normalize", "per_feature") in (None, "NA"):
            cause = "The quantizer's input is not normalised: set model.target_normalize=per_feature."
        logging.warning(
            f"The targets have collapsed: after {step} steps their perplexity is {perplexity:.1f}, below "
            f"{COLLAPSE_SHARE:.0%} of the {metrics.num_classes} codes. The loss will look good and the encoder learn "
            f"little. {cause}"
        )
