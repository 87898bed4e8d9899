# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""The streaming forward of a Conformer encoder: which frames are encoded together, subsampling, layers, masks."""

import copy
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, NamedTuple

import torch
from torch import Tensor

from nemo.collections.asr.parts.contexts import AttentionContext
from nemo.collections.asr.parts.streaming.attention import band_mask, hide_empty
from nemo.collections.asr.parts.streaming.batch_rows import put_rows, row_index, slices_from
from nemo.collections.asr.parts.streaming.batch_state import BatchState
from nemo.collections.asr.parts.streaming.conformer_layer import LayerState, StreamingLayer
from nemo.collections.asr.parts.streaming.requirements import subsampling_of
from nemo.collections.asr.parts.streaming.subsampling import StreamingSubsampling, SubsamplingState

# Encoder frames that are made in one go when a piece of audio is long: bounds the memory, and keeps it fast.
MAX_FRAMES = 64


@dataclass
class EncoderState(BatchState):
    """What the encoder remembers of each stream.

    Args:
        subsampling, layers: what they remember
        heard: feature frames that each stream has had
        made: encoder frames of each stream that have come out
    """

    subsampling: SubsamplingState
    layers: list[LayerState]
    heard: list[int]
    made: list[int]


class Step(NamedTuple):
    """Encoder frames of a stream that are made in one go; what streams have alike is made together.

    Args:
        is_first: whether they are the first ones of the stream
        is_last: whether the stream ends with them
        features: new feature frames that they take
        frames: how many they are
        offset: where they go among those that this call makes
    """

    is_first: bool
    is_last: bool
    features: int
    frames: int
    offset: int


class Encoded(NamedTuple):
    """What came of a step: the streams (b,), None for all, where their frames go, and these, (b, T', D')."""

    rows: Tensor | None
    offset: int
    frames: Tensor


def alike(plans: Iterable[Sequence[Step]]) -> Iterator[tuple[Step, list[int]]]:
    """The steps of all streams, those of one stream in their order, each with the rows of the streams that take it."""
    for turn in zip_longest(*plans):
        rows_of: dict[Step, list[int]] = {}
        for row, step in enumerate(turn):
            if step is not None:
                rows_of.setdefault(step, []).append(row)
        yield from rows_of.items()


