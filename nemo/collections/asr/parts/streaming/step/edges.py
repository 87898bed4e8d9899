# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Where streams begin and end within a step, so that streams of any age take it together."""

from collections.abc import Sequence

import torch
from torch import Tensor

from nemo.collections.asr.parts.streaming.plan import NO_END
from nemo.collections.asr.parts.submodules.banded_attention import HIDDEN


class Edges:
    """What a step sees that its streams do not have: frames before their first one and after their last one.

    Args:
        position: (B,) encoder frames that came out before
        end: (B,) feature frames of a stream that ends with this step, otherwise more than there are
        youngest: the least that `position` may be
        any_end: whether a stream may end
    """

    def __init__(self, position: Tensor, end: Tensor, youngest: int = 0, any_end: bool = True):
        self.position, self.end, self.youngest, self.any_end = position, end, youngest, any_end

    @classmethod
    def of(cls, positions: Sequence[int], ends: Sequence[int], longest: int, device: torch.device) -> "Edges":
        """With what is known of streams on the host: where nothing has to be hidden, of contexts up to `longest`,
        nothing is computed, and no number goes to the device."""
        youngest, any_end = min(positions), min(ends) < NO_END
        hides = any_end or youngest < max(longest, 1)
        numbers = torch.tensor([positions, ends], device=device) if hides else torch.empty(2, 0, device=device)
        return cls(numbers[0], numbers[1], youngest, any_end)

    def cleared(self, x: Tensor, first: int, rate: int, halvings: int) -> Tensor:
        """Zeros in place of frames that a stream does not have.

        Args:
            x: (B, C, F, D)
            first: the first of these frames, counted from the stream's frame `rate * position`
            rate: how many of them are one encoder frame
            halvings: how often the feature frames have been halved
        """
        if self.youngest > 0 and not self.any_end:
            return x
        outside = self._outside(first, x.size(2), rate, halvings if self.any_end else None)
        return x.masked_fill(outside[:, None, :, None], 0.0)

    def mask(self, left: int, frames: int, halvings: int | None) -> Tensor | None:
        """Hides keys of `left` past frames and of new ones, (B, 1, left + T): 0 or `HIDDEN`, None where all may be
        seen. Without `halvings` the end does not matter: no frame sees what comes later."""
        halvings = halvings if self.any_end else None
        if self.youngest >= left and halvings is None:
            return None
        return self._outside(-left, left + frames, 1, halvings).unsqueeze(1).float() * HIDDEN

    def _outside(self, first: int, frames: int, rate: int, halvings: int | None) -> Tensor:
        """True for frames before a stream's first one, and with `halvings` after its last one, (B, F)."""
        index = torch.arange(first, first + frames, device=self.position.device) + rate * self.position.unsqueeze(1)
        outside = index < 0
        if halvings is None:
            return outside
        end = self.end
        for _ in range(halvings):
            end = end // 2 + 1
        return torch.logical_or(outside, index >= end.unsqueeze(1))


def band_mask(left: int, frames: int, chunk: int) -> Tensor:
    """What each of `frames` frames must not see of `left` past frames and of themselves, for chunks of `chunk` frames:
    0 or `HIDDEN`, (T, left + T)."""
    query = torch.arange(frames).unsqueeze(1) // chunk * chunk
    key = torch.arange(left + frames) - left
    seen = torch.logical_and(key >= query - left, key < query + chunk)
    return torch.zeros(seen.shape).masked_fill(torch.logical_not(seen), HIDDEN)
