# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Streams through a recogniser, each with what a clock beside it would have shown."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from nemo_streaming_ssl.transcribe import classes_of, folded, text_of

# of one piece of audio: computing time in seconds, and the start of each token that came, in seconds of audio
Piece = tuple[float, list[float]]


@dataclass
class Heard:
    """What came of one utterance.

    Args:
        text: all of it
        first_token_ms: from the start of the encoder frame that decided the first token until that token was there;
            None if none came
    """

    text: str
    first_token_ms: float | None


class Recognizer:
    """A `StreamingRecognizer`, one stream after the other."""

    def __init__(self, recognizer: Any):
        self._recognizer = recognizer

    def hear(self, samples: np.ndarray) -> Heard:
        """An utterance (N,), in the pieces that suit the model."""
        size, pieces = self._recognizer.chunk_samples, []
        for begin in range(0, len(samples), size):
            pieces.append(self._timed(self._recognizer.push, samples[None, begin : begin + size]))
        last = self._timed(self._recognizer.flush)
        heard_ms = first_token_ms([piece[:2] for piece in [*pieces, last]], size / self._recognizer.sample_rate)
        return Heard(last[2].text, heard_ms)

    def hear_pieces(self, samples: np.ndarray, sizes: list[int]) -> str:
        """The text of an utterance (N,) that comes in pieces of these sizes."""
        for piece in np.split(samples, np.cumsum(sizes)):
            self._recognizer.push(piece[None])
        return self._recognizer.flush()[0].text

    @staticmethod
    def _timed(call: Callable[..., Any], *args: Any) -> tuple:
        start = time.perf_counter()
        transcript = call(*args)[0]
        seconds = time.perf_counter() - start
        return seconds, [token.seconds for token in transcript.new_tokens], transcript


class Graph:
    """An `OnnxStreamingSession` with tokens of CTC, one stream after the other."""

    def __init__(self, session: Any):
        self._session = session

    def hear(self, samples: np.ndarray) -> Heard:
        """An utterance (N,), in the pieces that suit the model."""
        session = self._session
        frame_seconds = session.chunk_samples / session.chunk / session.sample_rate
        found = folded(classes_of(session, samples), len(session.vocabulary))
        tokens, pieces = [], []
        for seconds, piece in timed(found):
            tokens += [token for _, token in piece]
            pieces.append((seconds, [frame * frame_seconds for frame, _ in piece]))
        heard_ms = first_token_ms(pieces, session.chunk_samples / session.sample_rate)
        return Heard(text_of(session.vocabulary, tokens), heard_ms)


def timed(items: Iterator) -> Iterator[tuple[float, list]]:
    """Each item, with the seconds that it took to come."""
    while True:
        start = time.perf_counter()
        item = next(items, None)
        if item is None:
            return
        yield time.perf_counter() - start, item


def first_token_ms(pieces: list[Piece], piece_seconds: float) -> float | None:
    """How late the first token was if audio comes in real time: a piece is there when its last sample is, and is
    computed when the one before it has been."""
    ready = 0.0
    for number, (seconds, starts) in enumerate(pieces, 1):
        ready = max(ready, number * piece_seconds) + seconds
        if starts:
            return 1000 * (ready - starts[0])
    return None
