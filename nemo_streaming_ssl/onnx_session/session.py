# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Features, and log-probabilities of CTC, of an exported encoder from audio that comes in pieces.

    with OnnxStreamingSession('folder', batch_size=2) as session:
        for samples in pieces:                # (2, N) floats at session.sample_rate, N may be anything
            output = session.push(samples)    # output.features (2, D, T'), output.lengths (2,)
        output = session.flush()              # what was waiting for more; both streams are at their beginning again
"""

import numbers
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nemo_streaming_ssl.onnx_session.description import read_description
from nemo_streaming_ssl.onnx_session.encoder import OnnxEncoder
from nemo_streaming_ssl.onnx_session.graph import StepGraph
from nemo_streaming_ssl.onnx_session.state import GraphSessionState
from nemo_streaming_ssl.overlay import overlay_module

StreamingHost: Any = overlay_module("host").StreamingHost
check_integer: Any = overlay_module("arguments").check_integer


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


class OnnxStreamingSession(StreamingHost):
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

    kind = "OnnxStreamingSession"
    _state_class = GraphSessionState

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
        encoder, audio = self._description.encoder, self._description.audio
        chunk, trained = int(encoder["chunk_encoder_frames"]), encoder["left_contexts_encoder_frames"]
        self.left_contexts = as_left_contexts(left_contexts, trained, chunk)
        threads = None if threads is None else check_integer("threads", threads, 1)
        if (return_log_probs or return_tokens) and self._description.values["classes"] is None:
            raise ValueError("return_log_probs and return_tokens need a model that was exported with a CTC decoder")
        self.return_log_probs, self.return_tokens = return_log_probs, return_tokens
        self.precision = precision
        step = OnnxEncoder(self._description, StepGraph(self._description, precision, self.left_contexts, threads))
        timing = audio["sample_rate_hz"], encoder["feature_frames_per_encoder_frame"], encoder["lookahead_ms"]
        self._begin(self._description.front_end(), step, np.empty(0, np.float32), on_nonfinite, *timing)

    @property
    def vocabulary(self) -> list[str] | None:
        """The text of each class but the blank, which is the last one; None if the export does not say it."""
        classes = self._description.values["classes"]
        return None if classes is None else classes["vocabulary"]

    def _own_constants(self) -> dict[str, Any]:
        return {"precision": self.precision, "left_contexts": list(self.left_contexts)}

    def _output(self, feats: np.ndarray, counts: list[int], ending: Sequence[int] = ()) -> OnnxStreamingOutput:
        arrays, produced = self._encoder.run(self._state.encoder, feats, counts, ending)
        output = OnnxStreamingOutput(arrays[0].transpose(0, 2, 1), np.array(produced, np.int64))
        if self.return_log_probs:
            output.log_probs = arrays[1]
        if self.return_tokens:
            output.tokens = arrays[1].argmax(axis=2)
        return output


def as_left_contexts(value: None | int | Sequence[int], trained: Sequence[int], chunk: int) -> list[int]:
    """The left context of each layer, in encoder frames.

    Args:
        value: one for all layers (a layer that was trained with less keeps that), one for each; None: the trained ones
        trained: the longest that each layer may have
        chunk: encoder frames of a chunk
    """
    if value is None:
        return list(trained)
    if isinstance(value, numbers.Integral) and not isinstance(value, bool):
        value = [min(check_integer("left_contexts", value, 0), most) for most in trained]
    given: list[Any] = list(value) if isinstance(value, (list, tuple, np.ndarray)) else [value]
    if len(given) != len(trained):
        raise ValueError(f"left_contexts={value!r}: must be an integer, or {len(trained)}, one for each layer")
    for layer, (left, most) in enumerate(zip(given, trained)):
        if check_integer(f"left_contexts[{layer}]", left, 0) > most or left % chunk:
            raise ValueError(f"left_contexts[{layer}]={left}: must be a multiple of {chunk} from 0 to {most}")
    return [int(left) for left in given]
