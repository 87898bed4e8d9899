# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Where streaming_inference_example.py takes audio from: files, manifests, raw PCM, a microphone.

A source has a `name` and `read(n)`: the next n samples, mono float32 at the model's rate; fewer than n at its end.
Files and manifests are read by NeMo, which is imported when the first of them is.
"""

import itertools
import queue
import struct
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

MANIFESTS = (".json", ".jsonl")
UNKNOWN_SIZE = sys.maxsize
# How files begin that are no raw samples.
OTHER_FILES = {b"fLaC": "FLAC", b"OggS": "Ogg", b"ID3": "MP3", b"RF64": "RF64", b"RIFX": "RIFX", b"FORM": "AIFF"}


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
    duration: float | None = None


class ArraySource:
    """Audio that is in memory."""

    def __init__(self, name: str, samples: np.ndarray):
        self.name, self.samples, self.position = name, samples, 0

    def read(self, count: int) -> np.ndarray:
        piece = self.samples[self.position : self.position + count]
        self.position += len(piece)
        return piece


class PcmSource:
    """
    16-bit mono PCM at the model's rate from a binary stream, raw and little-endian or as WAV; Ctrl-C ends it too.

    Args:
        name: what its result is called
        stream: where the audio comes from
        sample_rate: of the model, Hz

    Raises:
        SourceError: the stream begins as a WAV file with other samples, or as a file of another kind
    """

    def __init__(self, name: str, stream: BinaryIO, sample_rate: int):
        self.name, self.stream = name, stream
        self.left = UNKNOWN_SIZE  # bytes of samples that the stream still has
        try:
            self.begin = stream.read(12)
            if self.begin[:4] == b"RIFF" and self.begin[8:] == b"WAVE":
                self.begin, self.left = b"", self._read_header(sample_rate)
        except KeyboardInterrupt:
            self.begin = b""
        kind = next((kind for magic, kind in OTHER_FILES.items() if self.begin.startswith(magic)), None)
        if kind:
            self._refuse(f"is {kind}", sample_rate)

    def read(self, count: int) -> np.ndarray:
        size = min(2 * count, self.left)
        data, self.begin = self.begin[:size], self.begin[size:]
        try:
            data += self.stream.read(size - len(data))
        except KeyboardInterrupt:
            pass
        self.left -= len(data)
        return np.frombuffer(data[: len(data) // 2 * 2], dtype="<i2").astype(np.float32) / 32768.0

    def _read_header(self, sample_rate: int) -> int:
        """Reads what comes before a WAV file's samples; how many bytes of samples there are."""
        while len(head := self.stream.read(8)) == 8:
            kind, size = head[:4], int.from_bytes(head[4:], "little")
            if kind == b"data":
                return size if 0 < size < 0xFFFFFFFF else UNKNOWN_SIZE  # as a pipe is written
            chunk = self.stream.read(size + size % 2)
            if kind == b"fmt " and len(chunk) >= 16:
                self._check_format(*struct.unpack("<HHIIHH", chunk[:16]), sample_rate)
        return 0

    def _check_format(self, form: int, channels: int, rate: int, _speed: int, _block: int, bits: int, model_rate: int):
        if (channels, rate, bits) != (1, model_rate, 16) or form not in (1, 0xFFFE):
            sample = f"{bits}-bit samples" if form in (1, 0xFFFE) else f"samples of format {form}"
            self._refuse(f"is WAV with {channels} channels, {rate} Hz, {sample}", model_rate)

    def _refuse(self, what: str, sample_rate: int):
        raise SourceError(
            f"{self.name}: {what}: must be raw 16-bit mono PCM at {sample_rate} Hz, or WAV with such samples. "
            f"Give the name of the file instead, or pipe it through `ffmpeg -i - -f s16le -ar {sample_rate} -ac 1 -`"
        )


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


def list_entries(inputs: Sequence[str]) -> tuple[list[Entry], list[str]]:
    """The entries of audio files and manifests, each with a name of its own, and what is wrong with manifests."""
    found, problems = [], []
    for text in inputs:
        if Path(text).suffix in MANIFESTS:
            _read_manifest(Path(text), found, problems)
        else:
            found.append((Path(text), 0.0, None))
    names = _own_names([path.stem for path, _, _ in found])
    return [Entry(path, name, *part) for (path, *part), name in zip(found, names)], problems


def open_sources(entries: Sequence[Entry], sample_rate: int, problems: list[str]) -> Iterator[ArraySource]:
    """Reads one entry after the other, when it is its turn; one that cannot be read is added to `problems`."""
    for entry in entries:
        try:
            if entry.path.is_dir():
                raise SourceError(f"{entry.path}: is a folder, not a file")
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


def _read_manifest(manifest: Path, found: list, problems: list[str]):
    """Adds (path, offset, duration) of each entry; a relative path is relative to the manifest."""
    from nemo.collections.asr.parts.manifests.lines import Entry as Line
    from nemo.collections.asr.parts.manifests.lines import (
        full_path,
        how_to_decode,
        parse_entry,
        read_lines,
        why_no_file,
    )

    if why := why_no_file(str(manifest)):
        problems.append(f"{manifest}: {why}")
        return
    try:
        for number, text in read_lines(str(manifest), "utf-8-sig"):  # with a byte order mark or without
            line = parse_entry("manifest_filepath", number, text)
            if isinstance(line, Line) and len(line.files) == 1:
                found.append((Path(full_path(line.files[0], str(manifest))), line.offset, line.duration))
            else:
                what = "names several files, one for each channel" if isinstance(line, Line) else line
                problems.append(f"{manifest}, line {number}: {what}")
    except UnicodeDecodeError as error:
        problems.append(f"{manifest}: cannot be decoded: {how_to_decode(str(manifest), error)}")


def _own_names(stems: Sequence[str]) -> list[str]:
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
