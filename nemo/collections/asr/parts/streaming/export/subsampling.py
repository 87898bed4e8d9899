# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""The causal subsampling of the exported streaming step, the same for streams that begin, go on and end."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nemo.collections.asr.parts.streaming.export.layer import scaled
from nemo.collections.asr.parts.streaming.subsampling import stages_of
from nemo.collections.asr.parts.submodules.causal_convs import CausalConv2D


class Stage(nn.Module):
    """A convolution that halves the frames, and what follows it up to the next one.

    Args:
        convolution: kernel 3, stride 2
        others: what follows, frame by frame
    """

    def __init__(self, convolution: CausalConv2D, others: Sequence[nn.Module]):
        super().__init__()
        # the convolution itself, without the zeros that a CausalConv2D adds to what it is given
        self.convolution = nn.Conv2d(
            convolution.in_channels,
            convolution.out_channels,
            kernel_size=3,
            stride=2,
            groups=convolution.groups,
            bias=convolution.bias is not None,
        )
        self.convolution.weight, self.convolution.bias = convolution.weight, convolution.bias
        self.others = nn.Sequential(*others)

    def forward(self, x: Tensor, past: Tensor) -> tuple[Tensor, Tensor]:
        """(B, C, 2T, F), the last input before (B, C, 1, F) -> (B, C', T, F'), the last input"""
        last = x[:, :, -1:]
        x = F.pad(torch.cat([past, x], dim=2), (2, 1))
        return self.others(self.convolution(x)), last


class StepSubsampling(nn.Module):
    """`encoder.pre_encode` of factor S: encoder frame k is made of the feature frames up to S * k.

    A step makes T encoder frames of S * T feature frames. Those before a stream's first feature frame and after its
    last one count as zeros, whatever is in them, and so do the inputs of the later convolutions there: that is the
    padding of the whole utterance.

    Args:
        pre_encode: striding or dw_striding with `causal_downsampling`, or a linear layer
        factor: S
        num_features: features per feature frame
        scale: factor of the output
    """

    def __init__(self, pre_encode: Any, factor: int, num_features: int, scale: float):
        super().__init__()
        self.factor, self.num_features = factor, num_features
        stages, linear = stages_of(pre_encode)
        self.stages = nn.ModuleList(Stage(convolution, others) for convolution, others in stages)
        self.linear = scaled(linear, scale)

    def past_shapes(self) -> list[tuple[int, int, int]]:
        """(C, 1, F) of the last input of each stage."""
        shapes, size = [], self.num_features
        for stage in self.stages:
            shapes.append((int(stage.convolution.in_channels), 1, size))  # type: ignore[union-attr, arg-type]
            size = size // 2 + 1
        return shapes

    def forward(
        self, features: Tensor, position: Tensor, end: Tensor, past: Sequence[Tensor]
    ) -> tuple[Tensor, list[Tensor]]:
        """Makes encoder frames of new feature frames and the last inputs of each stage.

        Args:
            features: (B, S * T, D)
            position: (B,) encoder frames made before
            end: (B,) feature frames of the stream if it ends with this step, otherwise more than there are
            past: the last input of each stage
        Returns:
            (B, T, D'), and the last inputs
        """
        x, rate, lasts = features.unsqueeze(1), self.factor, []
        x = x.masked_fill(_outside(x.size(2), rate, position, end), 0.0)
        for i, (stage, last) in enumerate(zip(self.stages, past)):
            x, last = stage(x, last)
            lasts.append(last)
            rate, end = rate // 2, end // 2 + 1
            if i + 1 < len(self.stages):
                x = x.masked_fill(_outside(x.size(2), rate, position, end), 0.0)
        return self.linear(x.transpose(1, 2).flatten(2)), lasts


def _outside(frames: int, rate: int, position: Tensor, end: Tensor) -> Tensor:
    """True for frames before a stream's first one and after its last one, (B, 1, F, 1); `rate` frames are one encoder
    frame, and frame 0 is the first encoder frame's last one."""
    index = torch.arange(1 - rate, frames + 1 - rate) + rate * position.unsqueeze(1)
    return torch.logical_or(index < 0, index >= end.unsqueeze(1))[:, None, :, None]
