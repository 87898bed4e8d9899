# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Many sources of audio through one engine, side by side, and how fast that went."""

import time
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass
class Stream:
    """One source on its way."""

    source: Any
    sink: Any  # where its results go
    audio: list[np.ndarray] = field(default_factory=list)  # what has been pushed, if it is kept
    nonfinite: int = 0  # how many of its samples were not finite


class Measurements:
    """Times of the engine's calls, and how much audio went through them."""

    def __init__(self):
        self.pushes, self.seconds_of_work, self.seconds_of_audio, self.streams = array("d"), 0.0, 0.0, 0

    def table(self, lookahead_ms: float, state_bytes: int) -> Iterator[str]:
        """The lines of the closing table."""
        percentiles = np.percentile(self.pushes, (50, 95, 99)) if len(self.pushes) else [0.0] * 3
        p50, p95, p99 = (f"{1000.0 * seconds:.2f}" for seconds in percentiles)
        factor = self.seconds_of_work / self.seconds_of_audio if self.seconds_of_audio else 0.0
        yield f"{'streams':<24}{self.streams}, {self.seconds_of_audio:.1f} s of audio, {len(self.pushes)} chunks"
        yield f"{'latency per chunk':<24}p50 {p50} ms, p95 {p95} ms, p99 {p99} ms"
        yield f"{'real-time factor':<24}{factor:.4f}"
        yield f"{'algorithmic look-ahead':<24}{lookahead_ms:g} ms"
        yield f"{'state memory':<24}{state_bytes / 2**20:.2f} MiB"


class ParallelStreams:
    """Streams sources through one engine, as many side by side as its batch holds.

    As one source ends, its stream is flushed, which resets it, and the next source takes its place.

    Args:
        engine: what audio is pushed into: a StreamingRecognizer or a FeatureEngine
        open_sink: makes the sink of a source
        chunk: samples per step and stream
        keep_audio: whether streams are to have what was pushed
        tell: called with the seconds of audio of each step
    """

    def __init__(self, engine, open_sink: Callable, chunk: int, keep_audio: bool, tell: Callable):
        self.engine, self.open_sink, self.chunk, self.keep_audio, self.tell = (
            engine,
            open_sink,
            chunk,
            keep_audio,
            tell,
        )
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
                self.slots[slot] = Stream(source, self.open_sink(source))
                self.measured.streams += 1
        return any(self.slots)

    def _push(self) -> list[bool]:
        """One step of all streams; returns which of them have ended."""
        pieces = [stream.source.read(self.chunk) if stream else np.zeros(0, np.float32) for stream in self.slots]
        batch = np.zeros((len(pieces), self.chunk), np.float32)
        for row, stream, piece in zip(batch, self.slots, pieces):
            row[: len(piece)] = piece
            if stream and self.keep_audio:
                stream.audio.append(piece)
        lengths = [len(piece) for piece in pieces]
        self.measured.pushes.append(self._take(self.engine.push, batch, lengths))
        seconds = sum(lengths) / self.engine.session.sample_rate
        self.measured.seconds_of_audio += seconds
        self.tell(seconds)
        return [stream is not None and length < self.chunk for stream, length in zip(self.slots, lengths)]

    def _finish(self, ended: list[bool]) -> Iterator[Stream]:
        if not any(ended):
            return
        nonfinite = self.engine.session.nonfinite_samples  # which begins anew with a flush
        self._take(self.engine.flush, ended)
        for slot in np.flatnonzero(ended):
            stream, self.slots[slot] = self.slots[slot], None
            stream.nonfinite = nonfinite[slot]
            stream.sink.finish()
            yield stream

    def _take(self, call: Callable[..., list], *arguments) -> float:
        """Calls, hands out what comes, and returns the seconds that the call took."""
        start = time.perf_counter()
        results = call(*arguments)
        seconds = time.perf_counter() - start
        self.measured.seconds_of_work += seconds
        for stream, own in zip(self.slots, results):
            if stream:
                stream.sink.add(own)
        return seconds
