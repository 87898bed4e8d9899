# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""All that a session remembers of its streams, as arrays and numbers that can be saved."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nemo_streaming_ssl.onnx_session.encoder import EncoderState, OnnxEncoder
from nemo_streaming_ssl.onnx_session.graph import GraphState
from nemo_streaming_ssl.onnx_session.log_mel import LogMel, LogMelState

ARRAYS = {"features": ("tail", "last"), "encoder": ("waiting",)}
COUNTS = {"features": ("samples", "frames"), "encoder": ("heard", "made")}

ADDED = ("kind", "batch_size", "sample_rate", "precision", "nonfinite")  # what earlier versions did not save


@dataclass
class SessionState:
    """What the parts of a session remember.

    A stream that has had samples takes audio, one that has had feature frames without them takes features.

    Args:
        features, encoder: what the parts remember
        nonfinite: how many samples, or feature frames, of each stream silence has replaced
    """

    features: LogMelState
    encoder: EncoderState
    nonfinite: list[int]

    def has_audio(self, row: int) -> bool:
        """Whether a stream has had audio since its beginning."""
        return self.features.samples[row] > 0

    def has_features(self, row: int) -> bool:
        """Whether a stream has had features in place of audio since its beginning."""
        return self.encoder.heard[row] > 0 and not self.has_audio(row)

    def begun(self, rows: list[int]) -> list[int]:
        """Those of some streams that have had anything at all."""
        return [row for row in rows if self.has_audio(row) or self.has_features(row)]

    def count_nonfinite(self, replaced: Sequence[int]) -> None:
        """Adds how many of each stream's new samples, or feature frames, have been replaced."""
        self.nonfinite = [count + more for count, more in zip(self.nonfinite, replaced)]

    def reset(self, rows: Sequence[int]) -> None:
        """Puts streams back to their beginning."""
        if not rows:
            return
        for part, names in ARRAYS.items():
            for name in names:
                getattr(getattr(self, part), name)[rows] = 0.0
        for part, names in COUNTS.items():
            for name in names:
                counts = getattr(getattr(self, part), name)
                for row in rows:
                    counts[row] = 0
        for row in rows:
            self.nonfinite[row] = 0
        self.encoder.graph.put_rows(rows, None)

    def byte_count(self) -> int:
        """Memory of the arrays, in bytes."""
        arrays = [getattr(getattr(self, part), name) for part, names in ARRAYS.items() for name in names]
        return sum(array.nbytes for array in arrays) + self.encoder.graph.byte_count()

    def state_dict(self) -> dict[str, Any]:
        """Copies of everything, by name."""
        values: dict[str, Any] = {"nonfinite": list(self.nonfinite)}
        for part, names in ARRAYS.items():
            values.update({f"{part}.{name}": getattr(getattr(self, part), name).copy() for name in names})
        for part, names in COUNTS.items():
            values.update({f"{part}.{name}": list(getattr(getattr(self, part), name)) for name in names})
        return {**values, **{f"encoder.{name}": array for name, array in self.encoder.graph.arrays().items()}}


def loaded_state(values: Mapping[str, Any], like: SessionState) -> SessionState:
    """The state that `state_dict` made values of; `like` is one of the same session.

    Raises:
        ValueError: a value is of another kind or shape, by name
    """
    for name, own in like.state_dict().items():
        if _kind(values[name]) != _kind(own):
            raise ValueError(
                f"state {name!r} is {_kind(values[name])}, must be {_kind(own)} for this model and batch_size"
            )
        finite = np.isfinite(values[name])
        if isinstance(own, np.ndarray) and not finite.all():
            rows = np.flatnonzero(~finite.reshape(len(own), -1).all(axis=1)).tolist()
            raise ValueError(f"state {name!r} is not finite for streams {rows}")
    copies: dict[str, Any] = {
        name: value.copy() if isinstance(value, np.ndarray) else list(value) for name, value in values.items()
    }
    graph = GraphState({name: copies[f"encoder.{name}"] for name in like.encoder.graph.values})
    features = LogMelState(*(copies[f"features.{name}"] for name in (*ARRAYS["features"], *COUNTS["features"])))
    own_names = (*ARRAYS["encoder"], *COUNTS["encoder"])
    encoder = EncoderState(graph, *(copies[f"encoder.{name}"] for name in own_names))
    return SessionState(features, encoder, copies["nonfinite"])


def completed(state: Any, own: Mapping[str, Any]) -> dict[str, Any]:
    """A state with what earlier versions did not save.

    Args:
        state: to go on from
        own: the state of a session at its beginning

    Raises:
        ValueError: it is of another kind, or has not the names that a session's own has
    """
    if not isinstance(state, Mapping):
        raise ValueError(f"state is a {type(state).__name__}: must be what state_dict gave")
    state = {**{name: own[name] for name in ADDED}, **state}
    check_constants(state, {"kind": own["kind"]})
    for name in (*own, *state):
        if name not in own or name not in state:
            raise ValueError(f'state {name!r}: {"missing" if name in own else "unknown"}')
    return state


def check_constants(state: Mapping[str, Any], constants: Mapping[str, Any]) -> None:
    """Raises a ValueError unless what is fixed for a session is the same in a state."""
    for name, value in constants.items():
        if state[name] != value:
            raise ValueError(f"state {name!r} is {state[name]}, must be {value} here")


def check_counts(state: SessionState, front_end: LogMel, encoder: OnnxEncoder) -> None:
    """Raises a ValueError unless what each stream has had is what has come out of it."""
    for row, (samples, heard) in enumerate(zip(state.features.samples, state.encoder.heard)):
        features = front_end.ready_frames(samples)
        _check_count("features.frames", row, state.features.frames[row], features, f"{samples} samples")
        if samples:
            _check_count("encoder.heard", row, heard, features, f"{samples} samples")
        made = encoder.ready_frames(heard)
        _check_count("encoder.made", row, state.encoder.made[row], made, f"{heard} feature frames")


def _check_count(name: str, row: int, count: int, expected: int, after: str) -> None:
    if count != expected:
        raise ValueError(f"state {name!r} is {count} for stream {row}: must be {expected} after {after}")


def _kind(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"an array of shape {value.shape}, {value.dtype}"
    if isinstance(value, list) and all(type(number) is int and 0 <= number < 2**62 for number in value):
        return f"{len(value)} numbers >= 0"
    return f"a {type(value).__name__}"
