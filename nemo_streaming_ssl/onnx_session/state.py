# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""The state of a session whose encoder keeps its arrays in onnxruntime."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import onnxruntime

from nemo_streaming_ssl.overlay import overlay_module

SessionState: Any = overlay_module("state").SessionState
Entry: Any = overlay_module("batch_state").Entry


class GraphEntry(Entry):
    """One tensor of the graph's state, `owner` being that; `value` is a copy of it."""

    def reset(self, rows: Sequence[int], mask: np.ndarray) -> None:
        """Zeros for some streams."""
        super().reset(rows, mask)
        self.load(self.value)

    def load(self, value: np.ndarray) -> None:
        """Takes over an array of the same shape."""
        self.owner.values[self.attribute] = onnxruntime.OrtValue.ortvalue_from_numpy(value.copy())


class GraphSessionState(SessionState):
    """See `SessionState`; the encoder's is an `EncoderState`, whose arrays are named like the graph's inputs."""

    def entries(self, path: str = "") -> Iterator[Any]:
        """Everything that is remembered."""
        encoder = self.encoder
        yield Entry(self, "nonfinite", "nonfinite", self.nonfinite)
        yield from self.features.entries("features.")
        for name in ("waiting", "heard", "made"):
            yield Entry(encoder, name, f"encoder.{name}", getattr(encoder, name))
        for name, array in encoder.graph.arrays().items():
            yield GraphEntry(encoder.graph, name, f"encoder.{name}", array)
