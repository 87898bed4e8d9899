# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""The graph of a streaming step in onnxruntime, and the state of the streams that goes through it."""

from collections.abc import Sequence

import numpy as np
import onnxruntime

from nemo_streaming_ssl.onnx_session.description import Description, StateTensor


class GraphState:
    """The state's tensors, (B, ...) each; zeros are a stream at its beginning.

    They stay in onnxruntime from step to step. `arrays` copies them.
    """

    def __init__(self, arrays: dict[str, np.ndarray]):
        self.values = {name: onnxruntime.OrtValue.ortvalue_from_numpy(array) for name, array in arrays.items()}

    def arrays(self) -> dict[str, np.ndarray]:
        """Copies, by name."""
        return {name: np.array(value.numpy()) for name, value in self.values.items()}

    def rows(self, rows: Sequence[int]) -> "GraphState":
        """The state of some streams, a copy."""
        return GraphState({name: value.numpy()[rows] for name, value in self.values.items()})

    def put_rows(self, rows: Sequence[int], other: "GraphState") -> None:
        """Replaces the state of some streams."""
        for name, array in self.arrays().items():
            array[rows] = other.values[name].numpy()
            self.values[name] = onnxruntime.OrtValue.ortvalue_from_numpy(array)


class StepGraph:
    """One graph of an export folder.

    Args:
        description: of the folder
        precision: which graph, `float32` or `int8`
        left_contexts: the length of the past of each layer, in encoder frames
        threads: that one step may use; None: onnxruntime decides
    """

    def __init__(self, description: Description, precision: str, left_contexts: Sequence[int], threads: int | None):
        options = onnxruntime.SessionOptions()
        if threads is not None:
            options.intra_op_num_threads = threads
        path = str(description.graph(precision))
        self._session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self._state = description.state
        self._lefts = left_contexts
        self._outputs = ["encoded"] if description.values["classes"] is None else ["encoded", "log_probs"]

    def state_shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of each tensor of the state, without its batch dimension."""
        return {tensor.name: self._shape(tensor) for tensor in self._state}

    def _shape(self, tensor: StateTensor) -> tuple[int, ...]:
        if tensor.layer is None:
            return tuple(tensor.shape)
        return (tensor.shape[0], self._lefts[tensor.layer], *tensor.shape[2:])

    def initial_state(self, batch_size: int) -> GraphState:
        """Streams at their beginning."""
        shapes = self.state_shapes()
        return GraphState({name: np.zeros((batch_size, *shape), np.float32) for name, shape in shapes.items()})

    def run(
        self, state: GraphState, features: np.ndarray, positions: Sequence[int], ends: Sequence[int]
    ) -> list[np.ndarray]:
        """Makes T encoder frames of each stream.

        Args:
            state: is changed
            features: (B, S * T, D) feature frames
            positions: encoder frames that each stream has had
            ends: feature frames of each stream that ends, 2**62 for others
        Returns:
            encoder frames (B, T, D'), and log-probabilities (B, T, C) if the model has them
        """
        given = {
            "features": np.ascontiguousarray(features, np.float32),
            "position": np.asarray(positions, np.int64),
            "end": np.asarray(ends, np.int64),
        }
        feeds = {name: onnxruntime.OrtValue.ortvalue_from_numpy(array) for name, array in given.items()}
        names = [*self._outputs, *(tensor.next_name for tensor in self._state)]
        results = self._session.run_with_ort_values(names, {**feeds, **state.values})
        state.values = {tensor.name: value for tensor, value in zip(self._state, results[len(self._outputs) :])}
        return [value.numpy() for value in results[: len(self._outputs)]]
