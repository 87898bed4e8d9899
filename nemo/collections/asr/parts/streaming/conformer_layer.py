# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""A Conformer layer on frames that come in pieces; its norms, feed-forwards and projections are the layer's own."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nemo.collections.asr.parts.streaming.attention import AttentionState, StreamingAttention
from nemo.collections.asr.parts.streaming.batch_rows import put_rows, take_rows
from nemo.collections.asr.parts.streaming.batch_state import BatchState

# Up to so many frames of all streams together a depthwise convolution is a weighted sum: a third of the time on a CPU.
FEW_FRAMES = 16


@dataclass
class LayerState(BatchState):
    """What a layer remembers.

    Args:
        attention: the past of its attention
        convolution: (B, D, k - 1) the last inputs of its depthwise convolution, zeros before a stream began
    """

    attention: AttentionState
    convolution: Tensor


class StreamingConvolution:
    """NeMo's `ConformerConvolution` in eval mode, causal.

    The module itself cannot be called: it pads what it is given, or takes a cache by settings of the model that a
    session must not change. Its pointwise convolutions are called as the matrix products that they are, which is up to
    nine times as fast on a CPU.

    Args:
        module: the layer's `conv`
    """

    def __init__(self, module: Any):
        self.pointwise1, self.pointwise2 = (
            (convolution.weight.squeeze(-1), convolution.bias)  # a view of the weights
            for convolution in (module.pointwise_conv1, module.pointwise_conv2)
        )
        self.pointwise_activation = module.pointwise_activation
        self.depthwise: nn.Conv1d = module.depthwise_conv
        bias = self.depthwise.bias
        self.weight = self.depthwise.weight  # (D, 1, k)
        self.bias = None if bias is None else bias.unsqueeze(1)
        self.norm, self.norm_is_last = module.batch_norm, module.norm_type == "layer_norm"
        self.activation = module.activation

    def initial_state(self, batch_size: int) -> Tensor:
        """The inputs before a stream begins, (B, D, k - 1)."""
        weight = self.depthwise.weight
        return weight.new_zeros(batch_size, weight.size(0), weight.size(2) - 1)

    def run(self, x: Tensor, past: Tensor, rows: Tensor | None) -> Tensor:
        """(b, T, D) -> (b, T, D); `past` is changed"""
        x = F.linear(x, *self.pointwise1)
        x = F.glu(x, dim=-1) if isinstance(self.pointwise_activation, str) else self.pointwise_activation(x)
        x = torch.cat([take_rows(past, rows), x.transpose(1, 2)], dim=2)
        put_rows(past, rows, x.narrow(2, x.size(2) - past.size(2), past.size(2)))
        x = self._convolve(x)
        x = self.norm(x.transpose(1, 2)) if self.norm_is_last else self.norm(x).transpose(1, 2)
        return F.linear(self.activation(x), *self.pointwise2)

    def _convolve(self, x: Tensor) -> Tensor:
        """The depthwise convolution without the zeros that a `CausalConv1D` adds, (b, D, k - 1 + T) -> (b, D, T)."""
        kernel_size = self.weight.size(2)
        if x.size(0) * (x.size(2) + 1 - kernel_size) > FEW_FRAMES:
            return nn.Conv1d.forward(self.depthwise, x)
        x = (x.unfold(2, kernel_size, 1) * self.weight).sum(dim=3)
        return x if self.bias is None else x + self.bias


class StreamingFeedForward:
    """NeMo's `ConformerFeedForward` in eval mode with the norm before it, by their own modules: without dropout, and
    with the activation in place, which keeps a batch's largest tensor from being made twice."""

    def __init__(self, norm: nn.Module, module: Any):
        self.norm, self.linear1, self.linear2 = norm, module.linear1, module.linear2
        activation = module.activation
        self.activation = partial(F.silu, inplace=True) if is_plain_silu(activation) else activation

    def run(self, x: Tensor) -> Tensor:
        """(b, T, D) -> (b, T, D)"""
        return self.linear2(self.activation(self.linear1(self.norm(x))))


def is_plain_silu(activation: nn.Module) -> bool:
    """True for a module that does nothing but `silu`, as NeMo's `Swish`."""
    has_hooks = activation._forward_hooks or activation._forward_pre_hooks
    return getattr(type(activation), "forward", None) is nn.SiLU.forward and not has_hooks


def adapters_of(layer: Any) -> Callable[[Tensor], Tensor]:
    """What a layer's enabled `LinearAdapter`s make of its output, (..., D) -> (..., D)."""

    def adapt(x: Tensor) -> Tensor:
        return layer.forward_enabled_adapters({"x": x, "loc": "post"})["x"]

    return adapt if layer.get_enabled_adapters() else nn.Identity()


class StreamingLayer:
    """NeMo's `ConformerLayer` in eval mode and without gradients, for frames that come in pieces.

    See `StreamingAttention` for the arguments.
    """

    def __init__(self, layer: Any, left: int, max_frames: int, positions: Tensor):
        self.attention = StreamingAttention(layer.self_attn, left, max_frames, positions)
        self.convolution = StreamingConvolution(layer.conv)
        self.feed_forward1 = StreamingFeedForward(layer.norm_feed_forward1, layer.feed_forward1)
        self.feed_forward2 = StreamingFeedForward(layer.norm_feed_forward2, layer.feed_forward2)
        self.norm_attention, self.norm_convolution = layer.norm_self_att, layer.norm_conv
        self.norm_out, self.adapt = layer.norm_out, adapters_of(layer)
        self.residual_scale = layer.fc_factor

    def initial_state(self, batch_size: int) -> LayerState:
        """Streams of which no frame has come yet."""
        return LayerState(self.attention.initial_state(batch_size), self.convolution.initial_state(batch_size))

    def run(self, x: Tensor, state: LayerState, rows: Tensor | None, mask: Tensor | None) -> Tensor:
        """(b, T, D) -> (b, T, D); see `StreamingAttention.run`"""
        x = torch.add(x, self.feed_forward1.run(x), alpha=self.residual_scale)
        x += self.attention.run(self.norm_attention(x), state.attention, rows, mask)
        x += self.convolution.run(self.norm_convolution(x), state.convolution, rows)
        x.add_(self.feed_forward2.run(x), alpha=self.residual_scale)
        return self.adapt(self.norm_out(x))
