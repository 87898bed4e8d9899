# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Which keys the frames of each layer see: from attention contexts to what attention computes with.

`AttentionWindows` goes from the encoder to its layers in the place of NeMo's one mask. Each layer's part is resolved
once, where it attends: to NeMo's boolean mask, or to the `Band` that `banded_attention` takes.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from nemo.collections.asr.parts.contexts.context import UNLIMITED, WHOLE_UTTERANCE, AttentionContext

# Queries per block. Small blocks waste little at the window's ends; where starting an operation costs more than what
# it computes, larger ones are better.
BLOCK_SIZE = {"cpu": 64}
BLOCK_SIZE_ELSEWHERE = 256


@dataclass(frozen=True)
class Block:
    """Neighbouring frames that attend together: the queries `start <= t < start + size`, and the relations (query
    index minus key index) from `left` down to `-right` that occur among them."""

    start: int
    size: int
    left: int
    right: int

    @property
    def first_key(self) -> int:
        """The earliest key that is in reach; below 0 for frames before the utterance."""
        return self.start - self.left

    @property
    def keys(self) -> int:
        """Keys in reach of some query of the block."""
        return self.size - 1 + self.width

    @property
    def width(self) -> int:
        """Keys in reach of each query."""
        return self.left + self.right + 1


@dataclass(frozen=True, eq=False)
class Band:
    """A window for attention in blocks: the relations (query index minus key index) from `left` down to `-right`.

    Args:
        left, right: encoder frames, at least 0
        lengths: valid frames, (B,); no key from there on is seen
        chunk: above 1, frames come in chunks of so many; a frame sees its whole chunk, and before it as many whole
            chunks as `left` and the frame's place in its chunk allow
    """

    left: int
    right: int
    lengths: Tensor
    chunk: int = 1

    @classmethod
    def of(cls, context: AttentionContext, style: str, lengths: Tensor, num_frames: int) -> "Band":
        """The band of a context, for utterances of up to `num_frames` frames."""
        left, right = (num_frames if reach == UNLIMITED else reach for reach in context.as_list())
        chunk = context.chunk(style)
        if chunk > 1:
            left = left // chunk * chunk + right
        return cls(left, right, lengths, chunk)

    def blocks(self, num_frames: int, size: int) -> Iterator[Block]:
        """All frames in blocks of `size` queries."""
        for start in range(0, num_frames, size):
            stop = min(start + size, num_frames)
            yield Block(start, stop - start, min(self.left, stop - 1), min(self.right, num_frames - 1 - start))

    def scores(self, num_frames: int, size: int) -> int:
        """How many scores of a head are stored for `num_frames` frames; the full matrix has their square."""
        return sum(block.size * block.width for block in self.blocks(num_frames, size))

    def hidden(self, block: Block) -> Tensor | None:
        """What the queries of a block must not see, (1 or B, size, width) booleans; None if they may see all."""
        if block.first_key >= 0 and self.right == 0:
            return None  # keys up to the query itself: a valid query has no key in padding
        query = torch.arange(block.start, block.start + block.size, device=self.lengths.device).unsqueeze(1)
        relation = torch.arange(block.left, -block.right - 1, -1, device=self.lengths.device)
        key = (query - relation).unsqueeze(0)
        hidden = key < 0
        if self.right > 0:
            hidden = torch.logical_or(hidden, key >= self.lengths.view(-1, 1, 1))
        if self.chunk > 1:
            place = query % self.chunk
            beyond = torch.logical_or(relation > self.left - self.right + place, relation < place - self.right)
            hidden = torch.logical_or(hidden, beyond)
        return hidden


def queries_per_block(device: torch.device) -> int:
    """How many neighbouring frames attend together on a device."""
    return BLOCK_SIZE.get(device.type, BLOCK_SIZE_ELSEWHERE)


