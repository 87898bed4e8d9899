# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""A Conformer layer in a streaming step; its norms, feed-forwards and projections are the layer's own."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nemo.collections.asr.parts.streaming.step.attention import Piece, StepAttention
from nemo.collections.asr.parts.streaming.step.folding import affine, scaled
from nemo.collections.asr.parts.streaming.step.part import Part

# Up to so many frames of all streams together a depthwise convolution is a weighted sum: half of the time on a CPU, or
# less.
FEW_FRAMES = 32


class Pointwise(Part):
    """The linear layer that a convolution of kernel size 1 is, with its weights."""

    def __init__(self, convolution: Any):
        super().__init__()
        self.weight = _constant(convolution.weight.squeeze(-1))
        self.bias = None if convolution.bias is None else _constant(convolution.bias)

    def forward(self, x: Tensor) -> Tensor:
        """(..., D) -> (..., D')"""
        return F.linear(x, self.weight, self.bias)


class StepConvolution(Part):
    """NeMo's `ConformerConvolution` in eval mode, causal.

    The module itself cannot be called: it pads what it is given, or takes a cache by settings of the model that a
    session must not change. Its pointwise convolutions are called as the matrix products that they are, which is up to
    nine times as fast on a CPU.

    Args:
        module: the layer's `conv`
        folded: a batch norm is in the weights of the depthwise convolution, which is a weighted sum
    """

    def __init__(self, module: Any, folded: bool = False):
        super().__init__()
        self.pointwise1, self.pointwise2 = Pointwise(module.pointwise_conv1), Pointwise(module.pointwise_conv2)
        self.pointwise_activation, self.activation = module.pointwise_activation, module.activation
        self.depthwise: Any = module.depthwise_conv
        self.norm, self.norm_is_last = module.batch_norm, module.norm_type == "layer_norm"
        weight, bias = self.depthwise.weight.squeeze(1), self.depthwise.bias  # (D, k)
        (self.channels, self.kernel_size), self.folded = weight.shape, folded
        if folded and not self.norm_is_last:
            scale, shift = affine(self.norm, weight.size(0))
            weight, bias = weight * scale.unsqueeze(1), shift if bias is None else bias * scale + shift
            self.norm, self.norm_is_last = nn.Identity(), True
        # (k, D) in a graph, whose windows are gathered
        self.weight = _constant(weight.t().clone(memory_format=torch.contiguous_format) if folded else weight)
        self.bias = None if bias is None else _constant(bias)

    def forward(self, x: Tensor, past: Any, piece: Piece) -> Tensor:
        """Convolves new frames, (b, T, D) or (b * T, D), behind those that `past.extend` has."""
        is_flat = x.dim() == 2
        x = self.pointwise1(x)
        x = F.glu(x, dim=-1) if isinstance(self.pointwise_activation, str) else self.pointwise_activation(x)
        x = x.view(piece.batch, piece.frames, -1) if is_flat else x
        x = self._convolve(past.extend(x, piece.rows), piece)
        x = self.norm(x) if self.norm_is_last else self.norm(x.transpose(1, 2)).transpose(1, 2)
        return self.pointwise2(self.activation(x.flatten(0, 1) if is_flat else x))

    def _convolve(self, x: Tensor, piece: Piece) -> Tensor:
        """The depthwise convolution without the zeros that a `CausalConv1D` adds, (b, k - 1 + T, D) -> (b, T, D)."""
        if not self.folded and piece.batch * piece.frames > FEW_FRAMES:
            return nn.Conv1d.forward(self.depthwise, x.transpose(1, 2)).transpose(1, 2)
        if self.folded:
            x = (x[:, piece.windows] * self.weight).sum(dim=2)
        else:
            x = (x.unfold(1, self.kernel_size, 1) * self.weight).sum(dim=3)
        return x if self.bias is None else x + self.bias


class StepFeedForward(Part):
    """NeMo's `ConformerFeedForward` in eval mode with the norm before it, by their own modules: without dropout, and
    with the activation in place, which keeps a batch's largest tensor from being made twice.

    Args:
        norm, module: the layer's
        scale: factor of the output, put into the weights
    """

    def __init__(self, norm: nn.Module, module: Any, scale: float = 1.0):
        super().__init__()
        self.norm, self.linear1 = norm, module.linear1
        self.linear2 = module.linear2 if scale == 1.0 else scaled(module.linear2, scale)
        plain = is_plain_silu(module.activation)
        self.activation: Callable[[Tensor], Tensor] = partial(F.silu, inplace=True) if plain else module.activation

    def forward(self, x: Tensor) -> Tensor:
        """(..., D) -> (..., D)"""
        return self.linear2(self.activation(self.linear1(self.norm(x))))


class StepLayer(Part):
    """NeMo's `ConformerLayer` in eval mode; see `StepAttention` for the arguments."""

    def __init__(self, layer: Any, most: int | None, positions: Tensor, folded: bool = False):
        super().__init__()
        self.residual_scale: float = 1.0 if folded else layer.fc_factor
        scale = layer.fc_factor if folded else 1.0
        self.attention = StepAttention(layer.self_attn, most, positions, folded)
        self.convolution = StepConvolution(layer.conv, folded)
        self.feed_forward1 = StepFeedForward(layer.norm_feed_forward1, layer.feed_forward1, scale)
        self.feed_forward2 = StepFeedForward(layer.norm_feed_forward2, layer.feed_forward2, scale)
        self.norm_attention, self.norm_convolution = layer.norm_self_att, layer.norm_conv
        self.norm_out, self.adapt = layer.norm_out, adapters_of(layer)

    def forward(self, x: Tensor, past: Any, mask: Tensor | None, piece: Piece) -> Tensor:
        """New frames, (b, T, D) or (b * T, D), behind the past; see `StepAttention.forward`."""
        x = torch.add(x, self.feed_forward1(x), alpha=self.residual_scale)
        x += self.attention(self.norm_attention(x), past, mask, piece)
        x += self.convolution(self.norm_convolution(x), past, piece)
        x.add_(self.feed_forward2(x), alpha=self.residual_scale)
        return self.adapt(self.norm_out(x))


def is_plain_silu(activation: nn.Module) -> bool:
    """True for a module that does nothing but `silu`, as NeMo's `Swish`."""
    has_hooks = activation._forward_hooks or activation._forward_pre_hooks
    return getattr(type(activation), "forward", None) is nn.SiLU.forward and not has_hooks


def adapters_of(layer: Any) -> Callable[[Tensor], Tensor]:
    """What a layer's enabled `LinearAdapter`s make of its output, (..., D) -> (..., D)."""

    def adapt(x: Tensor) -> Tensor:
        return layer.forward_enabled_adapters({"x": x, "loc": "post"})["x"]

    return adapt if layer.get_enabled_adapters() else nn.Identity()


def _constant(x: Tensor) -> nn.Parameter:
    """A weight of a step; it shares memory with x, and a parametrised one is the tensor that was made."""
    return nn.Parameter(x.detach(), requires_grad=False)