class StreamingEncoder:
    """NeMo's cache-aware `ConformerEncoder` in eval mode, for features that come in pieces.

    Args:
        encoder: the model's
        contexts: in which each layer attends, encoder frames; none is unlimited
        factor: feature frames per encoder frame
        num_features: features per feature frame
    """

    def __init__(self, encoder: Any, contexts: Sequence[AttentionContext], factor: int, num_features: int):
        parameter = next(encoder.parameters())
        self.device, self.dtype = parameter.device, parameter.dtype
        self.chunk = contexts[0].right + 1
        self.max_frames = max(MAX_FRAMES - MAX_FRAMES % self.chunk, self.chunk)
        self.lefts = [context.left // self.chunk * self.chunk for context in contexts]
        self.scale, self.out_proj = encoder.pos_enc.xscale, encoder.out_proj
        self.num_outputs = encoder.d_model if self.out_proj is None else self.out_proj.out_features
        self.subsampling = StreamingSubsampling(subsampling_of(encoder), factor, self.chunk, num_features)
        positions = {left: self._positions(encoder.pos_enc, left) for left in set(self.lefts)}
        self.layers = [
            StreamingLayer(layer, left, self.max_frames, positions[left])
            for layer, left in zip(encoder.layers, self.lefts)
        ]
        self._bands: dict[tuple[int, int], Tensor] = {}

    def _positions(self, encoding: Any, left: int) -> Tensor:
        """Embeddings of the relations left + max_frames - 1 down to 1 - max_frames, (1, R, D)."""
        reach = left + self.max_frames
        if encoding.pe.size(1) < 2 * reach - 1:
            encoding = copy.deepcopy(encoding)  # the model's own table stays as long as it is
            encoding.extend_pe(reach, self.device, self.dtype)
        table = encoding.pe  # relations descend to both sides of its middle, which is 0
        return table.narrow(1, table.size(1) // 2 - reach + 1, reach + self.max_frames - 1).to(self.device, self.dtype)

    def initial_state(self, batch_size: int) -> EncoderState:
        """Streams of which no feature frame has come yet."""
        layers = [layer.initial_state(batch_size) for layer in self.layers]
        return EncoderState(self.subsampling.initial_state(batch_size), layers, [0] * batch_size, [0] * batch_size)

    def ready_frames(self, features: int) -> int:
        """How many encoder frames have come out of so many feature frames of a stream: whole chunks."""
        frames = self.subsampling.ready(features, first=True)
        return frames - frames % self.chunk

    def run(
        self, state: EncoderState, feats: Tensor, counts: Sequence[int], ending: Sequence[int]
    ) -> tuple[Tensor, list[int]]:
        """Encodes what is complete, and of streams that end all there is.

        Args:
            state: is changed. Streams that end must be reset before they go on.
            feats: (B, F, D) new feature frames
            counts: of these each row has its first `counts[row]`
            ending: rows of the streams that end
        Returns:
            (B, T', D') encoder frames, and how many each row has
        """
        waiting = state.subsampling.waiting
        buffered = torch.cat([waiting, feats.to(self.dtype)], dim=1)
        begins = [waiting.size(1) - heard for heard in state.heard]  # where in it a stream's first frame would be
        state.heard[:] = [heard + count for heard, count in zip(state.heard, counts)]
        plans = [self._plan(state.heard[row], state.made[row], row in ending) for row in range(len(counts))]
        encoded = [self._encode(state, buffered, begins, step, rows) for step, rows in alike(plans)]
        waiting.copy_(slices_from(buffered, counts, waiting.size(1)))
        produced = [sum(step.frames for step in steps) for steps in plans]
        return self._assemble(encoded, produced), produced

    def stream(self, features: Tensor) -> Tensor:
        """A whole stream in two pieces, (1, F, D) -> (1, T', D')."""
        state, pieces = self.initial_state(1), features.tensor_split(2, dim=1)
        made = [self.run(state, piece, [piece.size(1)], ending)[0] for piece, ending in zip(pieces, ((), (0,)))]
        return torch.cat(made, dim=1)

    def _plan(self, heard: int, made: int, ends: bool) -> list[Step]:
        """The steps in which a stream goes on that has had `heard` feature frames, and of which `made` encoder frames
        have come out."""
        steps: list[Step] = []
        waiting, is_first, offset = heard - self._used(made), made == 0, 0
        while frames := self._whole_chunks(waiting, is_first):
            steps.append(Step(is_first, False, self.subsampling.needed(frames, is_first), frames, offset))
            waiting, is_first, offset = waiting - steps[-1].features, False, offset + frames
        rest = self.subsampling.rest(waiting, is_first) if ends else 0
        return [*steps, Step(is_first, True, waiting, rest, offset)] if rest else steps

    def _whole_chunks(self, features: int, is_first: bool) -> int:
        """How many encoder frames can be made now of feature frames that are waiting, at most a step."""
        frames = min(self.subsampling.ready(features, is_first), self.max_frames)
        return frames - frames % self.chunk

    def _used(self, made: int) -> int:
        """How many feature frames of a stream were needed for its encoder frames."""
        return self.subsampling.needed(made, first=True) if made else 0

    def _encode(
        self, state: EncoderState, buffered: Tensor, begins: list[int], step: Step, rows: list[int]
    ) -> Encoded:
        """One step of these rows; `buffered` (B, P + F, D) has the feature frames."""
        index = row_index(rows, len(begins), self.device)
        starts = [begins[row] + self._used(state.made[row]) - 1 for row in rows]
        own = buffered if index is None else buffered.index_select(0, index)
        inputs = slices_from(own, starts, 1 + step.features)
        x = self.subsampling.run(state.subsampling, inputs, index, step.is_first, step.is_last)
        x = x * self.scale if self.scale else x
        masks = self._masks([state.made[row] for row in rows], step.frames)
        for layer, layer_state, left in zip(self.layers, state.layers, self.lefts):
            x = layer.run(x, layer_state, index, masks[left])
        for row in rows:
            state.made[row] += step.frames
        return Encoded(index, step.offset, x if self.out_proj is None else self.out_proj(x))

    def _masks(self, filled: list[int], frames: int) -> dict[int, Tensor | None]:
        """The attention mask of each left context; None where all that is in memory may be seen."""
        masks = {}
        for left in set(self.lefts):
            masks[left] = self._band(left, frames)
            if min(filled) < left:
                empty = hide_empty(torch.tensor(filled, device=self.device), left, frames).to(self.dtype)
                band = masks[left]
                masks[left] = empty if band is None else torch.minimum(empty, band)
        return masks

    def _band(self, left: int, frames: int) -> Tensor | None:
        """The mask of several chunks, made once."""
        if frames <= self.chunk:
            return None
        if (left, frames) not in self._bands:
            self._bands[left, frames] = band_mask(left, frames, self.chunk).to(self.device, self.dtype)
        return self._bands[left, frames]

    def _assemble(self, parts: list[Encoded], produced: list[int]) -> Tensor:
        """Puts the steps together, (B, T', D'); zeros where a stream has none."""
        if len(parts) == 1 and parts[0].rows is None:
            return parts[0].frames.to(self.dtype)
        shape = (len(produced), max(produced), self.num_outputs)
        together = torch.zeros(shape, device=self.device, dtype=self.dtype)
        for part in parts:
            put_rows(together.narrow(1, part.offset, part.frames.size(1)), part.rows, part.frames)
        return together
