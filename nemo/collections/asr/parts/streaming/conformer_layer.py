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

"""A Conformer layer on frames that come in blocks."""

from dataclasses import dataclass
from typing import List, Optional

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nemo.collections.asr.parts.streaming.attention import AttentionState, StreamingAttention
from nemo.collections.asr.parts.streaming.batch_rows import clear_rows, put_rows, take_rows


@dataclass
class LayerState:
    """What a layer remembers: the past of its attention, and the last inputs of its convolution, (B, k - 1, D)."""

    attention: AttentionState
    convolution: Tensor

    def reset(self, mask: Tensor):
        """Starts the streams anew where mask (B,) is true."""
        self.attention.reset(mask)
        clear_rows(self.convolution, mask)


def layer_reasons(encoder) -> List[str]:
    """Why the layers of this Conformer encoder cannot be run in blocks; empty if they can."""
    reasons = []
    if encoder.self_attention_model != "rel_pos":
        advice = " without contexts for each layer" if encoder.self_attention_model == "rel_pos_local_attn" else ""
        reasons.append(f"attention: self_attention_model={encoder.self_attention_model}{advice}: must be rel_pos")
    if any(layer.is_adapter_available() for layer in encoder.layers):
        reasons.append("adapters: enabled in the encoder's layers; disable them, or merge them into the weights")
    return reasons


class StreamingConvolution:
    """NeMo's `ConformerConvolution` in eval mode, causal; batch statistics are merged into its weights.

    Args:
        module: the layer's `conv`
    """

    def __init__(self, module: nn.Module):
        self.into = (module.pointwise_conv1.weight.squeeze(-1), module.pointwise_conv1.bias)
        self.out = (module.pointwise_conv2.weight.squeeze(-1), module.pointwise_conv2.bias)
        self.pointwise_activation = module.pointwise_activation
        self.activation = module.activation
        self.depthwise, self.norm = self._depthwise(module)

    @staticmethod
    def _depthwise(module: nn.Module):
        """((weight, bias), arguments of a layer norm or None)"""
        weight, bias, norm = module.depthwise_conv.weight, module.depthwise_conv.bias, module.batch_norm
        if module.norm_type == "layer_norm":
            return (weight, bias), _norm_arguments(norm)
        scale, shift = norm.weight, norm.bias
        if hasattr(norm, "running_var"):
            scale = scale * (norm.running_var + norm.eps).rsqrt()
            shift = shift - norm.running_mean * scale
        return (weight * scale.view(-1, 1, 1), shift if bias is None else shift + bias * scale), None

    def initial_state(self, batch_size: int) -> Tensor:
        """The inputs before a stream begins, (B, k - 1, D)."""
        weight = self.depthwise[0]
        return weight.new_zeros(batch_size, weight.size(2) - 1, weight.size(0))

    def run(self, x: Tensor, past: Tensor, rows: Optional[Tensor]) -> Tensor:
        """(b, T, D) -> (b, T, D); `past` is changed"""
        x = F.linear(x, *self.into)
        x = F.glu(x, dim=-1) if isinstance(self.pointwise_activation, str) else self.pointwise_activation(x)
        x = torch.cat([take_rows(past, rows), x], dim=1)
        put_rows(past, rows, x.narrow(1, x.size(1) - past.size(1), past.size(1)))
        x = F.conv1d(x.transpose(1, 2), *self.depthwise, groups=x.size(2)).transpose(1, 2)
        if self.norm is not None:
            x = F.layer_norm(x, *self.norm)
        return F.linear(self.activation(x), *self.out)


class StreamingFeedForward:
    """NeMo's `ConformerFeedForward` in eval mode with the norm before it."""

    def __init__(self, norm: nn.LayerNorm, module: nn.Module):
        self.norm = _norm_arguments(norm)
        self.into = (module.linear1.weight, module.linear1.bias)
        self.out = (module.linear2.weight, module.linear2.bias)
        self.activation = module.activation

    def run(self, x: Tensor) -> Tensor:
        """(b, T, D) -> (b, T, D)"""
        x = F.linear(F.layer_norm(x, *self.norm), *self.into)
        x = F.silu(x, inplace=True) if isinstance(self.activation, nn.SiLU) else self.activation(x)
        return F.linear(x, *self.out)


class StreamingLayer:
    """NeMo's `ConformerLayer` in eval mode, for blocks of frames; see `StreamingAttention` for the arguments."""

    def __init__(self, layer: nn.Module, left: int, block: int, positions: Tensor):
        self.attention = StreamingAttention(layer.self_attn, left, block, positions)
        self.convolution = StreamingConvolution(layer.conv)
        self.feed_forward1 = StreamingFeedForward(layer.norm_feed_forward1, layer.feed_forward1)
        self.feed_forward2 = StreamingFeedForward(layer.norm_feed_forward2, layer.feed_forward2)
        self.norm_attention = _norm_arguments(layer.norm_self_att)
        self.norm_convolution = _norm_arguments(layer.norm_conv)
        self.norm_out = _norm_arguments(layer.norm_out)
        self.share = layer.fc_factor

    def initial_state(self, batch_size: int) -> LayerState:
        """Streams of which no frame has come yet."""
        return LayerState(self.attention.initial_state(batch_size), self.convolution.initial_state(batch_size))

    def run(self, x: Tensor, state: LayerState, rows: Optional[Tensor], mask: Optional[Tensor]) -> Tensor:
        """(b, T, D) -> (b, T, D); see `StreamingAttention.run`"""
        x = torch.add(x, self.feed_forward1.run(x), alpha=self.share)
        x = x + self.attention.run(F.layer_norm(x, *self.norm_attention), state.attention, rows, mask)
        x = x + self.convolution.run(F.layer_norm(x, *self.norm_convolution), state.convolution, rows)
        x = torch.add(x, self.feed_forward2.run(x), alpha=self.share)
        return F.layer_norm(x, *self.norm_out)


def _norm_arguments(norm: nn.LayerNorm) -> tuple:
    """What `layer_norm` takes after its input."""
    return norm.normalized_shape, norm.weight, norm.bias, norm.eps
