# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""What every streaming session does around its front end and its encoder, whatever computes these.

It counts, checks and remembers: which samples and frames have come, whose they are, and what a saved state must be. It
imports neither torch, NumPy nor NeMo: `StreamingEncoderSession` and `OnnxStreamingSession` are made of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeVar

# relative: without NeMo these files are found by `nemo_streaming_ssl/overlay.py`, under other names
from .arguments import ArrayLike, as_counts, as_features, as_rows, as_samples
from .batch_state import BatchState
from .features import LogMel
from .finite_input import FiniteInput

ADDED = (
    "kind",
    "batch_size",
    "sample_rate",
    "precision",
    "nonfinite",
    "decoding",
)  # what earlier versions did not save

Output = TypeVar("Output")


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


class Timing(NamedTuple):
    """Of a model.

    Args:
        sample_rate: in Hz
        factor: feature frames per encoder frame
        lookahead_ms: milliseconds
    """

    sample_rate: int
    factor: int
    lookahead_ms: float


class StreamingHost(Generic[Output]):
    """Streams of audio, side by side in a batch; the base of the sessions, which give it its parts by `_begin`."""

    kind = ""  # of session, in messages and saved states
    _state_class = SessionState
    batch_size: int
    _entered = False

    def _begin(self, front_end: LogMel, encoder: Any, like: Any, timing: Timing, on_nonfinite: str) -> None:
        """Puts the streams to their beginning.

        Args:
            front_end: makes feature frames
            encoder: has `chunk`, `initial_state(batch_size)`, `run(state, feats, counts, ending)` and
                `ready_frames(features)`
            like: an array of the type and on the device of what the encoder takes
            timing: of the model
            on_nonfinite: see `FiniteInput`
        """
        self._timing = timing
        self._arrays, self._front_end, self._encoder, self._like = front_end.arrays, front_end, encoder, like
        self._input = FiniteInput(on_nonfinite, front_end.silence(), front_end.arrays)
        self._state = self._initial_state()

    def _initial_state(self) -> SessionState:
        """Streams at their beginning."""
        size = self.batch_size
        return self._state_class(self._front_end.initial_state(size), self._encoder.initial_state(size), [0] * size)

    @property
    def chunk(self) -> int:
        """Encoder frames that come out together."""
        return self._encoder.chunk

    @property
    def sample_rate(self) -> int:
        """Of the audio that `push` takes, in Hz."""
        return self._timing.sample_rate

    @property
    def lookahead_ms(self) -> float:
        """How far beyond the sample that an encoder frame stands for the model looks, in milliseconds."""
        return self._timing.lookahead_ms

    @property
    def chunk_samples(self) -> int:
        """Samples between two outputs: what is best pushed at once."""
        return self.chunk * self._timing.factor * self._front_end.hop

    @property
    def current_frame(self) -> Any:
        """Feature frames of each stream heard so far, (B,): the first one that has not been heard yet."""
        return self._arrays.integers(self._state.encoder.heard, self._like)

    @property
    def nonfinite_samples(self) -> list[int]:
        """Samples, or feature frames, of each stream that silence has replaced since its beginning."""
        return list(self._state.nonfinite)

    def state_bytes(self) -> int:
        """Memory of the streams' state, in bytes; it is the same from the beginning on."""
        return sum(array.nbytes for _, array in self._state.tensors())

    def __enter__(self) -> Any:
        if self._entered:
            raise RuntimeError(f"this {self.kind} is in use already: it cannot be entered twice")
        self._entered = True
        return self

    def __exit__(self, *error: object) -> None:
        self._entered = False
        self.reset()

    def push(self, samples: ArrayLike, lengths: ArrayLike | None = None) -> Output:
        """Takes the next audio of every stream in.

        Args:
            samples: (B, N) floats at `sample_rate`, any N >= 0; a tensor, an array or a list
            lengths: (B,) how many of them each stream has, 0 to N; None: all N. Best on the CPU, or a list: the
                numbers are read.
        Returns:
            the encoder frames that are determined now, which may be none

        Raises:
            ValueError: samples that are not floats, not finite or beyond 100, a shape or length that does not fit, a
                stream that has had features, a model that is no longer as it was; the streams are then as they were
        """
        self._check_model(audio=True)
        samples = as_samples(self._arrays, samples, self.batch_size)
        counts = as_counts(self._arrays, lengths, self.batch_size, samples.shape[1], "samples")
        self._state.refuse_audio(counts)
        samples = self._arrays.cast(samples, self._arrays.float32)
        samples, replaced = self._input.samples(samples, counts, self._state.features.samples)
        self._state.count_nonfinite(replaced)
        feats, made = self._front_end.push(self._state.features, self._arrays.moved(samples, self._like), counts)
        return self._output(feats, made)

    def push_features(self, feats: ArrayLike, lengths: ArrayLike | None = None) -> Output:
        """Takes the next features of every stream in, in place of audio: what the model's preprocessor would make.

        A stream takes audio or features from its beginning to its end; the streams of a batch may differ.

        Args:
            feats: (B, D, F) floats, any F >= 0; a tensor, an array or a list
            lengths: (B,) how many of these frames each stream has, 0 to F; None: all F
        Returns:
            as from `push`

        Raises:
            ValueError: features that are not floats or not finite, a shape or length that does not fit, a stream that
                has had audio, a model that is no longer as it was; the streams are then as they were
        """
        self._check_model()
        feats = as_features(self._arrays, feats, self.batch_size, self._front_end.num_features)
        counts = as_counts(self._arrays, lengths, self.batch_size, feats.shape[2], "feature frames")
        self._state.refuse_features(counts)
        feats = self._arrays.cast(feats, self._like.dtype)
        feats, replaced = self._input.features(feats, counts, self._state.encoder.heard)
        self._state.count_nonfinite(replaced)
        return self._output(self._arrays.moved(feats, self._like).swapaxes(1, 2), counts)

    def flush(self, mask: ArrayLike | None = None) -> Output:
        """Ends streams: what is still waiting comes out, and they are at their beginning again.

        Args:
            mask: (B,) true for the streams that end; None for all
        Returns:
            the last encoder frames. A stream that has had no sample at all has none; one with less audio than a
            feature frame has the one that the model makes of it.

        Raises:
            ValueError: the mask is not one flag for each stream, or the model is no longer as it was
        """
        self._check_model()
        rows = as_rows(self._arrays, mask, self.batch_size)
        feats, made = self._front_end.flush(self._state.features, rows)
        output = self._output(feats, made, ending=self._state.begun(rows))
        self._reset(rows)
        return output

    def reset(self, mask: ArrayLike | None = None) -> None:
        """Puts streams back to their beginning; what was waiting is dropped.

        Args:
            mask: (B,) true for these streams; None for all

        Raises:
            ValueError: the mask is not one flag for each stream
        """
        self._reset(as_rows(self._arrays, mask, self.batch_size))

    def state_dict(self) -> dict[str, Any]:
        """All state as arrays (copies) and plain numbers; going on from it is exact to the bit."""
        return {**self._state.state_dict(), **self._constants()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Goes on from what `state_dict` gave, of a session with the same model, contexts and batch size.

        Raises:
            ValueError: something is missing, unknown or does not fit, by name; the session is then unchanged
        """
        loaded, constants = self._initial_state(), self._constants()
        state = completed(state, {**loaded.state_dict(), **constants})
        check_constants(state, constants)
        loaded.load_state_dict(state)
        self._check_counts(loaded)
        self._state = loaded

    def _constants(self) -> dict[str, Any]:
        """What must be the same in a session that goes on from a saved state."""
        sizes = {"batch_size": self.batch_size, "sample_rate": self.sample_rate, "chunk": self.chunk}
        return {"kind": self.kind, **self._own_constants(), **sizes}

    def _own_constants(self) -> dict[str, Any]:
        """Those of this kind of session."""
        raise NotImplementedError

    def _check_model(self, audio: bool = False) -> None:
        """Raises a ValueError if the model, for `audio` also its preprocessor, is no longer what it was."""

    def _output(self, feats: Any, counts: list[int], ending: Sequence[int] = ()) -> Output:
        """Encodes new feature frames (B, F, D), of which each row has its first `counts[row]`, and of the rows that are
        `ending` all that is left."""
        raise NotImplementedError

    def _reset(self, rows: list[int]) -> None:
        if not rows:
            return
        flags = self._arrays.integers([row in rows for row in range(self.batch_size)], self._like)
        self._state.reset(rows, flags > 0)

    def _check_counts(self, state: SessionState) -> None:
        """Raises a ValueError unless what each stream has had is what has come out of it: the samples determine the
        feature frames, and these the encoder frames."""
        for row, (samples, heard) in enumerate(zip(state.features.samples, state.encoder.heard)):
            features = self._front_end.ready_frames(samples)
            _check_count("features.frames", row, state.features.frames[row], features, f"{samples} samples")
            if samples:
                _check_count("encoder.heard", row, heard, features, f"{samples} samples")
            made = self._encoder.ready_frames(heard)
            _check_count("encoder.made", row, state.encoder.made[row], made, f"{heard} feature frames")


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
