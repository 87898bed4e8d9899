# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Features, and log-probabilities of CTC, of an exported encoder from audio that comes in pieces.

    with OnnxStreamingSession('folder', batch_size=2) as session:
        for samples in pieces:                # (2, N) floats at session.sample_rate, N may be anything
            output = session.push(samples)    # output.features (2, D, T'), output.lengths (2,)
        output = session.flush()              # what was waiting for more; both streams are at their beginning again
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nemo_streaming_ssl.onnx_session.arguments import (
    ArrayLike,
    as_counts,
    as_features,
    as_left_contexts,
    as_rows,
    as_samples,
    check_integer,
)
from nemo_streaming_ssl.onnx_session.description import read_description
from nemo_streaming_ssl.onnx_session.encoder import OnnxEncoder
from nemo_streaming_ssl.onnx_session.finite_input import FiniteInput
from nemo_streaming_ssl.onnx_session.graph import StepGraph
from nemo_streaming_ssl.onnx_session.log_mel import LogMel
from nemo_streaming_ssl.onnx_session.state import SessionState, check_constants, check_counts, completed, loaded_state


@dataclass
class OnnxStreamingOutput:
    """What came out of one call.

    Args:
        features: (B, D, T') encoder features, zeros from `lengths[row]` on
        lengths: (B,) how many encoder frames of each stream came out
        log_probs: (B, T', C), if the session was asked for them; zeros from `lengths[row]` on
        tokens: (B, T') the most probable class of each frame, if the session was asked for them
    """

    features: np.ndarray
    lengths: np.ndarray
    log_probs: np.ndarray | None = None
    tokens: np.ndarray | None = None


