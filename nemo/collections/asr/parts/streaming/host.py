# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""What every streaming session does around its front end and its encoder, whatever computes these.

It counts, checks and remembers: which samples and frames have come, whose they are, and what a saved state must be. It
imports neither torch, NumPy nor NeMo: `StreamingEncoderSession` and `OnnxStreamingSession` are made of it."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, TypeVar

# relative: without NeMo these files are found by `nemo_streaming_ssl/overlay.py`, under other names
from .arguments import ArrayLike, as_counts, as_features, as_rows, as_samples
from .features import LogMel
from .finite_input import FiniteInput
from .state import SessionState, check_constants, completed

Output = TypeVar("Output")
Session = TypeVar("Session", bound="StreamingHost")


class StreamingHost(Generic[Output]):
    """Streams of audio, side by side in a batch; the base of the sessions, which give it its parts by `_begin`."""

    kind = ""  # of session, in messages and saved states
    _state_class = SessionState
    batch_size: int
    _entered = False

    def _begin(
        self,
        front_end: LogMel,
        encoder: Any,
        like: Any,
        on_nonfinite: str,
        sample_rate: int,
        stride: int,
        lookahead_ms: float,
    ) -> None:
        """Puts the streams to their beginning.

        Args:
            front_end: makes feature frames
            encoder: has `chunk`, `initial_state(batch_size)`, `run(state, feats, counts, ending)` and
                `ready_frames(features)`
            like: an array of the type and on the device of what the encoder takes
            on_nonfinite: see `FiniteInput`
            sample_rate: in Hz
            stride: feature frames per encoder frame
            lookahead_ms: milliseconds
        """
        self._sample_rate, self._stride, self._lookahead_ms = sample_rate, stride, lookahead_ms
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
        return self._sample_rate

    @property
    def lookahead_ms(self) -> float:
        """How far beyond the sample that an encoder frame stands for the model looks, in milliseconds."""
        return self._lookahead_ms

    @property
    def chunk_samples(self) -> int:
        """Samples between two outputs: what is best pushed at once."""
        return self.chunk * self._stride * self._front_end.hop

    @property
    def current_frame(self) -> Any:
        """Feature frames of each stream heard so far, (B,): the first one that has not been heard yet."""
        return self._array(self._state.encoder.heard)

    @property
    def nonfinite_samples(self) -> list[int]:
        """Samples, or feature frames, of each stream that silence has replaced since its beginning."""
        return list(self._state.nonfinite)

    def state_bytes(self) -> int:
        """Memory of the streams' state, in bytes; it is the same from the beginning on."""
        return sum(array.nbytes for _, array in self._state.tensors())

    def __enter__(self: Session) -> Session:
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
        self._refuse("audio", "features", self._state.has_features, counts)
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
        self._refuse("features", "audio", self._state.has_audio, counts)
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
        """All state as copied tensors or arrays and numbers, to be saved; going on from it is exact to the bit."""
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
        loaded.check_counts(self._front_end.ready_frames, self._encoder.ready_frames)
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
        """Encodes new feature frames (B, F, D), of which each row has its first `counts[row]`; of the rows that are
        `ending` all that is left."""
        raise NotImplementedError

    @staticmethod
    def _refuse(new: str, before: str, has_had: Callable[[int], bool], counts: Sequence[int]) -> None:
        """Raises a ValueError if streams that have had the one get the other."""
        rows = [row for row, count in enumerate(counts) if count and has_had(row)]
        if rows:
            raise ValueError(
                f"{new} for streams {rows}, which have had {before}: a stream takes audio or features; flush or reset "
                "it before it takes the other"
            )

    def _reset(self, rows: list[int]) -> None:
        if not rows:
            return
        self._state.reset(rows, self._array([row in rows for row in range(self.batch_size)]))

    def _array(self, values: Sequence[int]) -> Any:
        """Numbers or flags, where the encoder is."""
        return self._arrays.moved(self._arrays.as_array(values), self._like)
