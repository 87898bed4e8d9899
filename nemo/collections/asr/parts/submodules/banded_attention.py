# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Attention within a limited window, exact, in time and memory that grow with the window and not with the utterance.

Frames attend in blocks of neighbours. For a block, scores are made of the keys that some frame of it sees, and kept by
*relation* (query index minus key index): the window's relations are the same for every frame, so that nothing outside
of the window is stored, and relative positions need no shifting.

Source of the scores with relative positions: Transformer-XL (https://arxiv.org/abs/1901.02860), section 3.3.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from nemo.collections.asr.parts.submodules.attention_windows import Band, Block, queries_per_block
from nemo.utils.precision import at_least_float32

# The score of a key that must not be seen: zero after the softmax, and finite in fp16 too. NeMo's value.
HIDDEN = -10000.0


def banded_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    band: Band,
    position_query: Tensor | None = None,
    positions: Tensor | None = None,
    dropout: float = 0.0,
    size: int | None = None,
) -> Tensor:
    """
    `softmax(query @ key.T + position_query @ positions.T) @ value` over the keys in the band, the softmax in float32
    at least. Nothing here waits for the device.

    Args:
        query, key, value: (H, B, T, d); the softmax's scale is in `query` (and in `position_query`) already
        band: which keys a frame sees. What comes out for frames beyond its lengths means nothing.
        position_query: (H, B, T, d), with
        positions: (H, R, d) for the relations `min(left, T - 1)` down to `-min(right, T - 1)`; None for both leaves
            positions out
        dropout: of attention probabilities
        size: queries per block; None is `queries_per_block` of the device
    Returns:
        (H, B, T, d)
    """
    size = size or queries_per_block(query.device)
    return _BandedAttention.apply(query, key, value, position_query, positions, band, dropout, size)


class _BandedAttention(torch.autograd.Function):
    """Keeps the probabilities of the band for the backward pass: on a CPU, computing them again takes longer."""

    @staticmethod
    def forward(
        ctx: Any,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        position_query: Tensor | None,
        positions: Tensor | None,
        band: Band,
        dropout: float,
        size: int,
    ) -> Tensor:
        grid = _Grid(band, query.shape, size)
        key, value = grid.pad(key), grid.pad(value)
        out, saved = torch.empty(query.shape, dtype=query.dtype, device=query.device), []
        for block in grid.blocks:
            scores = _by_relation(torch.bmm(grid.rows(query, block), grid.reach(key, block).mT), block)
            if position_query is not None and positions is not None:
                scores = grid.position_scores(position_query, positions, block).add_(scores)
            probabilities = grid.softmax(scores, band.hidden(block))
            dropped, keep = probabilities, None
            if dropout > 0:
                dropped, keep = torch.native_dropout(probabilities, dropout, True)
            grid.put_rows(out, block, torch.bmm(_by_key(dropped.to(query.dtype), block), grid.reach(value, block)))
            saved += [probabilities, keep]
        ctx.save_for_backward(query, key, value, position_query, positions, *saved)
        ctx.grid, ctx.dropout = grid, dropout
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        query, key, value, position_query, positions, *saved = ctx.saved_tensors
        grid = ctx.grid
        d_query, d_position_query = (None if x is None else torch.empty_like(x) for x in (query, position_query))
        d_key, d_value, d_positions = (_zeros_to_sum(x) for x in (key, value, positions))
        for block, probabilities, keep in zip(grid.blocks, saved[::2], saved[1::2]):
            above = grid.rows(grad, block)
            dropped = _drop_again(probabilities, keep, ctx.dropout).to(query.dtype)
            grid.reach(d_value, block).add_(torch.bmm(_by_key(dropped, block).mT, above))

            d_dropped = _by_relation(torch.bmm(above, grid.reach(value, block).mT), block)
            weighted = probabilities * _drop_again(d_dropped, keep, ctx.dropout)
            total = weighted.sum(dim=-1, keepdim=True)
            d_scores = torch.addcmul(weighted, probabilities, total, value=-1).to(query.dtype)
            d_by_key = _by_key(d_scores, block)
            grid.put_rows(d_query, block, torch.bmm(d_by_key, grid.reach(key, block)))
            grid.reach(d_key, block).add_(torch.bmm(d_by_key.mT, grid.rows(query, block)))
            if positions is not None:
                d_scores = grid.of_heads(d_scores)
                d_relations = torch.bmm(d_scores.mT, grid.of_heads(grid.rows(position_query, block)))
                grid.relations(d_positions, block).add_(d_relations)
                grid.put_rows(d_position_query, block, torch.bmm(d_scores, grid.relations(positions, block)))
        d_key, d_value = grid.unpad(d_key).to(key.dtype), grid.unpad(d_value).to(value.dtype)
        d_positions = None if d_positions is None else d_positions.to(positions.dtype)
        return d_query, d_key, d_value, d_position_query, d_positions, None, None, None


