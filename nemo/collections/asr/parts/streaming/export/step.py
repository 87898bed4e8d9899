# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""One step of a streaming encoder as a module without state of its own, as it is exported."""

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nemo.collections.asr.parts.contexts import AttentionContext
from nemo.collections.asr.parts.streaming.export.layer import StepLayer
from nemo.collections.asr.parts.streaming.export.subsampling import StepSubsampling
from nemo.collections.asr.parts.streaming.requirements import subsampling_of
from nemo.collections.asr.parts.submodules.banded_attention import HIDDEN


class StreamingStep(nn.Module):
    """T encoder frames of each stream from the feature frames that they need and the streams' state.

    The weights are copies in float32. Streams of one step may be of any age.

    Args:
        encoder: a cache-aware `ConformerEncoder` in eval mode
        contexts: in which each layer attends, encoder frames; none is unlimited
        factor: feature frames per encoder frame, S
        num_features: features per feature frame
        head: what gives log-probabilities of encoder frames (N, D), if anything does
    """

    def __init__(
        self,
        encoder: Any,
        contexts: Sequence[AttentionContext],
        factor: int,
        num_features: int,
        head: nn.Module | None = None,
    ):
        super().__init__()
        encoder = copy.deepcopy(encoder).float().cpu()
        self.chunk, self.factor = contexts[0].right + 1, factor
        self.lefts = [context.left // self.chunk * self.chunk for context in contexts]
        scale = encoder.pos_enc.xscale or 1.0
        self.subsampling = StepSubsampling(subsampling_of(encoder), factor, num_features, scale)
        self.layers = nn.ModuleList(
            StepLayer(layer, self.chunk, _positions(encoder.pos_enc, left + self.chunk, self.chunk))
            for layer, left in zip(encoder.layers, self.lefts)
        )
        self.out_proj = nn.Identity() if encoder.out_proj is None else encoder.out_proj
        self.num_outputs = encoder.d_model if encoder.out_proj is None else encoder.out_proj.out_features
        self.head = None if head is None else copy.deepcopy(head).float().cpu()
        self.requires_grad_(False)

    def state_shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of each tensor of the state for one stream, without its batch dimension, by its name."""
        shapes: dict[str, tuple[int, ...]] = {}
        for i, shape in enumerate(self.subsampling.past_shapes()):
            shapes[f"subsampling_{i}"] = shape
        layers: Any = self.layers
        for i, (layer, left) in enumerate(zip(layers, self.lefts)):
            kernel_size, channels = layer.convolution.weight.shape
            shapes[f"keys_{i}"] = shapes[f"values_{i}"] = (layer.attention.heads, left, layer.attention.size)
            shapes[f"convolution_{i}"] = (kernel_size - 1, channels)
        return shapes

    def initial_state(self, batch_size: int) -> list[Tensor]:
        """Streams at their beginning: zeros."""
        return [torch.zeros(batch_size, *shape) for shape in self.state_shapes().values()]

    def forward(self, features: Tensor, position: Tensor, end: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        """One step of all streams.

        Args:
            features: (B, S * T, D) feature frames S * position - S + 1 and on; T at most a chunk for style
                `chunked_limited`
            position: (B,) encoder frames that came out before
            end: (B,) feature frames of the stream if it ends with this step, otherwise more than there are
            state: by the names of `state_shapes`; a layer's keys and values may be shorter than there
        Returns:
            features (B, T, D'); log-probabilities (B, T, C) if there is a head; the state
        """
        stages = len(self.subsampling.stages)
        x, next_state = self.subsampling(features, position, end, state[:stages])
        batch, frames = x.size(0), x.size(1)
        mask = self._mask(position, end, frames)
        kernel_size = self.layers[0].convolution.weight.size(0)  # type: ignore[union-attr, operator]
        windows = torch.arange(frames).unsqueeze(1) + torch.arange(kernel_size)
        x = x.flatten(0, 1)
        for i, layer in enumerate(self.layers):
            shorter = max(self.lefts) - self.lefts[i]
            own_mask = mask[..., shorter:] if shorter else mask
            x, past = layer(x, state[stages + 3 * i : stages + 3 * i + 3], own_mask, windows, batch, frames)
            next_state.extend(past)
        x = self.out_proj(x)
        outputs = [x] if self.head is None else [x, self.head(x)]
        return (*(y.view(batch, frames, y.size(1)) for y in outputs), *next_state)

    def stream(self, features: Tensor) -> Tensor:
        """A whole stream, chunk by chunk, (1, F, D) -> (1, T', D')."""
        state, made, size = self.initial_state(1), [], self.factor * self.chunk
        heard = frames = features.size(1)
        for _ in self.subsampling.stages:
            frames = frames // 2 + 1
        padded = F.pad(features.float().cpu(), (0, 0, self.factor - 1, size))
        for position in range(0, frames, self.chunk):
            piece = padded.narrow(1, self.factor * position, size)
            end = heard if position + self.chunk >= frames else heard + size
            outputs = self(piece, torch.tensor([position]), torch.tensor([end]), *state)
            made.append(outputs[0])
            state = list(outputs[len(outputs) - len(state) :])
        return torch.cat(made, dim=1)[:, :frames].to(features.device)

    def _mask(self, position: Tensor, end: Tensor, frames: int) -> Tensor:
        """Hides what is before a stream's beginning and after its end, of the longest past and the new frames,
        (B, 1, 1, left + T)."""
        index = torch.arange(-max(self.lefts), frames) + position.unsqueeze(1)
        hidden = index < 0
        if self.chunk > 1:  # others see nothing that comes later
            for _ in self.subsampling.stages:
                end = end // 2 + 1
            hidden = torch.logical_or(hidden, index >= end.unsqueeze(1))
        return (hidden.to(torch.float32) * HIDDEN)[:, None, None]


def _positions(encoding: Any, reach: int, chunk: int) -> Tensor:
    """Embeddings of the distances reach - 1 down to 1 - chunk, (1, R, D)."""
    if encoding.pe.size(1) < 2 * reach - 1:
        encoding.extend_pe(reach, encoding.pe.device, encoding.pe.dtype)
    middle = encoding.pe.size(1) // 2  # distances descend to both sides of it, where it is 0
    return encoding.pe[:, middle - reach + 1 : middle + chunk].float()
