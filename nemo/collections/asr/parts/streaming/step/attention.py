# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Attention of one Conformer layer in a streaming step.

Tensors that have heads have them first, (H, B, T, d): the positions are then one matrix product for all streams.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nemo.collections.asr.parts.streaming.step.part import Part
from nemo.collections.asr.parts.streaming.without_gradients import without_autocast
from nemo.collections.asr.parts.submodules.banded_attention import HIDDEN


class Piece(NamedTuple):
    """What all layers are told of a step.

    Args:
        batch, frames: b streams and T new frames
        rows: which streams these are, (b,); None for all
        windows: (T, k) which inputs each output of a convolution is made of, in a graph
    """

    batch: int
    frames: int
    rows: Tensor | None = None
    windows: Tensor | None = None


class StepAttention(Part):
    """NeMo's `RelPositionMultiHeadAttention` in eval mode, for new frames behind a past that is kept.

    Positions are projected beforehand: they are the same for every piece. Query i is at frame i and key j at frame
    j - L, so that they are i - j + L apart. Style `regular` sees the distances L down to 0. Style `chunked_limited`
    sees L + T - 1 down to 1 - T, of which masks leave what is in the context.

    Args:
        attention: the layer's `self_attn`
        most: frames that come at once at most, for style `chunked_limited`; None for style `regular`: any number
        positions: (1, R, D) embeddings of the distances `left` down to 0; of `left + most` down to `1 - most`
        folded: query, keys and values are one product, with scale and bias in its weights; a past may be shorter than
            `left`. Otherwise the layer's own projections are called.
    """

    def __init__(self, attention: Any, most: int | None, positions: Tensor, folded: bool = False):
        super().__init__()
        self.heads, self.size, self.most, self.folded = int(attention.h), int(attention.d_k), most, folded
        self.left = positions.size(1) - (1 if most is None else 2 * most)
        self.scale = self.size**-0.5
        self.biases = torch.stack([attention.pos_bias_u, attention.pos_bias_v]).detach().view(2, self.heads, 1, 1, -1)
        self.linears = nn.ModuleList([attention.linear_q, attention.linear_k, attention.linear_v])
        self.outputs = attention.linear_out
        with without_autocast(positions.device):  # memory is of the same type, whoever makes and whoever uses it
            projected = attention.linear_pos(positions).view(-1, self.heads, self.size).permute(1, 2, 0)
        self.positions = nn.Parameter(projected.clone(memory_format=torch.contiguous_format), False)  # (H, d, R)
        if folded:
            self._fold()

    def _fold(self) -> None:
        """Makes one linear layer of three; the query has the scale, and the bias of its products with keys."""
        linears: Any = self.linears
        biases: Any = [x.weight.new_zeros(x.out_features) if x.bias is None else x.bias for x in linears]
        to_u, to_v = self.biases * self.scale
        width, (query, *others) = self.heads * self.size, (x.weight for x in linears)
        joined = nn.Linear(width, 3 * width)
        joined.weight = nn.Parameter(torch.cat([query * self.scale, *others]))
        joined.bias = nn.Parameter(torch.cat([biases[0] * self.scale + to_u.flatten(), *biases[1:]]))
        self.linears, self.from_u_to_v, self.scale = nn.ModuleList([joined]), nn.Parameter(to_v - to_u), 1.0

    def forward(self, x: Tensor, past: Any, mask: Tensor | None, piece: Piece) -> Tensor:
        """Attends from new frames to past ones and to themselves.

        Args:
            x: (b, T, D), or (b * T, D)
            past: its `append` takes new keys and values, and gives those of the last L + T frames: `step/past.py`
            mask: added to the scores, (b, 1, L + T), (b, T, L + T) or (T, L + T); None hides nothing
        Returns:
            as x
        """
        query, *new = self._projected(x, piece)
        keys, values = past.append(*new, piece.rows)
        with_u, with_v = self._with_biases(query)
        scores = self._scores(with_u, with_v, keys.flatten(0, 1).transpose(1, 2), piece)
        if mask is not None:
            if self.folded:  # it is that of the longest past there may be
                mask = mask[..., mask.size(-1) - keys.size(2) :]
            scores = (scores.view(self.heads, piece.batch, piece.frames, -1) + mask).flatten(0, 1)
        seen = torch.bmm(torch.softmax(scores, dim=-1), values.flatten(0, 1))
        seen = seen.view(self.heads, piece.batch, piece.frames, self.size).permute(1, 2, 0, 3)
        return self.outputs(seen.reshape(x.shape))

    def _projected(self, x: Tensor, piece: Piece) -> list[Tensor]:
        """Query, keys and values, (H, b, T, d) each."""
        made = [
            linear(x).view(piece.batch, piece.frames, -1, self.size).permute(2, 0, 1, 3) for linear in self.linears
        ]
        return list(made[0].split(self.heads)) if self.folded else made

    def _with_biases(self, query: Tensor) -> tuple[Tensor, Tensor]:
        """The query for products with keys and with positions, (H * b, T, d) each."""
        if self.folded:
            return query.flatten(0, 1), (query + self.from_u_to_v).flatten(0, 1)
        with_u, with_v = (query + self.biases).flatten(1, 2)
        return with_u, with_v

    def _scores(self, with_u: Tensor, with_v: Tensor, keys: Tensor, piece: Piece) -> Tensor:
        """Of keys (H * b, d, L + T) and of their positions, (H * b, T, L + T)."""
        positions = self._position_scores(with_v, keys.size(2) - piece.frames, piece)
        return torch.baddbmm(positions, with_u, keys, beta=self.scale, alpha=self.scale)

    def _position_scores(self, query: Tensor, left: int, piece: Piece) -> Tensor:
        """(H * b, T, d) -> (H * b, T, L + T), L is `left`

        A row has the scores of descending distances, that of query i and key j in column T - i + j, which is T + j in
        rows one element shorter.
        """
        frames, shorter = piece.frames, self.left - left
        if frames == 1 and self.most is None and not self.folded:  # the row as it is
            return torch.bmm(query.reshape(self.heads, -1, self.size), self.positions).view(-1, 1, left + 1)
        first, width = shorter, left + 1
        if self.most is not None:
            first, width = shorter + self.most - frames, left + 2 * frames
        positions = self.positions[:, :, first : first + width]
        scores = torch.bmm(query.reshape(self.heads, -1, self.size), positions).view(-1, frames, width)
        if self.most is None:
            # in front of what is in the context; the next row's hides what comes later
            scores = F.pad(scores, (frames, 0), value=HIDDEN)
        scores = scores.flatten(1)[:, frames:].view(scores.size(0), frames, -1)
        return scores if self.most is None else scores[:, :, : left + frames]
