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

"""Where streaming_inference_example.py takes audio from: files, manifests, raw PCM, a microphone.

A source has a `name` and `read(n)`: the next n samples, mono float32 at the model's rate; fewer than n at its end.
Files and manifests are read by NeMo, which is imported when the first of them is.
"""

import itertools
import queue
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Iterator, List, Optional, Sequence, Tuple

import numpy as np

MANIFESTS = (".json", ".jsonl")


class SourceError(Exception):
    """Audio that cannot be read; the message names it and says why."""


@dataclass(frozen=True)
class Entry:
    """One file, or a part of it, to be streamed.

    Args:
        path: the audio file
        name: what its features are called, without a suffix
        offset: where the part begins, s
        duration: its length, s; None: to the end
    """

    path: Path
    name: str
    offset: float = 0.0
    duration: Optional[float] = None


class ArraySource:
    """Audio that is in memory."""

    def __init__(self, name: str, samples: np.ndarray):
        self.name, self.samples, self.position = name, samples, 0

    def read(self, count: int) -> np.ndarray:
        piece = self.samples[self.position : self.position + count]
        self.position += len(piece)
        return piece


class PcmSource:
    """Raw 16-bit little-endian mono PCM at the model's rate from a binary stream; Ctrl-C ends it too."""

    def __init__(self, name: str, stream: BinaryIO):
        self.name, self.stream = name, stream

    def read(self, count: int) -> np.ndarray:
        try:
            data = self.stream.read(2 * count)
        except KeyboardInterrupt:
            data = b""
        return np.frombuffer(data[: len(data) // 2 * 2], dtype="<i2").astype(np.float32) / 32768.0


class MicrophoneSource:
    """The default input of the sound card, until Ctrl-C."""

    def __init__(self, sample_rate: int, chunk: int):
        self.name, self.pieces, self.rest = "microphone", queue.SimpleQueue(), np.zeros(0, np.float32)
        try:
            import sounddevice

            self.input = sounddevice.InputStream(sample_rate, chunk, channels=1, callback=self._heard)
            self.input.start()
        except ImportError:
            raise SourceError("--mic needs the package sounddevice: pip install sounddevice") from None
        except Exception as error:  # no PortAudio library, no card, a rate the card does not have
            raise SourceError(f"--mic: the sound card cannot be used: {_one_line(error)}") from None

    def read(self, count: int) -> np.ndarray:
        try:
            while len(self.rest) < count:
                self.rest = np.concatenate([self.rest, self.pieces.get()])
        except KeyboardInterrupt:
            self.input.close()
            return self.rest[: count - 1]
        piece, self.rest = self.rest[:count], self.rest[count:]
        return piece

    def _heard(self, samples, frames, time, status):
        self.pieces.put(samples[:, 0].copy())


def list_entries(inputs: Sequence[str]) -> Tuple[List[Entry], List[str]]:
    """The entries of audio files and manifests, each with a name of its own, and what is wrong with manifests."""
    found, problems = [], []
    for text in inputs:
        if Path(text).suffix in MANIFESTS:
            _read_manifest(Path(text), found, problems)
        else:
            found.append((Path(text), 0.0, None))
    names = _own_names([path.stem for path, _, _ in found])
    return [Entry(path, name, *part) for (path, *part), name in zip(found, names)], problems


def open_sources(entries: Sequence[Entry], sample_rate: int, problems: List[str]) -> Iterator[ArraySource]:
    """Reads one entry after the other, when it is its turn; one that cannot be read is added to `problems`."""
    for entry in entries:
        try:
            yield ArraySource(entry.name, read_audio(entry, sample_rate))
        except SourceError as error:
            problems.append(str(error))


def read_audio(entry: Entry, sample_rate: int) -> np.ndarray:
    """The samples of an entry at `sample_rate`, read as NeMo reads them in training; channels are averaged.

    Raises:
        SourceError: the file cannot be read, the part that is named holds no audio, or samples that were not scaled
    """
    from nemo.collections.asr.parts.preprocessing.segment import AudioSegment
    from nemo.collections.asr.parts.streaming.finite_input import LOUDEST

    part = {"offset": entry.offset, "duration": entry.duration or 0}  # NeMo takes 0 as: to the end
    try:
        segment = AudioSegment.from_file(str(entry.path), sample_rate, channel_selector="average", **part)
    except Exception as error:  # its readers raise errors of their own, and NeMo plain `Exception`
        raise SourceError(f"{entry.path}: cannot be read: {_one_line(error)}") from None
    samples = np.asarray(segment.samples, dtype=np.float32)
    if entry.duration == 0 or not len(samples):
        raise SourceError(f"{entry.path}: holds no audio" + (f" from {entry.offset:g} s on" if entry.offset else ""))
    peak = np.abs(samples, where=np.isfinite(samples), out=np.zeros_like(samples)).max()
    if peak > LOUDEST:
        raise SourceError(f"{entry.path}: holds samples up to {peak:g}: floats must be from -1 to 1")
    return samples


def _read_manifest(manifest: Path, found: list, problems: List[str]):
    """Adds (path, offset, duration) of each entry; a relative path is relative to the manifest."""
    from nemo.collections.asr.parts.utils.manifest_utils import read_manifest

    try:
        entries = read_manifest(manifest)
    except Exception as error:  # what NeMo raises
        problems.append(f"{manifest}: cannot be read: {_one_line(error)}")
        return
    for number, entry in enumerate(entries, start=1):
        try:
            found.append(_part_of(entry, manifest))
        except (AttributeError, KeyError, TypeError, ValueError):
            problems.append(
                f"{manifest}, entry {number}: must be a JSON object with audio_filepath, offset and duration 0 or more"
            )


def _part_of(entry: dict, manifest: Path) -> Tuple[Path, float, Optional[float]]:
    """Path, offset and duration of an entry; raises one of four errors if it is not as it must be."""
    from nemo.collections.common.parts.preprocessing.manifest import get_full_path

    path = Path(get_full_path(entry["audio_filepath"], str(manifest)))
    offset, duration = float(entry.get("offset") or 0.0), entry.get("duration")
    duration = None if duration is None else float(duration)
    if not 0 <= offset < float("inf") or not (duration is None or 0 <= duration < float("inf")):
        raise ValueError
    return path, offset, duration


def _own_names(stems: Sequence[str]) -> List[str]:
    """Each stem, with -2, -3, ... where there is one already."""
    names, taken = [], set(stems)
    for stem in stems:
        free = (f"{stem}-{number}" for number in itertools.count(2))
        name = next(name for name in free if name not in taken) if stem in names else stem
        taken.add(name)
        names.append(name)
    return names


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
