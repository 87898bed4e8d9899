# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Which feature frames go through the graph together, for streams of different ages."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from nemo_streaming_ssl.onnx_session.description import Description
from nemo_streaming_ssl.onnx_session.graph import NO_END, GraphState, StepGraph
from nemo_streaming_ssl.onnx_session.rows import slices_from

# Encoder frames that are made in one go when a piece of audio is long: bounds the memory, and keeps it fast.
MAX_FRAMES = 64


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


class Encoded:
    """What comes out of one call, (B, T', ...) for each output of the graph: zeros where a stream has none."""

    def __init__(self, produced: Sequence[int], sizes: Sequence[int]):
        self.produced = list(produced)
        self.arrays = [np.zeros((len(produced), max(produced), size), np.float32) for size in sizes]

    def put(self, rows: Sequence[int], offsets: Sequence[int], outputs: Sequence[np.ndarray]) -> None:
        """Frames of some streams from their offsets on; what a stream has too many is left out."""
        for array, output in zip(self.arrays, outputs):
            for i, (row, offset) in enumerate(zip(rows, offsets)):
                count = min(output.shape[1], self.produced[row] - offset)
                array[row, offset : offset + count] = output[i, :count]


class OnnxEncoder:
    """Encoder frames of feature frames that come in pieces.

    Args:
        description: of the export folder
        graph: its graph
    """

    def __init__(self, description: Description, graph: StepGraph):
        encoder = description.encoder
        self.graph = graph
        self.factor, self.chunk = int(encoder["feature_frames_per_encoder_frame"]), int(
            encoder["chunk_encoder_frames"]
        )
        self.stages, self.num_features = int(encoder["halvings"]), int(description.audio["num_features"])
        self.max_frames = self.chunk if self.chunk > 1 else MAX_FRAMES
        classes = description.values["classes"]
        self.sizes = [int(encoder["num_outputs"]), *([] if classes is None else [int(classes["count"])])]

    def initial_state(self, batch_size: int) -> EncoderState:
        """Streams of which no feature frame has come yet."""
        waiting = np.zeros((batch_size, self.factor * (self.chunk + 1), self.num_features), np.float32)
        return EncoderState(self.graph.initial_state(batch_size), waiting, [0] * batch_size, [0] * batch_size)

    def ready_frames(self, features: int) -> int:
        """How many encoder frames have come out of so many feature frames of a stream: whole chunks."""
        frames = -(-features // self.factor)
        return frames - frames % self.chunk

    def total_frames(self, features: int) -> int:
        """How many encoder frames a stream of so many feature frames has in all."""
        for _ in range(self.stages):
            features = features // 2 + 1
        return features

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
        size = state.waiting.shape[1]
        buffered = np.concatenate([state.waiting, feats], axis=1)
        for row, count in enumerate(counts):
            buffered[row, size + count :] = 0.0  # it may be anything, and not even numbers
        begins = [size - heard for heard in state.heard]  # where in it a stream's first frame would be
        state.heard = [heard + count for heard, count in zip(state.heard, counts)]
        state.waiting = slices_from(buffered, counts, size)
        until = [
            self.total_frames(heard) if row in ending else self.ready_frames(heard)
            for row, heard in enumerate(state.heard)
        ]
        encoded = Encoded([end - made for end, made in zip(until, state.made)], self.sizes)
        before = list(state.made)
        for rows, frames in self._turns(state.made, until, ending):
            outputs = self._step(state, buffered, begins, rows, frames, ending)
            encoded.put(rows, [state.made[row] - before[row] for row in rows], outputs)
            for row in rows:
                state.made[row] = min(state.made[row] + frames, until[row])
        return encoded.arrays, encoded.produced

    def _turns(self, made: list[int], until: Sequence[int], ending: Sequence[int]) -> Iterator[tuple[list[int], int]]:
        """Rows that go through the graph together, and how many frames of each, until all are made.

        A stream that ends may be given more frames than it has: they come to nothing.
        """
        while rows := [row for row in range(len(made)) if made[row] < until[row]]:
            going_on = [until[row] - made[row] for row in rows if row not in ending]
            wanted = min(going_on) if going_on else max(until[row] - made[row] for row in rows)
            yield rows, min(wanted, self.max_frames)

    def _step(
        self,
        state: EncoderState,
        buffered: np.ndarray,
        begins: Sequence[int],
        rows: list[int],
        frames: int,
        ending: Sequence[int],
    ) -> list[np.ndarray]:
        starts = [begins[row] + self.factor * (state.made[row] - 1) + 1 for row in rows]
        everything = len(rows) == len(begins)
        features = slices_from(buffered if everything else buffered[rows], starts, self.factor * frames)
        positions = [state.made[row] for row in rows]
        ends = [state.heard[row] if row in ending else NO_END for row in rows]
        if everything:
            return self.graph.run(state.graph, features, positions, ends)
        some = state.graph.rows(rows)
        outputs = self.graph.run(some, features, positions, ends)
        state.graph.put_rows(rows, some)
        return outputs
