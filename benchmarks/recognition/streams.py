# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Streams through a recogniser, each with what a clock beside it would have shown."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

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


class Stream(Protocol):
    """What hears one utterance after the other; `text` is all of the last."""

    text: str
    piece_seconds: float

    def pieces(self, samples: np.ndarray) -> Iterator[list[float]]:
        """The starts in seconds of the tokens that come with each piece of an utterance (N,)."""


class Recognizer:
    """A `StreamingRecognizer`, in the pieces that suit the model."""

    text = ""

    def __init__(self, recognizer: Any):
        self._recognizer = recognizer
        self.piece_seconds: float = recognizer.chunk_samples / recognizer.sample_rate

    def pieces(self, samples: np.ndarray) -> Iterator[list[float]]:
        """See `Stream`."""
        size = self._recognizer.chunk_samples
        for begin in range(0, len(samples), size):
            (transcript,) = self._recognizer.push(samples[None, begin : begin + size])
            yield [token.seconds for token in transcript.new_tokens]
        (last,) = self._recognizer.flush()
        self.text = last.text
        yield [token.seconds for token in last.new_tokens]

    def hear_pieces(self, samples: np.ndarray, sizes: list[int]) -> str:
        """The text of an utterance (N,) that comes in pieces of these sizes."""
        for piece in np.split(samples, np.cumsum(sizes)):
            self._recognizer.push(piece[None])
        return self._recognizer.flush()[0].text


class Graph:
    """An `OnnxStreamingSession` with tokens of CTC."""

    text = ""

    def __init__(self, session: Any):
        self._session = session
        self.piece_seconds: float = session.chunk_samples / session.sample_rate

    def pieces(self, samples: np.ndarray) -> Iterator[list[float]]:
        """See `Stream`."""
        session, tokens = self._session, list[int]()
        for piece in folded(classes_of(session, samples), len(session.vocabulary)):
            tokens += [token for _, token in piece]
            yield [frame * self.piece_seconds / session.chunk for frame, _ in piece]
        self.text = text_of(session.vocabulary, tokens)


def hear(stream: Stream, samples: np.ndarray) -> Heard:
    """Streams an utterance (N,)."""
    pieces = list(timed(stream.pieces(samples)))
    return Heard(stream.text, first_token_ms(pieces, stream.piece_seconds))


def timed(items: Iterator[list[float]]) -> Iterator[Piece]:
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
