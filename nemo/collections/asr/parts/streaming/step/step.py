# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""One step of a streaming encoder: a session runs it on memory of its own, a graph on tensors."""

import copy
from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from nemo.collections.asr.parts.contexts import AttentionContext
from nemo.collections.asr.parts.streaming.plan import MAX_FRAMES
from nemo.collections.asr.parts.streaming.requirements import subsampling_of
from nemo.collections.asr.parts.streaming.step.attention import Piece
from nemo.collections.asr.parts.streaming.step.edges import Edges, band_mask
from nemo.collections.asr.parts.streaming.step.layer import StepLayer
from nemo.collections.asr.parts.streaming.step.part import Part
from nemo.collections.asr.parts.streaming.step.past import (
    AttentionState,
    EncoderState,
    GraphPast,
    LayerState,
    SubsamplingState,
)
from nemo.collections.asr.parts.streaming.step.subsampling import StepSubsampling


class StreamingStep(Part):
    """T encoder frames of each stream from the feature frames that they need and the streams' past.

    Streams of one step may be of any age.

    Args:
        encoder: a cache-aware `ConformerEncoder` in eval mode
        contexts: in which each layer attends, encoder frames; none is unlimited
        factor: feature frames per encoder frame, S
        num_features: features per feature frame
        head: what gives log-probabilities of encoder frames (N, D), if anything does
        folded: for a graph: the weights are copies in float32 on the CPU, with factors put into them. Otherwise they
            are the encoder's own.
    """

    def __init__(
        self,
        encoder: Any,
        contexts: Sequence[AttentionContext],
        factor: int,
        num_features: int,
        head: nn.Module | None = None,
        folded: bool = True,
    ):
        super().__init__()
        if folded:
            encoder = copy.deepcopy(encoder).float().cpu()
        self.folded, self.chunk, self.factor = folded, contexts[0].right + 1, factor
        self.lefts = [context.left // self.chunk * self.chunk for context in contexts]
        self.longest = max(self.lefts)
        self.scale = encoder.pos_enc.xscale
        self.subsampling = StepSubsampling(
            subsampling_of(encoder), factor, num_features, (self.scale or 1.0) if folded else 1.0
        )
        self.most = self.chunk if folded and self.chunk > 1 else max(MAX_FRAMES - MAX_FRAMES % self.chunk, self.chunk)
        most = None if self.chunk == 1 else self.most
        positions = {left: _positions(encoder, left, most) for left in set(self.lefts)}
        self.layers = nn.ModuleList(
            StepLayer(layer, most, positions[left], folded) for layer, left in zip(encoder.layers, self.lefts)
        )
        self.out_proj = nn.Identity() if encoder.out_proj is None else encoder.out_proj
        self.num_outputs = encoder.d_model if encoder.out_proj is None else encoder.out_proj.out_features
        self.head = None if head is None else copy.deepcopy(head).float().cpu()
        self._bands: dict[tuple[int, int], Tensor] = {}
        if folded:
            self.requires_grad_(False).eval()

    def state_shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of each tensor of the state for one stream, without its batch dimension, by its name."""
        shapes: dict[str, tuple[int, ...]] = {}
        for i, shape in enumerate(self.subsampling.past_shapes()):
            shapes[f"subsampling_{i}"] = shape
        layers: Any = self.layers
        for i, (layer, left) in enumerate(zip(layers, self.lefts)):
            kernel_size, channels = layer.convolution.kernel_size, layer.convolution.channels
            shapes[f"keys_{i}"] = shapes[f"values_{i}"] = (layer.attention.heads, left, layer.attention.size)
            shapes[f"convolution_{i}"] = (kernel_size - 1, channels)
        return shapes

    def initial_state(self, batch_size: int) -> list[Tensor]:
        """Streams at their beginning, for `forward`: zeros."""
        return [torch.zeros(batch_size, *shape) for shape in self.state_shapes().values()]

    def initial_memory(self, batch_size: int) -> EncoderState:
        """Streams at their beginning, for `run`: room for the frames of a step behind the past ones."""
        zeros: Any = self.subsampling.linear.weight.new_zeros
        waiting = zeros(batch_size, self.factor * self.chunk + 1, self.subsampling.num_features)
        stages = [zeros(batch_size, *shape) for shape in self.subsampling.past_shapes()[1:]]
        layers, modules = [], cast(Any, self.layers)
        for layer, left in zip(modules, self.lefts):
            attention, convolution = layer.attention, layer.convolution
            memory = zeros(2, attention.heads, batch_size, left + self.most, attention.size)
            # in the order in which they are read
            inputs = zeros(batch_size, convolution.kernel_size - 1, convolution.channels).transpose(1, 2)
            layers.append(LayerState(AttentionState(memory, left, left), inputs))
        return EncoderState(SubsamplingState(waiting, stages), layers, [0] * batch_size, [0] * batch_size)

    def forward(self, features: Tensor, position: Tensor, end: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        """One step of all streams, as a graph.

        Args:
            features: (B, S * T, D) feature frames S * position - S + 1 and on; T at most a chunk for style
                `chunked_limited`
            position: (B,) encoder frames that came out before
            end: (B,) feature frames of the stream if it ends with this step, otherwise more than there are
            state: by the names of `state_shapes`; a layer's keys and values may be shorter than there
        Returns:
            features (B, T, D'); log-probabilities (B, T, C) if there is a head; the state
        """
        past = GraphPast(state, len(self.subsampling.stages))
        x = self.run(features, past, Edges(position, end))
        outputs = [x] if self.head is None else [x, self.head(x.flatten(0, 1)).view(*x.shape[:2], -1)]
        return (*outputs, *past.tensors())

    def run(self, features: Tensor, past: Any, edges: Edges, rows: Tensor | None = None) -> Tensor:
        """Encoder frames (b, T, D') of feature frames; `past` is a `GraphPast`, or the state of a session, of which
        these are the `rows` (b,), None for all."""
        x = self.subsampling(features, past.subsampling, edges, rows)
        batch, frames, windows = x.size(0), x.size(1), None
        if self.folded:
            kernel_size: Any = self.layers[0].convolution.kernel_size  # type: ignore[union-attr]
            windows = torch.arange(frames).unsqueeze(1) + torch.arange(kernel_size)
            x = x.flatten(0, 1)
        elif self.scale:
            x = x * self.scale
        piece, masks = Piece(batch, frames, rows, windows), self._masks(edges, frames, x)
        for layer, layer_past, left in zip(self.layers, past.layers, self.lefts):
            x = layer(x, layer_past, masks[left], piece)
        return self.out_proj(x).view(batch, frames, self.num_outputs)

    def _masks(self, edges: Edges, frames: int, like: Tensor) -> dict[int, Tensor | None]:
        """The attention mask of each left context, of the type of `like`; None where all may be seen."""
        masks: dict[int, Tensor | None] = {}
        for left in set(self.lefts):
            mask = edges.mask(left, frames, len(self.subsampling.stages) if self.chunk > 1 else None)
            mask = mask if mask is None else mask.to(like.dtype)
            if self.chunk > 1 and not self.folded and frames > self.chunk:
                band = self._band(left, frames, like)
                mask = band if mask is None else torch.minimum(mask, band)
            masks[left] = mask
        return masks

    def _band(self, left: int, frames: int, like: Tensor) -> Tensor:
        """The mask of several chunks, made once."""
        if (left, frames) not in self._bands:
            self._bands[left, frames] = band_mask(left, frames, self.chunk).to(like)
        return self._bands[left, frames]


def _positions(encoder: Any, left: int, most: int | None) -> Tensor:
    """Embeddings of the distances that `StepAttention` needs, (1, R, D)."""
    first, last = (left, 0) if most is None else (left + most, 1 - most)
    encoding, weight = encoder.pos_enc, next(encoder.parameters())
    if encoding.pe.size(1) < 2 * first + 1:
        encoding = copy.deepcopy(encoding)  # the model's own table stays as long as it is
        encoding.extend_pe(first + 1, weight.device, weight.dtype)
    middle = encoding.pe.size(1) // 2  # distances descend to both sides of it, where it is 0
    return encoding.pe[:, middle - first : middle - last + 1].to(weight.device, weight.dtype)
