# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Feature frames that come in pieces through the graph, for streams of different ages."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nemo_streaming_ssl.onnx_session.description import Description
from nemo_streaming_ssl.onnx_session.graph import GraphState, StepGraph
from nemo_streaming_ssl.onnx_session.rows import slices_from
from nemo_streaming_ssl.overlay import overlay_module

plans: Any = overlay_module("plan")


@dataclass
class EncoderState:
    """What the encoder remembers of each stream.

    Args:
        graph: the tensors of the graph
        waiting: (B, P, D) the last feature frames, those that have not been used yet among them
        heard, made: feature frames that each stream has had, encoder frames that have come out
    """

    graph: GraphState
    waiting: np.ndarray
    heard: list[int]
    made: list[int]


class OnnxEncoder:
    """Encoder frames of feature frames that come in pieces.

    Args:
        description: of the export folder
        graph: its graph
    """

    def __init__(self, description: Description, graph: StepGraph):
        encoder, classes = description.encoder, description.values["classes"]
        self.graph, self.chunk = graph, int(encoder["chunk_encoder_frames"])
        self.factor, self.num_features = int(encoder["feature_frames_per_encoder_frame"]), int(
            description.audio["num_features"]
        )
        most = self.chunk if self.chunk > 1 else plans.MAX_FRAMES
        self.counts = plans.FrameCounts(self.factor, self.chunk, int(encoder["halvings"]), most)
        self.ready_frames = self.counts.ready
        self.sizes = [int(encoder["num_outputs"]), *([] if classes is None else [int(classes["count"])])]

    def initial_state(self, batch_size: int) -> EncoderState:
        """Streams of which no feature frame has come yet."""
        waiting = np.zeros((batch_size, self.factor * (self.chunk + 1), self.num_features), np.float32)
        return EncoderState(self.graph.initial_state(batch_size), waiting, [0] * batch_size, [0] * batch_size)

    def run(
        self, state: EncoderState, feats: np.ndarray, counts: Sequence[int], ending: Sequence[int]
    ) -> tuple[list[np.ndarray], list[int]]:
        """Encodes what is complete, and of streams that end all there is.

        Args:
            state: is changed. Streams that end must be reset before they go on.
            feats: (B, F, D) new feature frames
            counts: of these each row has its first `counts[row]`
            ending: rows of the streams that end
        Returns:
            each output (B, T', ...), and how many encoder frames each row has
        """
        first_new = state.waiting.shape[1]
        buffered = np.concatenate([state.waiting, feats], axis=1)
        plan = self.counts.plan(state.heard, state.made, counts, ending)
        most = max(plan.produced)
        together = [np.zeros((len(buffered), most, size), np.float32) for size in self.sizes]
        for turn in plan.turns:
            own = buffered if len(turn.rows) == len(buffered) else buffered[turn.rows]
            features = slices_from(own, [first_new + start for start in turn.starts], self.factor * turn.frames)
            for array, made in zip(together, self._run(state, turn, features)):
                for row, frames in zip(turn.rows, made):  # one that ends may have been given too many
                    end = min(turn.offset + turn.frames, plan.produced[row])
                    array[row, turn.offset : end] = frames[: end - turn.offset]
        state.waiting = slices_from(buffered, counts, first_new)
        state.heard, state.made = plan.heard, plan.made
        return together, plan.produced

    def _run(self, state: EncoderState, turn: Any, features: np.ndarray) -> list[np.ndarray]:
        """One step of some streams, or of all."""
        if len(turn.rows) == len(state.waiting):
            return self.graph.run(state.graph, features, turn.positions, turn.ends)
        some = state.graph.rows(turn.rows)
        outputs = self.graph.run(some, features, turn.positions, turn.ends)
        state.graph.put_rows(turn.rows, some)
        return outputs
