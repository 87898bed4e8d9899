# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""The windows of a mask: consecutive parts of an utterance, none longer than a streaming encoder sees back.

Blocks of masked frames are drawn inside each window, and a part of each window stays unmasked.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from nemo.collections.asr.modules.ssl_modules.block_sampling import random_integers


@dataclass
class Windows:
    """Each utterance's windows, and which of them each frame is in.

    Args:
        first, stop: window w of an utterance has the frames `first <= t < stop`, none if they are equal; (B, W)
        index: each frame's window, (B, T); any for frames that are in none
    """

    first: Tensor
    stop: Tensor
    index: Tensor

    @classmethod
    def single(cls, begin: Tensor, end: Tensor, num_frames: int) -> "Windows":
        """One window for each utterance: all of `begin <= t < end`."""
        return cls(begin, end, torch.zeros_like(begin).expand(-1, num_frames))

    @classmethod
    def consecutive(cls, end: Tensor, num_frames: int, size: int, step: int) -> "Windows":
        """Windows of `size` frames side by side from frame 0 to `end`, the first one cut short by a random phase.

        The phase is a multiple of `step` (one encoder step), so no window ends inside an encoder step.
        """
        cut_off = size - step * random_integers(torch.full_like(end, size // step - 1))
        most = (num_frames - 1) // size + 2
        bounds = size * torch.arange(most + 1, device=end.device) - cut_off
        bounds = torch.minimum(bounds.clamp(min=0), end)
        frames = torch.arange(num_frames, device=end.device)
        index = torch.div(frames + cut_off, size, rounding_mode="floor")
        return cls(bounds.narrow(1, 0, most), bounds.narrow(1, 1, most), index)

    @property
    def odd(self) -> Tensor:
        """Whether a frame's window is the second, fourth, ...: neighbouring windows differ; (B, T)."""
        return (self.index & 1).bool()

    @property
    def per_utterance(self) -> int:
        """How many windows an utterance is cut into at most: 1, or 2 and more."""
        return self.first.size(1)

    def max_masked(self, share: float) -> Tensor:
        """How many frames may be masked in each window if no more than `share` of them is, (B, W)."""
        # double, so that 0.8 of 10 frames is what it is in Python
        return ((self.stop - self.first).double() * share).long()

    def num_masked(self, mask: Tensor) -> Tensor:
        """How many frames are masked in each window, (B, T) -> (B, W)."""
        masked_before = F.pad(mask.cumsum(dim=1, dtype=torch.int32), (1, 0))
        return masked_before.gather(1, self.stop) - masked_before.gather(1, self.first)

    def of_frames(self, values: Tensor) -> Tensor:
        """Values of windows at each of their frames, (B, W) -> (B, T)."""
        return values.gather(1, self.index)

    def of_utterances(self, rows: Tensor) -> "Windows":
        """The windows of some utterances, by their place in the batch, (N,)."""
        return Windows(*(x.index_select(0, rows) for x in (self.first, self.stop, self.index)))
