# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""The causal subsampling of a Conformer encoder in a streaming step, without making a frame twice."""

from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from nemo.collections.asr.parts.streaming.step.edges import Edges
from nemo.collections.asr.parts.streaming.step.folding import scaled
from nemo.collections.asr.parts.streaming.step.part import Part
from nemo.collections.asr.parts.submodules.causal_convs import CausalConv2D


class Stage(Part):
    """A convolution of kernel 3 and stride 2 that halves the frames, and what follows it up to the next one."""

    def __init__(self, convolution: CausalConv2D):
        super().__init__()
        self.convolution, self.others = convolution, nn.Sequential()

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, 1 + 2T, F) -> (B, C', T, F')"""
        # the convolution itself, without the zeros that a CausalConv2D adds to what it is given
        return self.others(nn.Conv2d.forward(self.convolution, F.pad(x, (2, 1))))


class StepSubsampling(Part):
    """`encoder.pre_encode` of factor S: encoder frame k is made of the feature frames up to S * k.

    A convolution sees two of its input frames back and nothing ahead, so that beyond frames that are new it needs the
    last one that it had. Frames before a stream's first one and after its last one are zeros, whatever is in them:
    the padding of the whole utterance.

    Args:
        pre_encode: striding or dw_striding with `causal_downsampling`, or a linear layer
        factor: S
        num_features: features per feature frame
        scale: factor of the output, put into the weights
    """

    def __init__(self, pre_encode: Any, factor: int, num_features: int, scale: float = 1.0):
        super().__init__()
        self.factor, self.num_features, self.stages = factor, num_features, nn.ModuleList()
        is_linear = isinstance(pre_encode, nn.Linear)
        for layer in () if is_linear else pre_encode.conv:
            if isinstance(layer, CausalConv2D):
                self.stages.append(Stage(layer))
            else:
                self.stages[-1].others.append(layer)  # type: ignore[union-attr, operator]  # torch: any attribute
        linear = pre_encode if is_linear else pre_encode.out
        self.linear: Any = linear if scale == 1.0 else scaled(linear, scale)

    def past_shapes(self) -> list[tuple[int, int, int]]:
        """(C, 1, F) of the last input of each stage."""
        shapes, size = [], self.num_features
        for stage in self.stages:
            shapes.append((int(stage.convolution.in_channels), 1, size))  # type: ignore[union-attr, arg-type]
            size = size // 2 + 1
        return shapes

    def forward(self, features: Tensor, past: Any, edges: Edges, rows: Tensor | None) -> Tensor:
        """Makes T encoder frames of S * T feature frames (B, S * T, D) behind those that `past.extend` has."""
        x = features.unsqueeze(1)
        for i, stage in enumerate(self.stages):
            rate = self.factor // 2**i
            x = stage(edges.cleared(past.extend(i, x, rows), -rate, rate, i))
        if not self.stages:
            x = edges.cleared(x, 1 - self.factor, self.factor, 0)
        return self.linear(x.transpose(1, 2).flatten(2))
