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

"""Attention of one Conformer layer over frames that come in blocks, with keys and values of the past kept.

Tensors that have heads have them first, (H, B, T, d): the positions are then one matrix product for all streams, and
nothing is copied to attend.
"""

from dataclasses import dataclass
from typing import Optional

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nemo.collections.asr.parts.streaming.batch_rows import clear_rows, put_rows, take_rows
from nemo.collections.asr.parts.submodules.banded_attention import HIDDEN


@dataclass
class AttentionState:
    """Keys and values of the past.

    Args:
        memory: (2, H, B, left + room, d) keys and values; those of the last `left` frames end at `end`, zeros stand
            for frames before a stream began
        end: where the next ones are written
    """

    memory: Tensor
    end: int

    def reset(self, mask: Tensor):
        """Starts the streams anew where mask (B,) is true."""
        clear_rows(self.memory, mask, dim=2)

    def append(self, new: Tensor, rows: Optional[Tensor], left: int) -> Tensor:
        """Adds keys and values of T frames.

        Args:
            new: (2, H, b, T, d)
            rows: which streams these are, (b,); None for all
            left: frames of the past that are seen
        Returns:
            those of the last `left + T` frames, (2, H, b, left + T, d), valid until the next call
        """
        frames = new.size(3)
        if rows is not None:
            past = self.memory.narrow(3, self.end - left, left)
            seen = torch.cat([take_rows(past, rows, dim=2), new], dim=3)
            put_rows(past, rows, seen.narrow(3, frames, left), dim=2)
            return seen
        if self.end + frames > self.memory.size(3):
            self.memory.narrow(3, 0, left).copy_(self.memory.narrow(3, self.end - left, left).clone())
            self.end = left
        self.memory.narrow(3, self.end, frames).copy_(new)
        self.end += frames
        return self.memory.narrow(3, self.end - frames - left, left + frames)


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
    """NeMo's `RelPositionMultiHeadAttention` in eval mode, for blocks of frames.

    Its weights are put together once, with the softmax's scale in them, and positions are projected once: they are the
    same for every block.

    Args:
        attention: the layer's `self_attn`
        left: past frames that are seen, at least 0
        block: the most frames that come at once
        positions: (1, R, D) embeddings of the relations `left + block - 1` down to `1 - block`
    """

    def __init__(self, attention: nn.Module, left: int, block: int, positions: Tensor):
        self.left, self.block, self.heads, self.size = left, block, attention.h, attention.d_k
        scale = self.size**-0.5
        linears = (attention.linear_q, attention.linear_k, attention.linear_v)
        scales = (scale, 1.0, 1.0)
        self.weight = torch.cat([linear.weight * by for linear, by in zip(linears, scales)])
        self.bias = None
        if attention.linear_q.bias is not None:
            self.bias = torch.cat([linear.bias * by for linear, by in zip(linears, scales)])
        biases = torch.stack([attention.pos_bias_u, attention.pos_bias_v]) * scale
        self.query_biases = biases.view(2, self.heads, 1, 1, self.size)
        projected = attention.linear_pos(positions).view(-1, self.heads, self.size)
        self.positions = projected.permute(1, 2, 0).clone(memory_format=torch.contiguous_format)  # (H, d, R)
        self.out = (attention.linear_out.weight, attention.linear_out.bias)

    def initial_state(self, batch_size: int) -> AttentionState:
        """Streams of which no frame has come yet."""
        shape = (2, self.heads, batch_size, self.left + self.block, self.size)
        return AttentionState(self.weight.new_zeros(shape), self.left)

    def run(self, x: Tensor, state: AttentionState, rows: Optional[Tensor], mask: Optional[Tensor]) -> Tensor:
        """
        Args:
            x: (b, T, D), T at most `block`
            state: is changed
            rows: which streams these are, (b,); None for all
            mask: added to the scores, (T, left + T), (b, 1, left + T) or (b, T, left + T); None hides nothing
        Returns:
            (b, T, D)
        """
        batch, frames, _ = x.shape
        projected = F.linear(x, self.weight, self.bias).view(batch, frames, 3, self.heads, self.size)
        query, new = projected.permute(2, 3, 0, 1, 4).split((1, 2))
        keys, values = state.append(new, rows, self.left).flatten(1, 2)  # (H * b, left + T, d)
        with_u, with_v = (query + self.query_biases).flatten(1, 2)  # (H * b, T, d)
        scores = torch.baddbmm(self._position_scores(with_v, batch, frames), with_u, keys.transpose(1, 2))
        if mask is not None:
            scores.view(self.heads, batch, *scores.shape[1:]).add_(mask)
        seen = torch.bmm(torch.softmax(scores, dim=-1), values)
        seen = seen.view(self.heads, batch, frames, self.size).permute(1, 2, 0, 3)
        return F.linear(seen.reshape(batch, frames, -1), *self.out)

    def _position_scores(self, query: Tensor, batch: int, frames: int) -> Tensor:
        """Scores of positions, (H * b, T, d) -> (H * b, T, left + T)

        Relations descend, and frame i's of key j is at frames - 1 - i + j: a view with rows one element shorter.
        """
        relations = self.left + 2 * frames - 1
        positions = self.positions.narrow(2, self.block - frames, relations)
        scores = torch.bmm(query.reshape(self.heads, batch * frames, self.size), positions)
        shape = (self.heads * batch, frames, self.left + frames)
        return scores.as_strided(shape, (frames * relations, relations - 1, 1), frames - 1)
