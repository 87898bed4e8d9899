# Copyright (c) 2026, the streaming-ssl authors.
#
# Licensed under the Apache License, Version 2.0 (the "License");
# you may not use this file except in compliance with the License.
# You may obtain a copy of the License at
#
#     http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS,
# WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
# See the License for the specific language governing permissions and
# limitations under the License.

"""Many sources of audio through one streaming session, side by side."""

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Iterator, List, Optional

import numpy as np
import torch
from streaming_inference.reports import FeatureFile, Measurements


@dataclass
class Stream:
    """One source on its way through the session."""

    source: object
    file: Optional[FeatureFile]
    keep: bool  # remember audio and features, for --compare-offline
    audio: List[np.ndarray] = field(default_factory=list)
    features: List[np.ndarray] = field(default_factory=list)

    def add_audio(self, samples: np.ndarray):
        if self.keep:
            self.audio.append(samples)

    def add_features(self, features: np.ndarray):
        """Takes features (T, D)."""
        if self.file:
            self.file.append(features)
        if self.keep:
            self.features.append(features)


class ParallelStreams:
    """Streams sources through one session, as many side by side as its batch holds.

    As one source ends, its stream is flushed, which resets it, and the next source takes its place.

    Args:
        session: a StreamingEncoderSession
        chunk: samples per step and stream
        output: folder for the features, or None
        keep: whether finished streams are to have their audio and features
        tell: called with the seconds of audio of each step
    """

    def __init__(self, session, chunk: int, output: Optional[Path] = None, keep: bool = False, tell=lambda s: None):
        self.session, self.chunk, self.output, self.keep, self.tell = session, chunk, output, keep, tell
        self.measured = Measurements()
        self.slots: List[Optional[Stream]] = [None] * session.batch_size

    def run(self, sources: Iterator) -> Iterator[Stream]:
        """Streams all sources and yields each as it is finished."""
        try:
            while self._fill(sources):
                yield from self._finish(self._push())
        finally:
            for stream in filter(None, self.slots):
                if stream.file:
                    stream.file.discard()

    def _fill(self, sources: Iterator) -> bool:
        for slot, stream in enumerate(self.slots):
            source = next(sources, None) if stream is None else None
            if source is not None:
                file = FeatureFile(self.output / f"{source.name}.npy") if self.output else None
                self.slots[slot] = Stream(source, file, self.keep)
                self.measured.streams += 1
        return any(self.slots)

    def _push(self) -> List[bool]:
        """One step of all streams; returns which of them have ended."""
        pieces = [stream.source.read(self.chunk) if stream else np.zeros(0, np.float32) for stream in self.slots]
        batch = np.zeros((len(pieces), self.chunk), np.float32)
        for row, stream, piece in zip(batch, self.slots, pieces):
            row[: len(piece)] = piece
            if stream:
                stream.add_audio(piece)
        lengths = [len(piece) for piece in pieces]
        self.measured.add_push(self._take(lambda: push(self.session, batch, lengths)))
        seconds = sum(lengths) / self.session.sample_rate
        self.measured.seconds_of_audio += seconds
        self.tell(seconds)
        return [stream is not None and length < self.chunk for stream, length in zip(self.slots, lengths)]

    def _finish(self, ended: List[bool]) -> Iterator[Stream]:
        if not any(ended):
            return
        self.measured.seconds_of_work += self._take(lambda: flush(self.session, ended))
        for slot in np.flatnonzero(ended):
            stream, self.slots[slot] = self.slots[slot], None
            if stream.file:
                stream.file.finish()
            yield stream

    def _take(self, call) -> float:
        """Calls, hands out the features that come, and returns the seconds that the call took."""
        start = time.perf_counter()
        features = call()
        seconds = time.perf_counter() - start
        for stream, own in zip(self.slots, features):
            if stream:
                stream.add_features(own)
        return seconds


def push(session, batch: np.ndarray, lengths: List[int]) -> List[np.ndarray]:
    """Pushes one chunk of each stream; the features that are determined by it, (T, D) for each stream."""
    return features_of(session.push(torch.from_numpy(batch), lengths=lengths))


def flush(session, ended: List[bool]) -> List[np.ndarray]:
    """Ends streams, whose places are new then; the last features, (T, D) for each stream."""
    return features_of(session.flush(ended))


def features_of(output) -> List[np.ndarray]:
    """What a step of the session gave, (T, D) for each stream; on the CPU, so that the step has really been done."""
    features, lengths = output.features.float().cpu().numpy(), output.lengths.tolist()
    return [own[:, :length].T for own, length in zip(features, lengths)]