class _Grid:
    """The blocks of a batch of shape (H, B, T, d), and what belongs to each of them.

    Keys and values get zeros before the first and after the last frame, so that every block has as many keys as its
    frames reach.
    """

    def __init__(self, band: Band, shape: torch.Size, size: int):
        self.heads, self.batch, frames, self.dim = shape
        self.blocks = list(band.blocks(frames, size))
        self.left = min(band.left, frames - 1)
        self.front = max(0, *(-block.first_key for block in self.blocks))
        self.back = max(block.first_key + block.keys for block in self.blocks) - frames

    def pad(self, x: Tensor) -> Tensor:
        """(H, B, T, d) -> (H * B, front + T + back, d)"""
        return F.pad(x, (0, 0, self.front, self.back)).reshape(self.heads * self.batch, -1, self.dim)

    def unpad(self, x: Tensor) -> Tensor:
        """(H * B, front + T + back, d) -> (H, B, T, d)"""
        frames = x.size(1) - self.front - self.back
        return x.narrow(1, self.front, frames).view(self.heads, self.batch, frames, self.dim)

    def reach(self, padded: Tensor, block: Block) -> Tensor:
        """Of keys or values, those that the block reaches: (H * B, keys, d), a view."""
        return padded.narrow(1, block.first_key + self.front, block.keys)

    def rows(self, x: Tensor, block: Block) -> Tensor:
        """The block's frames, (H, B, T, d) -> (H * B, size, d)"""
        return x.narrow(2, block.start, block.size).contiguous().view(-1, block.size, self.dim)

    def put_rows(self, x: Tensor, block: Block, rows: Tensor) -> None:
        """The inverse of `rows`, in place; `rows` may be of (H, B * size, d) too."""
        target = x.narrow(2, block.start, block.size)
        target.copy_(rows.view(target.shape))

    def of_heads(self, rows: Tensor) -> Tensor:
        """(H * B, size, n) -> (H, B * size, n)"""
        return rows.view(self.heads, -1, rows.size(2))

    def relations(self, positions: Tensor, block: Block) -> Tensor:
        """Of positions, those of the block's relations: (H, width, d), a view."""
        return positions.narrow(1, self.left - block.left, block.width)

    def position_scores(self, query: Tensor, positions: Tensor, block: Block) -> Tensor:
        """(H * B, size, width)"""
        scores = torch.bmm(self.of_heads(self.rows(query, block)), self.relations(positions, block).mT)
        return scores.view(-1, block.size, block.width)

    def softmax(self, scores: Tensor, hidden: Tensor | None) -> Tensor:
        """Probabilities of (H * B, size, width), in float32 at least."""
        if hidden is not None:
            scores = scores.unflatten(0, (self.heads, self.batch)).masked_fill(hidden, HIDDEN).flatten(0, 1)
        return torch.softmax(scores, dim=-1, dtype=at_least_float32(scores))


def _by_key(by_relation: Tensor, block: Block) -> Tensor:
    """(n, size, width) -> (n, size, keys), zero where there is no relation: each row begins one key further on than
    the row before, so that `size` zeros after each make rows of `size + width`, one more than keys, of the same."""
    rows = F.pad(by_relation, (0, block.size)).flatten(1)
    return rows.narrow(1, 0, block.size * block.keys).unflatten(1, (block.size, block.keys))


def _by_relation(by_key: Tensor, block: Block) -> Tensor:
    """(n, size, keys) -> (n, size, width), a view: each row begins one key further on than the row before."""
    return by_key.as_strided((by_key.size(0), block.size, block.width), (by_key.stride(0), block.keys + 1, 1))


def _drop_again(x: Tensor, keep: Tensor | None, rate: float) -> Tensor:
    """The same dropout on something else. At a rate of 1 nothing is left."""
    return x if keep is None else torch.where(keep, x / max(1 - rate, 1e-6), 0)


def _zeros_to_sum(x: Tensor | None) -> Tensor | None:
    """Zeros like x to which the gradients of blocks are added, several for each key: not in half precision."""
    return None if x is None else torch.zeros_like(x, dtype=at_least_float32(x))