def is_faster(band: Band, num_frames: int, device: torch.device) -> bool:
    """Whether attention in blocks is expected to be faster than the full matrix: from two blocks on, and where it
    leaves out a quarter of the scores. Both bounds are where `benchmarks/speed/attention.py` shows it for one
    utterance."""
    size = queries_per_block(device)
    return num_frames >= 2 * size and 4 * band.scores(num_frames, size) <= 3 * num_frames**2


def band_where_chosen(
    context: AttentionContext, style: str, choice: str, lengths: Tensor, num_frames: int
) -> Band | None:
    """The band of a context if layers shall attend in blocks, None if they shall take the full matrix.

    Args:
        choice: `always`, `never`, or `auto`: where it is expected to be faster. A context without limits takes the
            full matrix in any case.
        lengths: valid frames, (B,)
        num_frames: frames of the longest utterance, with padding
    """
    if choice == "never" or context == WHOLE_UTTERANCE:
        return None
    band = Band.of(context, style, lengths, num_frames)
    return band if choice == "always" or is_faster(band, num_frames, lengths.device) else None


class AttentionWindows:
    """What the frames of each layer see, in the place of the one mask that NeMo has for all layers.

    The encoder's forward hands it down as it would hand down a tensor; all that it does to it is to cut off the
    queries of cached frames, `windows[:, cache_len:]`. Layers with the same context share a mask.

    Args:
        make_mask: NeMo's mask of a context: True where a query must not see a key, (B, T, T)
        make_band: the band of a context; None where the full matrix is taken
        drawn: the context of the encoder, or the one of several that it has drawn: no layer sees more
        cap: no layer sees more than this either
        style: one of `STYLES`
    """

    def __init__(
        self,
        make_mask: Callable[[AttentionContext], Tensor],
        make_band: Callable[[AttentionContext], Band | None],
        drawn: AttentionContext,
        cap: AttentionContext,
        style: str,
    ):
        self._make_mask, self._make_band = make_mask, make_band
        self._drawn, self._cap, self._style = drawn, cap, style
        self._resolved: dict[tuple[int, int, bool], Tensor | Band] = {}

    def __getitem__(self, queries: Any) -> "AttentionWindows":
        """The same for some of the queries, indexed as the mask (B, T, T) would be."""
        make = self._make_mask
        return AttentionWindows(
            lambda context: make(context)[queries], self._make_band, self._drawn, self._cap, self._style
        )

    def of(self, own: Sequence[int] | None, takes_band: bool = True) -> Tensor | Band:
        """What a layer attends with.

        Args:
            own: the layer's own context `[left, right]`; None if it has none
            takes_band: False for attention that knows masks only
        """
        context = self._drawn if own is None else AttentionContext(*own).capped(self._cap, self._style)
        key = (context.left, context.right, takes_band)
        if key not in self._resolved:
            self._resolved[key] = self._resolve(context, takes_band)
        return self._resolved[key]

    def _resolve(self, context: AttentionContext, takes_band: bool) -> Tensor | Band:
        if context.chunk(self._style) != self._drawn.chunk(self._style):
            # no context says what both see
            return self._make_mask(context) | self._make_mask(self._drawn)
        context = context.within(self._drawn)
        band = self._make_band(context) if takes_band else None
        return self._make_mask(context) if band is None else band


def resolve(att_mask: Any, attention: nn.Module, takes_band: bool) -> Any:
    """What a layer attends with: its part of `AttentionWindows`; NeMo's mask, or None, as it is."""
    if not isinstance(att_mask, AttentionWindows):
        return att_mask
    return att_mask.of(getattr(attention, "att_context_size", None), takes_band)


def padding_mask(lengths: Tensor, num_frames: int, offset: Tensor | None = None) -> Tensor:
    """True in padding, (B, T): from `lengths` (B,) on, and before `offset` (B,), where a cache is not filled yet."""
    frames = torch.arange(num_frames, device=lengths.device)
    padding = frames >= lengths.unsqueeze(1)
    return padding if offset is None else padding | (frames < offset.unsqueeze(1))
