# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""A Conformer layer of the exported streaming step: its weights, arranged so that a step takes few operators."""

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nemo.collections.asr.parts.streaming.conformer_layer import adapters_of, is_plain_silu
from nemo.collections.asr.parts.streaming.export.attention import StepAttention

Past = tuple[Tensor, Tensor, Tensor]
LayerOutput = tuple[Tensor, Past]


class StepFeedForward(nn.Module):
    """NeMo's `ConformerFeedForward` in eval mode with the norm before it; the residual scale is in its weights.

    Args:
        norm, module: the layer's
        scale: of the residual sum, the layer's `fc_factor`
    """

    def __init__(self, norm: nn.Module, module: Any, scale: float):
        super().__init__()
        self.norm, self.linear1, self.activation = norm, module.linear1, module.activation
        self.linear2 = scaled(module.linear2, scale)

    def forward(self, x: Tensor) -> Tensor:
        """(N, D) -> (N, D)"""
        return self.linear2(_activate(self.activation, self.linear1(self.norm(x))))


class StepConvolution(nn.Module):
    """NeMo's `ConformerConvolution` in eval mode, causal, with channels last.

    Args:
        module: the layer's `conv`
    """

    def __init__(self, module: Any):
        super().__init__()
        self.pointwise1, self.pointwise2 = _as_linear(module.pointwise_conv1), _as_linear(module.pointwise_conv2)
        self.pointwise_activation = module.pointwise_activation
        depthwise = module.depthwise_conv
        weight, bias = depthwise.weight.squeeze(1), depthwise.bias  # (D, k)
        bias = weight.new_zeros(weight.size(0)) if bias is None else bias
        self.norm = module.batch_norm if module.norm_type == "layer_norm" else nn.Identity()
        if module.norm_type != "layer_norm":
            scale, shift = _affine(module.batch_norm, weight.size(0))
            weight, bias = weight * scale.unsqueeze(1), bias * scale + shift
        self.weight = nn.Parameter(weight.t().clone(memory_format=torch.contiguous_format))  # (k, D)
        self.bias = nn.Parameter(bias)
        self.activation = module.activation

    def forward(self, x: Tensor, past: Tensor, windows: Tensor, batch: int, frames: int) -> tuple[Tensor, Tensor]:
        """Convolves new frames behind the past ones.

        Args:
            x: (B * T, D)
            past: (B, k - 1, D) the last inputs of the depthwise convolution
            windows: (T, k) which of the k - 1 + T inputs each output is made of
            batch, frames: B and T
        Returns:
            (B * T, D), and the last inputs
        """
        channels = self.bias.size(0)
        x = self.pointwise1(x)
        is_glu = isinstance(self.pointwise_activation, str)
        x = F.glu(x, dim=-1) if is_glu else self.pointwise_activation(x)
        x = torch.cat([past, x.view(batch, frames, channels)], dim=1)
        past = x[:, frames:]
        x = ((x[:, windows] * self.weight).sum(dim=2) + self.bias).view(-1, channels)
        return self.pointwise2(_activate(self.activation, self.norm(x))), past


class StepLayer(nn.Module):
    """NeMo's `ConformerLayer` in eval mode; see `StepAttention` for the arguments."""

    def __init__(self, layer: Any, chunk: int, positions: Tensor):
        super().__init__()
        self.feed_forward1 = StepFeedForward(layer.norm_feed_forward1, layer.feed_forward1, layer.fc_factor)
        self.norm_attention, self.attention = layer.norm_self_att, StepAttention(layer.self_attn, chunk, positions)
        self.norm_convolution, self.convolution = layer.norm_conv, StepConvolution(layer.conv)
        self.feed_forward2 = StepFeedForward(layer.norm_feed_forward2, layer.feed_forward2, layer.fc_factor)
        self.norm_out, self.adapt = layer.norm_out, adapters_of(layer)

    def forward(self, x: Tensor, past: Past, mask: Tensor, windows: Tensor, batch: int, frames: int) -> LayerOutput:
        """One layer, from its past and new frames.

        Args:
            x: (B * T, D)
            past: keys, values and last inputs of the convolution
            mask, windows: see `StepAttention` and `StepConvolution`
            batch, frames: B and T
        Returns:
            (B * T, D), and the past of the next step
        """
        keys, values, inputs = past
        x = x + self.feed_forward1(x)
        attended, keys, values = self.attention(self.norm_attention(x), keys, values, mask, batch, frames)
        x = x + attended
        convolved, inputs = self.convolution(self.norm_convolution(x), inputs, windows, batch, frames)
        x = x + convolved
        return self.adapt(self.norm_out(x + self.feed_forward2(x))), (keys, values, inputs)


class _Scaled(nn.Module):
    """A module whose output is `scale` times as large."""

    def __init__(self, module: nn.Module, scale: float):
        super().__init__()
        self.module, self.scale = module, scale

    def forward(self, x: Tensor) -> Tensor:
        return self.scale * self.module(x)


def scaled(linear: Any, scale: float) -> nn.Module:
    """A linear layer whose output is `scale` times as large; in its weights, unless it does more than `nn.Linear`."""
    if type(linear).forward is not nn.Linear.forward or linear._forward_hooks or linear._forward_pre_hooks:
        return _Scaled(linear, scale)
    made = nn.Linear(linear.in_features, linear.out_features, bias=linear.bias is not None)
    made.weight = nn.Parameter(linear.weight * scale)
    if linear.bias is not None:
        made.bias = nn.Parameter(linear.bias * scale)
    return made


def _as_linear(pointwise: Any) -> nn.Linear:
    """The linear layer that a convolution of kernel size 1 is."""
    made = nn.Linear(pointwise.in_channels, pointwise.out_channels, bias=pointwise.bias is not None)
    made.weight = nn.Parameter(pointwise.weight.squeeze(-1))  # a parametrised one is a tensor that was made
    if pointwise.bias is not None:
        made.bias = nn.Parameter(pointwise.bias)
    return made


def _affine(norm: nn.Module, channels: int) -> tuple[Tensor, Tensor]:
    """Factor and summand of each channel, (D,) each, that a norm with fixed statistics is."""
    norm = copy.deepcopy(norm).double()
    zeros = torch.zeros(1, channels, 1, dtype=torch.float64, device=next(norm.parameters()).device)
    shift = norm(zeros)
    scale = norm(zeros + 1) - shift
    return scale.flatten().float(), shift.flatten().float()


def _activate(activation: nn.Module, x: Tensor) -> Tensor:
    """An activation that does not change its input."""
    return F.silu(x) if is_plain_silu(activation) else activation(x)
