# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Many sources of audio through one engine, side by side."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from streaming_inference.engines import FeatureEngine, TextEngine
from streaming_inference.reports import Measurements
from streaming_inference.sinks import FeatureSink, TextSink


@dataclass
class Stream:
    """One source on its way, where its results go, and how many of its samples were not finite."""

    source: object
    sink: FeatureSink | TextSink
    nonfinite: int = 0


class ParallelStreams:
    """Streams sources through one engine, as many side by side as its batch holds.

    As one source ends, its stream is flushed, which resets it, and the next source takes its place.

    Args:
        engine: what audio is pushed into
        chunk: samples per step and stream
        tell: called with the seconds of audio of each step
    """

    def __init__(self, engine: FeatureEngine | TextEngine, chunk: int, tell: Callable = lambda seconds: None):
        self.engine, self.chunk, self.tell = engine, chunk, tell
        self.measured = Measurements()
        self.slots: list[Stream | None] = [None] * engine.session.batch_size

    def run(self, sources: Iterator) -> Iterator[Stream]:
        """Streams all sources and yields each as it is finished."""
        try:
            while self._fill(sources):
                yield from self._finish(self._push())
        finally:
            for stream in filter(None, self.slots):
                stream.sink.discard()

    def _fill(self, sources: Iterator) -> bool:
        for slot, stream in enumerate(self.slots):
            source = next(sources, None) if stream is None else None
            if source is not None:
                self.slots[slot] = Stream(source, self.engine.sink(source))
                self.measured.streams += 1
        return any(self.slots)

    def _push(self) -> list[bool]:
        """One step of all streams; returns which of them have ended."""
        pieces = [stream.source.read(self.chunk) if stream else np.zeros(0, np.float32) for stream in self.slots]
        batch = np.zeros((len(pieces), self.chunk), np.float32)
        for row, stream, piece in zip(batch, self.slots, pieces):
            row[: len(piece)] = piece
            if stream:
                stream.sink.add_audio(piece)
        lengths = [len(piece) for piece in pieces]
        self.measured.add_push(self._take(lambda: self.engine.push(batch, lengths)))
        seconds = sum(lengths) / self.engine.session.sample_rate
        self.measured.seconds_of_audio += seconds
        self.tell(seconds)
        return [stream is not None and length < self.chunk for stream, length in zip(self.slots, lengths)]

    def _finish(self, ended: list[bool]) -> Iterator[Stream]:
        if not any(ended):
            return
        nonfinite = self.engine.session.nonfinite_samples  # which begins anew with a flush
        self.measured.seconds_of_work += self._take(lambda: self.engine.flush(ended))
        for slot in np.flatnonzero(ended):
            stream, self.slots[slot] = self.slots[slot], None
            stream.nonfinite = nonfinite[slot]
            stream.sink.finish()
            yield stream

    def _take(self, call: Callable[[], list]) -> float:
        """Calls, hands out what comes, and returns the seconds that the call took."""
        start = time.perf_counter()
        results = call()
        seconds = time.perf_counter() - start
        for stream, own in zip(self.slots, results):
            if stream:
                stream.sink.add(own)
        return seconds
