# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Counts of next-token prediction, also for each of the predicted tokens by itself."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from nemo.collections.asr.losses.ssl_losses.masked_decoding import TokenPredictions
from nemo.collections.asr.metrics.masked_tokens import MaskedTokenMetrics


class NextTokenMetrics(MaskedTokenMetrics):
    """`MaskedTokenMetrics` over all predicted tokens, and accuracy and bits of each offset.

    Args:
        num_classes, num_books: see `MaskedTokenMetrics`
        offsets: the predicted tokens, counted from a step's own

    `compute` returns no `masked_share`, and for each offset `n`
        accuracy_at_n: share of the predicted tokens that are right
        loss_bits_at_n: negative log-likelihood, bits per token
    """

    def __init__(self, num_classes: int, num_books: int, offsets: Sequence[int]):
        super().__init__(num_classes, num_books)
        self.offsets = tuple(offsets)
        for name in ("predicted_at", "correct_at"):
            self.add_state(name, torch.zeros(len(self.offsets), dtype=torch.long), dist_reduce_fx="sum")
        for name in ("nats_at", "lost_nats_at"):
            self.add_state(name, torch.zeros(len(self.offsets), dtype=torch.float32), dist_reduce_fx="sum")

    def update(self, predictions: TokenPredictions, tokens: Tensor, lengths: Tensor):
        """Counts a batch, see `MaskedTokenMetrics.update`; `predictions` are of (B, T, offsets * books) tokens."""
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
        del values["masked_share"]
        predicted = self.predicted_at.clamp(min=1)
        for i, offset in enumerate(self.offsets):
            values[f"accuracy_at_{offset}"] = self.correct_at[i] / predicted[i]
            values[f"loss_bits_at_{offset}"] = (self.nats_at[i] - self.lost_nats_at[i]) / predicted[i] / math.log(2)
        return values
