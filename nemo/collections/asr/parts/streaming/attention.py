# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Attention of one Conformer layer over frames that come in pieces, with keys and values of the past kept.

Tensors that have heads have them first, (H, B, T, d): the positions are then one matrix product for all streams, and
nothing is copied to attend.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from nemo.collections.asr.parts.streaming.batch_rows import put_rows, take_rows
from nemo.collections.asr.parts.streaming.batch_state import FIXED, BatchState, streams_at
from nemo.collections.asr.parts.streaming.without_gradients import without_autocast
from nemo.collections.asr.parts.submodules.banded_attention import HIDDEN


@dataclass
class AttentionState(BatchState):
    """Keys and values of the past.

    Args:
        memory: (2, H, B, left + room, d) keys and values; those of the last `left` frames end at `end`, zeros stand
            for frames before a stream began
        end: where the next ones are written
        left: frames of the past that are seen
    """

    memory: Tensor = field(metadata=streams_at(2))
    end: int
    left: int = field(metadata=FIXED)

    def allowed(self, attribute: str) -> range:
        """`end` leaves room for the past before it."""
        return range(self.left, self.memory.size(3) + 1)

    def append(self, keys: Tensor, values: Tensor, rows: Tensor | None) -> tuple[Tensor, Tensor]:
        """Adds keys and values of T frames.

        Args:
            keys, values: (H, b, T, d)
            rows: which streams these are, (b,); None for all
        Returns:
            those of the last `left + T` frames, (H, b, left + T, d) each, valid until the next call
        """
        if rows is None:
            seen = self._append_all(keys, values)
        else:
            seen = self._append_some(torch.stack([keys, values]), rows)
        return seen[0], seen[1]

    def _append_all(self, keys: Tensor, values: Tensor) -> Tensor:
        """Writes behind the past; where that is full, the past moves to the front first."""
        frames = keys.size(2)
        if self.end + frames > self.memory.size(3):
            self.memory.narrow(3, 0, self.left).copy_(self.memory.narrow(3, self.end - self.left, self.left).clone())
            self.end = self.left
        room = self.memory.narrow(3, self.end, frames)
        room[0].copy_(keys)
        room[1].copy_(values)
        self.end += frames
        return self.memory.narrow(3, self.end - frames - self.left, self.left + frames)

    def _append_some(self, new: Tensor, rows: Tensor) -> Tensor:
        """Moves the past of these streams by as many frames as come; that of the others stays."""
        past = self.memory.narrow(3, self.end - self.left, self.left)
        seen = torch.cat([take_rows(past, rows, dim=2), new], dim=3)
        put_rows(past, rows, seen.narrow(3, new.size(3), self.left), dim=2)
        return seen


def band_mask(left: int, frames: int, chunk: int) -> Tensor:
    """What each of `frames` frames must not see of `left` past frames and of themselves, for chunks of `chunk` frames
    (1 for style `regular`): 0 or `HIDDEN`, (T, left + T)."""
    query = torch.arange(frames).unsqueeze(1) // chunk * chunk
    key = torch.arange(left + frames) - left
    seen = torch.logical_and(key >= query - left, key < query + chunk)
    return torch.zeros(seen.shape).masked_fill(torch.logical_not(seen), HIDDEN)


def hide_empty(filled: Tensor, left: int, frames: int) -> Tensor:
    """Hides past frames before a stream began; `filled`: (b,) frames that it has had. 0 or `HIDDEN`,
    (b, 1, left + frames)."""
    key = torch.arange(left + frames, device=filled.device) - left
    empty = key < -filled.unsqueeze(1)
    return torch.zeros(empty.shape, device=filled.device).masked_fill(empty, HIDDEN).unsqueeze(1)


class StreamingAttention:
    """NeMo's `RelPositionMultiHeadAttention` in eval mode, for frames that come in pieces, with its own projections.

    Positions are projected once: they are the same for every piece.

    Args:
        attention: the layer's `self_attn`
        left: past frames that are seen, at least 0
        max_frames: that come at once
        positions: (1, R, D) embeddings of the relations `left + max_frames - 1` down to `1 - max_frames`
    """

    def __init__(self, attention: nn.Module, left: int, max_frames: int, positions: Tensor):
        self.left, self.max_frames = left, max_frames
        self.heads, self.size = int(attention.h), int(attention.d_k)  # type: ignore[arg-type]  # torch: any attribute
        self.scale = self.size**-0.5
        self.project: Callable[..., tuple[Tensor, Tensor, Tensor]] = attention.forward_qkv  # type: ignore[assignment]
        self.project_out: Callable[[Tensor], Tensor] = attention.linear_out  # type: ignore[assignment]
        biases: list[Tensor] = [attention.pos_bias_u, attention.pos_bias_v]  # type: ignore[list-item]
        self.query_biases = torch.stack(biases).view(2, self.heads, 1, 1, self.size)
        with without_autocast(positions.device):  # memory is of the same type, whoever makes and whoever uses it
            projected: Tensor = attention.linear_pos(positions)  # type: ignore[operator]
        projected = projected.view(-1, self.heads, self.size).permute(1, 2, 0)
        self.positions = projected.clone(memory_format=torch.contiguous_format)  # (H, d, R)

    def initial_state(self, batch_size: int) -> AttentionState:
        """Streams of which no frame has come yet."""
        shape = (2, self.heads, batch_size, self.left + self.max_frames, self.size)
        return AttentionState(self.positions.new_zeros(shape), self.left, self.left)

    def run(self, x: Tensor, state: AttentionState, rows: Tensor | None, mask: Tensor | None) -> Tensor:
        """Attends from new frames to the cached ones and to themselves, and caches them.

        Args:
            x: (b, T, D), T at most `max_frames`
            state: is changed
            rows: which streams these are, (b,); None for all
            mask: added to the scores, (T, left + T), (b, 1, left + T) or (b, T, left + T); None hides nothing
        Returns:
            (b, T, D)
        """
        batch, frames, _ = x.shape
        query, new_keys, new_values = (part.transpose(0, 1) for part in self.project(x, x, x))  # (H, b, T, d)
        keys, values = state.append(new_keys, new_values, rows)
        with_u, with_v = (query + self.query_biases).flatten(1, 2)  # (H * b, T, d)
        scores = torch.baddbmm(
            self._position_scores(with_v, batch, frames),
            with_u,
            keys.flatten(0, 1).transpose(1, 2),
            beta=self.scale,
            alpha=self.scale,
        )
        if mask is not None:
            scores.view(self.heads, batch, *scores.shape[1:]).add_(mask)
        seen = torch.bmm(torch.softmax(scores, dim=-1), values.flatten(0, 1))
        seen = seen.view(self.heads, batch, frames, self.size).permute(1, 2, 0, 3)
        return self.project_out(seen.reshape(batch, frames, -1))

    def _position_scores(self, query: Tensor, batch: int, frames: int) -> Tensor:
        """Scores of positions, (H * b, T, d) -> (H * b, T, left + T)

        Relations descend, and frame i's of key j is at frames - 1 - i + j: a view with rows one element shorter.
        """
        relations = self.left + 2 * frames - 1
        positions = self.positions.narrow(2, self.max_frames - frames, relations)
        scores = torch.bmm(query.reshape(self.heads, batch * frames, self.size), positions)
        shape = (self.heads * batch, frames, self.left + frames)
        return scores.as_strided(shape, (frames * relations, relations - 1, 1), frames - 1)
