# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""All that a session remembers of its streams, and whether a saved state can be one of a session."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nemo.collections.asr.parts.streaming.batch_state import BatchState
from nemo.collections.asr.parts.streaming.encoder import EncoderState, StreamingEncoder
from nemo.collections.asr.parts.streaming.log_mel import LogMelState, StreamingLogMel

ADDED = ("kind", "batch_size", "sample_rate", "nonfinite")  # what earlier versions did not save


@dataclass
class SessionState(BatchState):
    """What the parts of a session remember; see there.

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

    def refuse_audio(self, counts: Sequence[int]) -> None:
        """Raises a ValueError if a stream that has had features gets samples."""
        _refuse("audio", "features", [row for row, n in enumerate(counts) if n and self.has_features(row)])

    def refuse_features(self, counts: Sequence[int]) -> None:
        """Raises a ValueError if a stream that has had samples gets features."""
        _refuse("features", "audio", [row for row, n in enumerate(counts) if n and self.has_audio(row)])


def _refuse(new: str, before: str, rows: list[int]) -> None:
    if rows:
        raise ValueError(
            f"{new} for streams {rows}, which have had {before}: a stream takes audio or features; flush or reset it "
            "before it takes the other"
        )


def completed(state: Any, own: Mapping[str, Any], added: Sequence[str] = ADDED) -> dict[str, Any]:
    """A state with what earlier versions did not save.

    Args:
        state: to go on from
        own: the state of a session at its beginning
        added: what earlier versions did not save

    Raises:
        ValueError: it is of another kind, or has not the names that a session's own has
    """
    if not isinstance(state, Mapping):
        raise ValueError(f"state is a {type(state).__name__}: must be what state_dict gave")
    state = {**{name: own[name] for name in added}, **state}
    check_constants(state, {"kind": own["kind"]})
    for name in (*own, *state):
        if name not in own or name not in state:
            raise ValueError(f"state {name!r}: {'missing' if name in own else 'unknown'}")
    return state


def check_constants(state: Mapping[str, Any], constants: Mapping[str, Any]) -> None:
    """Raises a ValueError unless what is fixed for a session is the same in a state."""
    for name, value in constants.items():
        if state[name] != value:
            raise ValueError(f"state {name!r} is {state[name]}, must be {value} here")


def check_counts(state: SessionState, front_end: StreamingLogMel, encoder: StreamingEncoder) -> None:
    """Raises a ValueError unless what each stream has had is what has come out of it.

    The samples determine the feature frames, and these the encoder frames.
    """
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
