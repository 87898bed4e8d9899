# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Attention of one Conformer layer in the exported streaming step: the past comes in and goes out as tensors.

The left context is the length of the past that is passed in, so that nothing here knows how long it is.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nemo.collections.asr.parts.submodules.banded_attention import HIDDEN


class StepAttention(nn.Module):
    """NeMo's `RelPositionMultiHeadAttention` in eval mode; L is the length of the past, T the new frames.

    Query, keys and values are one product, the scale of the scores is in its weights, and positions are projected
    beforehand. With T new frames query i is at frame i and key j at frame j - L, so that they are i - j + L apart.
    Style `regular` sees the distances L down to 0 (`chunk` is 1); style `chunked_limited` sees everything, from
    L + chunk - 1 down to 1 - chunk.

    Args:
        attention: the layer's `self_attn`
        chunk: encoder frames of a chunk, at most so many come at once; 1 for style `regular`, any number comes at once
        positions: (1, R, D) embeddings of the distances `left + chunk - 1` down to `1 - chunk`, with `left` the
            longest past there may be
    """

    def __init__(self, attention: Any, chunk: int, positions: Tensor):
        super().__init__()
        self.heads, self.size, self.chunk = int(attention.h), int(attention.d_k), chunk
        self.left = positions.size(1) - 2 * chunk + 1
        scale = self.size**-0.5
        to_u, to_v = attention.pos_bias_u.reshape(-1) * scale, attention.pos_bias_v.reshape(-1) * scale
        linears = (attention.linear_q, attention.linear_k, attention.linear_v)
        biases = [x.weight.new_zeros(x.out_features) if x.bias is None else x.bias for x in linears]
        self.inputs = nn.Linear(self.heads * self.size, 3 * self.heads * self.size)
        self.inputs.weight = nn.Parameter(torch.cat([linears[0].weight * scale, *(x.weight for x in linears[1:])]))
        self.inputs.bias = nn.Parameter(torch.cat([biases[0] * scale + to_u, *biases[1:]]))
        self.from_u_to_v = nn.Parameter((to_v - to_u).view(self.heads, 1, self.size))
        projected = attention.linear_pos(positions).view(-1, self.heads, self.size).permute(1, 2, 0)
        self.positions = nn.Parameter(projected.clone(memory_format=torch.contiguous_format))  # (H, d, R)
        self.outputs = attention.linear_out

    def forward(
        self, x: Tensor, keys: Tensor, values: Tensor, mask: Tensor, batch: int, frames: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Attends from new frames to the past ones and to themselves.

        Args:
            x: (B * T, D)
            keys, values: (B, H, L, d) of the past
            mask: (B, 1, 1, left + T) 0 or `HIDDEN` for the longest past and the new frames
            batch, frames: B and T
        Returns:
            (B * T, D), keys and values of the last L frames
        """
        shorter = self.left - keys.size(2)
        projected = self.inputs(x).view(batch, frames, 3 * self.heads, self.size).transpose(1, 2)
        query, new_keys, new_values = projected.split(self.heads, dim=1)
        keys, values = torch.cat([keys, new_keys], dim=2), torch.cat([values, new_values], dim=2)
        scores = torch.matmul(query, keys.transpose(2, 3))
        scores = scores + self._position_scores(query + self.from_u_to_v, shorter, batch, frames)
        scores = scores + mask[..., shorter:]
        seen = torch.matmul(torch.softmax(scores, dim=-1), values)
        seen = seen.transpose(1, 2).reshape(-1, self.heads * self.size)
        return self.outputs(seen), keys[:, :, frames:], values[:, :, frames:]

    def _position_scores(self, query: Tensor, shorter: int, batch: int, frames: int) -> Tensor:
        """(B, H, T, d) -> (B, H, T, L + T), L is `shorter` than the longest past

        A row has the scores of descending distances. The distance 0 is put at T + L; that of query i and key j is then
        at T - i + j, which is T + j in rows one element shorter.
        """
        scores = torch.matmul(query, self.positions)  # all of them: a few products more cost less than a copy
        if self.chunk == 1:
            scores = F.pad(scores[..., shorter:], (frames, 0), value=HIDDEN)
        else:
            rest = self.chunk - frames
            scores = F.pad(scores[..., shorter + rest : self.positions.size(2) - rest], (1, 0), value=HIDDEN)
        scores = scores.reshape(batch, self.heads, -1)[:, :, frames:].reshape(batch, self.heads, frames, -1)
        # in style `regular` the next row's padding follows, which hides what comes later
        return scores if self.chunk == 1 else scores[..., : self.left - shorter + frames]
