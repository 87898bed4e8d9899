# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""The causal subsampling of a Conformer encoder on features that come in pieces, without making a frame twice."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nemo.collections.asr.parts.streaming.batch_rows import put_rows, take_rows
from nemo.collections.asr.parts.streaming.batch_state import BatchState
from nemo.collections.asr.parts.submodules.causal_convs import CausalConv2D

Stage = tuple[CausalConv2D, list[nn.Module]]  # a convolution that halves the frames, and what follows it


@dataclass
class SubsamplingState(BatchState):
    """What the subsampling remembers of each stream.

    Args:
        waiting: (B, P, D) the last feature frames, those that have not been used yet among them
        stages: (B, C, 1, F) for each convolution but the first one: the last frame that went into it
    """

    waiting: Tensor
    stages: list[Tensor]


def stages_of(pre_encode: nn.Module) -> tuple[list[Stage], nn.Linear]:
    """The convolutions of a subsampling, none of a linear layer, and the projection at its end."""
    if isinstance(pre_encode, nn.Linear):
        return [], pre_encode
    stages: list[Stage] = []
    for layer in pre_encode.conv:  # type: ignore[union-attr]
        if isinstance(layer, CausalConv2D):
            stages.append((layer, []))
        else:
            stages[-1][1].append(layer)
    return stages, pre_encode.out  # type: ignore[return-value]  # torch: any attribute


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
        self.stages, self.linear = stages_of(pre_encode)

    @property
    def capacity(self) -> int:
        """Feature frames that are kept: less than a chunk waits, and one has been used."""
        return self.factor * self.chunk + 1

    def initial_state(self, batch_size: int) -> SubsamplingState:
        """Streams of which no feature frame has come yet."""
        zeros = self.linear.weight.new_zeros
        stages, size = [], self.num_features
        for convolution, _ in self.stages[1:]:
            size = size // 2 + 1
            stages.append(zeros(batch_size, convolution.in_channels, 1, size))
        return SubsamplingState(zeros(batch_size, self.capacity, self.num_features), stages)

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

    def run(self, state: SubsamplingState, feats: Tensor, rows: Tensor | None, first: bool, end: bool) -> Tensor:
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
        for i, (convolution, others) in enumerate(self.stages):
            if i > 0:
                history = take_rows(state.stages[i - 1], rows)
                x, last = torch.cat([history, x], dim=2), x.narrow(2, x.size(2) - 1, 1)
                put_rows(state.stages[i - 1], rows, last)
            # the convolution itself, without the zeros that a `CausalConv2D` adds to what it is given
            x = nn.Conv2d.forward(convolution, F.pad(x, (2, 1, int(first), int(end))))
            for layer in others:
                x = layer(x)
        return self.linear(x.transpose(1, 2).flatten(2))
