# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""All that a session remembers of its streams, and whether a saved state can be one of a session."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

# relative: without NeMo these files are found by `nemo_streaming_ssl/overlay.py`, under other names
from .batch_state import BatchState

Frames = Callable[[int], int]

# what earlier versions did not save
ADDED = ("kind", "batch_size", "sample_rate", "precision", "nonfinite", "decoding")


@dataclass
class SessionState(BatchState):
    """What the parts of a session remember; see there.

    A stream that has had samples takes audio, one that has had feature frames without them takes features.

    Args:
        features, encoder: what the parts remember
        nonfinite: how many samples, or feature frames, of each stream silence has replaced
    """

    features: Any
    encoder: Any
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

    def check_counts(self, feature_frames: Frames, encoder_frames: Frames) -> None:
        """Raises a ValueError unless what each stream has had is what has come out of it.

        Args:
            feature_frames: how many have come out of so many samples
            encoder_frames: how many have come out of so many feature frames
        """
        for row, (samples, heard) in enumerate(zip(self.features.samples, self.encoder.heard)):
            features = feature_frames(samples)
            _check_count("features.frames", row, self.features.frames[row], features, f"{samples} samples")
            if samples:
                _check_count("encoder.heard", row, heard, features, f"{samples} samples")
            made = encoder_frames(heard)
            _check_count("encoder.made", row, self.encoder.made[row], made, f"{heard} feature frames")


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
    state = {**{name: own[name] for name in ADDED if name in own}, **state}
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


def _check_count(name: str, row: int, count: int, expected: int, after: str) -> None:
    if count != expected:
        raise ValueError(f"state {name!r} is {count} for stream {row}: must be {expected} after {after}")
