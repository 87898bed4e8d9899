# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""The streaming forward of a Conformer encoder: feature frames of any number, in steps, on memory of its own."""

from collections.abc import Sequence

import torch
from torch import Tensor

from nemo.collections.asr.parts.streaming.batch_rows import put_rows, row_index, slices_from
from nemo.collections.asr.parts.streaming.plan import FrameCounts, Plan, Turn
from nemo.collections.asr.parts.streaming.step.edges import Edges
from nemo.collections.asr.parts.streaming.step.past import EncoderState
from nemo.collections.asr.parts.streaming.step.step import StreamingStep


class StreamingEncoder:
    """NeMo's cache-aware `ConformerEncoder` in eval mode, for features that come in pieces.

    Args:
        step: of the encoder
    """

    def __init__(self, step: StreamingStep):
        weight: Tensor = step.subsampling.linear.weight
        self.step, self.chunk, self.device, self.dtype = step, step.chunk, weight.device, weight.dtype
        self.counts = FrameCounts(step.factor, step.chunk, len(step.subsampling.stages), step.most)
        self.ready_frames = self.counts.ready
        self.initial_state = step.initial_memory

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
        plan = self.counts.plan(state.heard, state.made, counts, ending)
        made = [self._take(state, buffered, turn) for turn in plan.turns]
        waiting.copy_(slices_from(buffered, counts, waiting.size(1)))
        state.heard[:], state.made[:] = plan.heard, plan.made
        return self._assemble(plan, made), plan.produced

    def _take(self, state: EncoderState, buffered: Tensor, turn: Turn) -> tuple[Tensor | None, Tensor]:
        """One step on features in `buffered` (B, P + F, D): which streams took it, None for all, and their frames."""
        rows = row_index(turn.rows, buffered.size(0), self.device)
        own = buffered if rows is None else buffered.index_select(0, rows)
        # the first convolution also sees the frame before: here it is among those that are waiting
        before = 1 if self.step.subsampling.stages else 0
        first_new = state.subsampling.waiting.size(1)
        starts = [first_new + start - before for start in turn.starts]
        features = slices_from(own, starts, before + self.step.factor * turn.frames)
        edges = Edges.of(turn.positions, turn.ends, self.step.longest, self.device)
        return rows, self.step.run(features, state, edges, rows)

    def _assemble(self, plan: Plan, made: list[tuple[Tensor | None, Tensor]]) -> Tensor:
        """Puts the steps together, (B, T', D'); zeros where a stream has none."""
        if plan.is_one_piece:
            return made[0][1].to(self.dtype)
        most, size = max(plan.produced), (len(plan.produced), max(plan.produced), self.step.num_outputs)
        together = torch.zeros(size, device=self.device, dtype=self.dtype)
        for turn, (rows, frames) in zip(plan.turns, made):
            count = min(turn.frames, most - turn.offset)
            put_rows(together.narrow(1, turn.offset, count), rows, frames.narrow(1, 0, count))
        if min(plan.produced) < most:
            produced = torch.tensor(plan.produced, device=self.device).view(-1, 1, 1)
            index = torch.arange(most, device=self.device).view(1, -1, 1)
            together.masked_fill_(index >= produced, 0.0)  # what a stream that ended was given too many
        return together

    def stream(self, features: Tensor) -> Tensor:
        """A whole stream in two pieces, (1, F, D) -> (1, T', D')."""
        state, pieces = self.initial_state(1), features.to(self.device).tensor_split(2, dim=1)
        made = [self.run(state, piece, [piece.size(1)], ending)[0] for piece, ending in zip(pieces, ((), (0,)))]
        return torch.cat(made, dim=1).to(features.device)
