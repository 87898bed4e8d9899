# Copyright (c) 2026, the streaming-ssl authors.
#
# Licensed under the Apache License, Version 2.0 (the "License");
# you may not use this file except in compliance with the License.
# You may obtain a copy of the License at
#
#     http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS,
# WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
# See the License for the specific language governing permissions and
# limitations under the License.

"""The causal subsampling of a Conformer encoder on features that come in pieces, without making a frame twice."""

from dataclasses import dataclass
from typing import List, Optional, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nemo.collections.asr.parts.streaming.batch_rows import clear_rows, put_rows, take_rows
from nemo.collections.asr.parts.submodules.causal_convs import CausalConv2D


@dataclass
class SubsamplingState:
    """What the subsampling remembers of each stream.

    Args:
        waiting: (B, P, D) the last feature frames; the last `counts[row]` have not been used yet
        stages: (B, C, 1, F) for each convolution but the first one: the last frame that went into it
        counts: feature frames of each stream that have not been used yet
    """

    waiting: Tensor
    stages: List[Tensor]
    counts: List[int]

    def reset(self, rows: Sequence[int], mask: Tensor):
        """Starts streams anew: `rows` are their indices, mask (B,) is true there."""
        for x in (self.waiting, *self.stages):
            clear_rows(x, mask)
        for row in rows:
            self.counts[row] = 0


def subsampling_reasons(pre_encode) -> List[str]:
    """Why this `encoder.pre_encode` cannot be used in pieces; empty if it can."""
    if isinstance(pre_encode, nn.Linear):
        return []
    name = getattr(pre_encode, "_subsampling", type(pre_encode).__name__)
    convolutions = [layer for layer in getattr(pre_encode, "conv", ()) if isinstance(layer, CausalConv2D)]
    shapes = {(tuple(layer.kernel_size), tuple(layer.stride)) for layer in convolutions}
    if shapes != {((3, 3), (2, 2))} or 2 ** len(convolutions) != pre_encode.subsampling_factor:
        what = "must be striding or dw_striding with causal_downsampling=true, or factor 1"
        return [f"downsampling: encoder.subsampling={name}: {what}"]
    return []


class StreamingSubsampling:
    """`encoder.pre_encode`, incrementally: encoder frame k is made as soon as feature frame `factor * k` is there.

    Each convolution sees two of its input frames back and nothing ahead, so that beyond the frames that are new it
    needs the last one it had; at the beginning two zeros, and one zero after the end of the stream.

    Args:
        pre_encode: striding or dw_striding with `causal_downsampling`, or a linear layer
        factor: feature frames per encoder frame
        chunk: encoder frames that are made together
        num_features: features per feature frame
    """

    def __init__(self, pre_encode: nn.Module, factor: int, chunk: int, num_features: int):
        self.factor, self.chunk, self.num_features = factor, chunk, num_features
        self.linear = pre_encode if isinstance(pre_encode, nn.Linear) else pre_encode.out
        self.stages: List[List[nn.Module]] = []
        for layer in () if isinstance(pre_encode, nn.Linear) else pre_encode.conv:
            if isinstance(layer, CausalConv2D):
                self.stages.append([])
            self.stages[-1].append(layer)

    @property
    def capacity(self) -> int:
        """Feature frames that are kept: less than a chunk waits, and one has been used."""
        return self.factor * self.chunk + 1

    def initial_state(self, batch_size: int) -> SubsamplingState:
        """Streams of which no feature frame has come yet."""
        zeros = self.linear.weight.new_zeros
        stages, size = [], self.num_features
        for before, layers in zip(self.stages, self.stages[1:]):
            size = size // 2 + 1
            stages.append(zeros(batch_size, layers[0].in_channels, 1, size))
        return SubsamplingState(zeros(batch_size, self.capacity, self.num_features), stages, [0] * batch_size)

    def ready(self, features: int, first: bool) -> int:
        """How many encoder frames so many new feature frames make; `first`: at the beginning of the stream."""
        return (features + self.factor - 1) // self.factor if first else features // self.factor

    def needed(self, frames: int, first: bool) -> int:
        """How many new feature frames so many encoder frames take."""
        return self.factor * (frames - 1) + 1 if first else self.factor * frames

    def rest(self, features: int, first: bool) -> int:
        """How many encoder frames more there are when the stream ends with so many new feature frames."""
        for _ in self.stages:
            features = (features + int(first) + 1) // 2
        return features

    def run(self, state: SubsamplingState, feats: Tensor, rows: Optional[Tensor], first: bool, end: bool) -> Tensor:
        """Makes encoder frames, all that come out of `feats`.

        Args:
            state: its stages are changed, its waiting frames are not
            feats: (b, 1 + new, D) the last feature frame that was used (zeros at the beginning), and new ones
            rows: which streams these are, (b,); None for all
            first, end: whether this is the beginning, and the end, of all of them
        Returns:
            (b, T, D')
        """
        if not self.stages:
            return self.linear(feats.narrow(1, 1, feats.size(1) - 1))
        x = feats.unsqueeze(1)
        for i, (convolution, *others) in enumerate(self.stages):
            if i > 0:
                history = take_rows(state.stages[i - 1], rows)
                x, last = torch.cat([history, x], dim=2), x.narrow(2, x.size(2) - 1, 1)
                put_rows(state.stages[i - 1], rows, last)
            x = self._convolve(convolution, F.pad(x, (2, 1, int(first), int(end))))
            for layer in others:
                x = layer(x)
        return self.linear(x.transpose(1, 2).flatten(2))

    @staticmethod
    def _convolve(layer: CausalConv2D, x: Tensor) -> Tensor:
        """Without the layer's own padding."""
        return F.conv2d(x, layer.weight, layer.bias, stride=layer.stride, groups=layer.groups)