class OnnxStreamingSession:
    """Streams of audio, side by side in a batch, through an exported model; it holds all their state.

    It gives what a `StreamingEncoderSession` of the model gives, within 1e-4 in float32, and has its methods. It takes
    and returns NumPy arrays. State and time per piece do not grow with a stream's length.

    Args:
        folder: what `nemo-streaming-ssl export` wrote
        batch_size: number of streams
        left_contexts: left context in encoder frames, one for all layers (a layer that was exported with a shorter one
            keeps it) or one for each, at most the exported ones, and multiples of the chunk; None: the exported ones
        precision: which graph is run, `float32` or, if there is one, `int8`
        threads: of onnxruntime; None: as many as it takes by itself
        return_log_probs: outputs have `log_probs`
        return_tokens: outputs have `tokens`
        on_nonfinite: `raise` refuses samples and features that are not finite; `zero` puts silence in their place and
            counts them in `nonfinite_samples`

    Raises:
        ValueError: the folder is no export; an argument that is out of its range or that the model has no part for
    """

    def __init__(
        self,
        folder: Any,
        batch_size: int = 1,
        left_contexts: None | int | Sequence[int] = None,
        precision: str = "float32",
        threads: int | None = None,
        return_log_probs: bool = False,
        return_tokens: bool = False,
        on_nonfinite: str = "raise",
    ):
        self._description = read_description(folder)
        self.batch_size = check_integer("batch_size", batch_size, 1)
        encoder = self._description.encoder
        self.left_contexts = as_left_contexts(left_contexts, encoder["left_contexts_encoder_frames"], self.chunk)
        threads = None if threads is None else check_integer("threads", threads, 1)
        if (return_log_probs or return_tokens) and self._description.values["classes"] is None:
            raise ValueError("return_log_probs and return_tokens need a model that was exported with a CTC decoder")
        self.return_log_probs, self.return_tokens = return_log_probs, return_tokens
        self._entered = False
        self._front_end = LogMel(self._description)
        self._input = FiniteInput(on_nonfinite, self._front_end.silence())
        graph = StepGraph(self._description, precision, self.left_contexts, threads)
        self.precision = precision
        self._encoder = OnnxEncoder(self._description, graph)
        self._state = self._initial_state()

    def _initial_state(self) -> SessionState:
        size = self.batch_size
        return SessionState(self._front_end.initial_state(size), self._encoder.initial_state(size), [0] * size)

    @property
    def chunk(self) -> int:
        """Encoder frames that come out together."""
        return int(self._description.encoder["chunk_encoder_frames"])

    @property
    def sample_rate(self) -> int:
        """Of the audio that `push` takes, in Hz."""
        return int(self._description.audio["sample_rate_hz"])

    @property
    def lookahead_ms(self) -> float:
        """How far beyond the sample that an encoder frame stands for the model looks, in milliseconds."""
        return float(self._description.encoder["lookahead_ms"])

    @property
    def chunk_samples(self) -> int:
        """Samples between two outputs: what is best pushed at once."""
        return self.chunk * self._encoder.factor * self._front_end.hop

    @property
    def vocabulary(self) -> list[str] | None:
        """The text of each class but the blank, which is the last one; None if the export does not say it."""
        classes = self._description.values["classes"]
        return None if classes is None else classes["vocabulary"]

    @property
    def current_frame(self) -> np.ndarray:
        """Feature frames of each stream heard so far, (B,): the first one that has not been heard yet."""
        return np.array(self._state.encoder.heard, np.int64)

    @property
    def nonfinite_samples(self) -> list[int]:
        """Samples, or feature frames, of each stream that silence has replaced since its beginning."""
        return list(self._state.nonfinite)

    def state_bytes(self) -> int:
        """Memory of the streams' state, in bytes; it is the same from the beginning on."""
        return self._state.byte_count()

    def __enter__(self) -> "OnnxStreamingSession":
        if self._entered:
            raise RuntimeError("this OnnxStreamingSession is in use already: it cannot be entered twice")
        self._entered = True
        return self

    def __exit__(self, *error: object) -> None:
        self._entered = False
        self.reset()

    def push(self, samples: ArrayLike, lengths: ArrayLike | None = None) -> OnnxStreamingOutput:
        """Takes the next audio of every stream in.

        Args:
            samples: (B, N) floats at `sample_rate`, any N >= 0
            lengths: (B,) how many of them each stream has, 0 to N; None: all N
        Returns:
            the encoder frames that are determined now, which may be none

        Raises:
            ValueError: samples that are not floats, not finite or beyond 100, a shape or length that does not fit, a
                stream that has had features; the streams are then as they were
        """
        samples = as_samples(samples, self.batch_size)
        counts = as_counts(lengths, self.batch_size, samples.shape[1], "samples")
        self._refuse("audio", "features", [row for row, n in enumerate(counts) if n and self._state.has_features(row)])
        samples, replaced = self._input.samples(samples, counts, self._state.features.samples)
        self._state.count_nonfinite(replaced)
        feats, made = self._front_end.push(self._state.features, samples, counts)
        return self._output(feats, made)

    def push_features(self, feats: ArrayLike, lengths: ArrayLike | None = None) -> OnnxStreamingOutput:
        """Takes the next features of every stream in, in place of audio: what the model's preprocessor would make.

        Args:
            feats: (B, D, F) floats, any F >= 0
            lengths: (B,) how many of these frames each stream has, 0 to F; None: all F
        Returns:
            as from `push`

        Raises:
            ValueError: features that are not floats or not finite, a shape or length that does not fit, a stream that
                has had audio; the streams are then as they were
        """
        feats = as_features(feats, self.batch_size, self._front_end.num_features)
        counts = as_counts(lengths, self.batch_size, feats.shape[2], "feature frames")
        self._refuse("features", "audio", [row for row, n in enumerate(counts) if n and self._state.has_audio(row)])
        feats, replaced = self._input.features(feats, counts, self._state.encoder.heard)
        self._state.count_nonfinite(replaced)
        return self._output(feats.transpose(0, 2, 1), counts)

    def flush(self, mask: ArrayLike | None = None) -> OnnxStreamingOutput:
        """Ends streams: what is still waiting comes out, and they are at their beginning again.

        Args:
            mask: (B,) true for the streams that end; None for all
        Returns:
            the last encoder frames; none of a stream that has had nothing

        Raises:
            ValueError: the mask is not one flag for each stream
        """
        rows = as_rows(mask, self.batch_size)
        feats, made = self._front_end.flush(self._state.features, rows)
        output = self._output(feats, made, ending=self._state.begun(rows))
        self._state.reset(rows)
        return output

    def reset(self, mask: ArrayLike | None = None) -> None:
        """Puts streams back to their beginning; what was waiting is dropped.

        Args:
            mask: (B,) true for these streams; None for all

        Raises:
            ValueError: the mask is not one flag for each stream
        """
        self._state.reset(as_rows(mask, self.batch_size))

    def state_dict(self) -> dict[str, Any]:
        """All state as arrays (copies) and plain numbers; going on from it is exact to the bit."""
        return {**self._state.state_dict(), **self._constants()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Goes on from what `state_dict` gave, of a session with the same folder, contexts and batch size.

        Raises:
            ValueError: something is missing, unknown or does not fit, by name; the session is then unchanged
        """
        initial, constants = self._initial_state(), self._constants()
        state = completed(state, {**initial.state_dict(), **constants})
        check_constants(state, constants)
        loaded = loaded_state({name: value for name, value in state.items() if name not in constants}, initial)
        check_counts(loaded, self._front_end, self._encoder)
        self._state = loaded

    def _constants(self) -> dict[str, Any]:
        """What must be the same in a session that goes on from a saved state."""
        sizes = {"batch_size": self.batch_size, "sample_rate": self.sample_rate}
        fixed = {"kind": "OnnxStreamingSession", "precision": self.precision, **sizes}
        return {**fixed, "left_contexts": list(self.left_contexts), "chunk": self.chunk}

    @staticmethod
    def _refuse(new: str, before: str, rows: list[int]) -> None:
        """Raises a ValueError if there are streams that would get both."""
        if rows:
            raise ValueError(
                f"{new} for streams {rows}, which have had {before}: a stream takes audio or features; flush or reset "
                "it before it takes the other"
            )

    def _output(self, feats: np.ndarray, counts: list[int], ending: Sequence[int] = ()) -> OnnxStreamingOutput:
        arrays, produced = self._encoder.run(self._state.encoder, feats, counts, ending)
        output = OnnxStreamingOutput(arrays[0].transpose(0, 2, 1), np.array(produced, np.int64))
        if self.return_log_probs:
            output.log_probs = arrays[1]
        if self.return_tokens:
            output.tokens = arrays[1].argmax(axis=2)
        return output
