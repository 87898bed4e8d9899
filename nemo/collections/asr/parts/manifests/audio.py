# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Can the audio of a manifest's entries be used? What headers say, what reads a few files, what an error means.

Headers are read by threads. On a local disk one would do, since Python itself is what takes the time (0.04 ms a file);
on a network file system each header is a wait, and the waits run side by side. They do not tell all: what has an
extension that soundfile does not know, NeMo before 3.0 gives to ffmpeg. So a few files of each are read as training
reads them.
"""

import os
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import soundfile
from tqdm.auto import tqdm

from nemo.collections.asr.parts.manifests.lines import (
    Entry,
    files_of,
    full_path,
    place_of_entry,
    seconds_of,
    why_no_file,
)
from nemo.collections.asr.parts.manifests.problems import KINDS, NAMED, Problem

THREADS = 16
FILES_A_TASK = 64
SECONDS_WITHOUT_BAR = 2
# Durations are often rounded, and headers of compressed files may be estimates.
TOLERANCE = 0.1  # s
RELATIVE_TOLERANCE = 0.01
TRIED = 4  # of each extension: so many first ones, and as many last ones
MOST_EXTENSIONS = 50  # more are no extensions, but parts of names with dots in them
SECONDS = 1.0  # of each file
FEW = 3  # files of an extension, all of which cannot be read, are more than single bad ones
PROGRAMS = ("ffprobe", "ffmpeg", "avprobe", "avconv")
READ_BY_SOUNDFILE = frozenset(f".{name.lower()}" for name in soundfile.available_formats())


def audio_problems(manifest: str, entries: Sequence[Entry], channel_selector=None) -> Iterator[tuple[int, Problem]]:
    """Reads the headers of entries, with a progress bar that says how long it takes, if that is more than a moment.

    Yields:
        line and problem of each entry that has one, in the entries' order
    """
    tasks = [entries[i : i + FILES_A_TASK] for i in range(0, len(entries), FILES_A_TASK)]
    title = f"Reading audio headers of {os.path.basename(manifest)}"
    bar = tqdm(total=len(entries), desc=title, unit=" files", delay=SECONDS_WITHOUT_BAR, leave=False)
    with bar, ThreadPoolExecutor(THREADS) as threads:
        try:
            for task, found in zip(tasks, threads.map(partial(_task, manifest, channel_selector), tasks)):
                bar.update(len(task))
                yield from found
        finally:
            threads.shutdown(cancel_futures=True)  # after Ctrl-C, or an error


def _task(manifest: str, channel_selector, entries: Sequence[Entry]) -> list[tuple[int, Problem]]:
    found = ((entry.line, audio_problem(manifest, entry, channel_selector)) for entry in entries)
    return [(line, problem) for line, problem in found if problem is not None]


def audio_problem(manifest: str, entry: Entry, channel_selector=None) -> Problem | None:
    """Why an entry's audio cannot be used as the entry says; None if it can, as far as headers tell.

    Args:
        manifest: what paths are relative to
        entry: what to read
        channel_selector: as in a data section of a config
    """
    several = len(entry.files) > 1
    if several and not gives_one_channel(channel_selector, len(entry.files)):
        return Problem("channels", f"{', '.join(entry.files)} ({len(entry.files)} files)")
    for file in entry.files:
        problem = _file_problem(full_path(file, manifest), entry, None if several else channel_selector)
        if problem is not None:
            return problem
    return None


def _file_problem(path: str, entry: Entry, channel_selector) -> Problem | None:
    if "://" in path:
        return None
    if why := why_no_file(path):
        return Problem("audio", f"{path} ({why})")
    if os.path.splitext(path)[1].lower() not in READ_BY_SOUNDFILE:
        return None  # NeMo may have other readers for it: see `FilesToTry`
    try:
        with soundfile.SoundFile(path) as audio:
            channels, seconds = audio.channels, audio.frames / audio.samplerate
    except (soundfile.SoundFileError, OSError) as error:
        return Problem("audio", f"{path} ({error})")
    if seconds == 0:
        return Problem("audio", f"{path} (it has no samples)")
    if not gives_one_channel(channel_selector, channels):
        return Problem("channels", f"{path} ({channels})")
    return _time_problem(path, entry, seconds)


def _time_problem(path: str, entry: Entry, seconds: float) -> Problem | None:
    said = f"{path} ({seconds:.2f} s), offset={entry.offset:g}"
    if entry.offset >= seconds:
        return Problem("offset_beyond", said)
    if entry.offset + (entry.duration or 0.0) > seconds + max(TOLERANCE, RELATIVE_TOLERANCE * seconds):
        return Problem("duration_beyond", f"{said}, duration={entry.duration:g}")
    return None


def gives_one_channel(channel_selector: Any, channels: int) -> bool:
    """True if NeMo makes one channel of so many, by a selector that `check_selector` lets pass."""
    if channel_selector is None:
        return channels == 1
    if channel_selector == "average":
        return True
    if isinstance(channel_selector, int):
        return channel_selector == 0 if channels == 1 else -channels <= channel_selector < channels
    return channels > 1 and len(channel_selector) == 1 and -channels <= channel_selector[0] < channels


class FilesToTry:
    """Of each extension of a manifest some of the first and of the last entries."""

    def __init__(self) -> None:
        self._counts: Counter = Counter()
        self._first: dict[str, list[Entry]] = {}
        self._last: dict[str, deque[Entry]] = {}

    def add(self, entry: Entry):
        """Takes note of an entry."""
        extension = os.path.splitext(entry.files[0])[1]  # upper and lower case may have different readers
        if extension not in self._counts and len(self._counts) >= MOST_EXTENSIONS:
            return
        self._counts[extension] += 1
        first = self._first.setdefault(extension, [])
        if len(first) < TRIED:
            first.append(entry)
        else:
            self._last.setdefault(extension, deque(maxlen=TRIED)).append(entry)

    def entries(self, extension: str) -> list[Entry]:
        """Those of an extension that are tried."""
        return [*self._first.get(extension, ()), *self._last.get(extension, ())]

    def problems(self, manifest: str, skip: bool, channel_selector=None) -> Iterator[tuple[int, Problem]]:
        """Line and problem of each extension of which no file that was tried can be read.

        Args:
            manifest: what paths are relative to
            skip: whether one or two bad files are single bad ones, to be left out, unless what reads them is missing
            channel_selector: as in a data section of a config
        """
        for extension in self._first:
            failed: list[tuple[Entry, Exception]] = []
            for entry in self.entries(extension):
                error = _error(manifest, entry, channel_selector)
                if error is None:
                    break
                failed.append((entry, error))
            else:
                if not skip or len(failed) >= FEW or lacking_program(entry.files[0], error):
                    yield failed[0][0].line, self._problem(extension, failed)

    def _problem(self, extension: str, failed: list[tuple[Entry, Exception]]) -> Problem:
        (first, error), *others = failed[:NAMED]
        named = "".join(f"; line {entry.line}: {entry.files[0]}" for entry, _ in others)
        files = f"{self._counts[extension]} {extension or 'files without an extension'}"
        return Problem("reader", f"{files} ({len(failed)} were tried): {first.files[0]} ({error}){named}")


def lacking_program(file: str, error: BaseException) -> str | None:
    """The program that reads such files and is not installed; None if that is not what is wrong.

    NeMo gives it damaged files of all kinds, too.
    """
    extension, name = os.path.splitext(file)[1], getattr(error, "filename", None)
    others = extension.lower() != ".wav" and extension not in READ_BY_SOUNDFILE
    return name if others and isinstance(error, FileNotFoundError) and name in PROGRAMS else None


def _error(manifest: str, entry: Entry, channel_selector: Any) -> Exception | None:
    # NeMo's package of this imports what imports manifests
    from nemo.collections.asr.parts.preprocessing.segment import AudioSegment

    files = [full_path(file, manifest) for file in entry.files]
    if any("://" in file for file in files):
        return None
    seconds = min(entry.duration or SECONDS, SECONDS)
    try:
        AudioSegment.from_file(
            files if len(files) > 1 else files[0],
            offset=entry.offset,
            duration=seconds,
            channel_selector=channel_selector,
        )
    except Exception as error:  # as many types as there are decoders
        return error
    return None


def describe_entry(
    key: str,
    manifests: Sequence[str],
    position: int,
    entry: Mapping[str, Any],
    error: Exception,
    channel_selector=None,
) -> str:
    """Manifest, line, file, and why it cannot be used: as its header says, or else as `error` does.

    Args:
        key: `manifest_filepath` or `noise_manifest`
        manifests: paths that the data was read from
        position: as NeMo counts entries, from 0, over all manifests
        entry: what NeMo has read, with the path as `audio_file` or `audio_filepath`
        error: what loading it has raised
        channel_selector: as in a data section of a config
    """
    files = files_of(entry.get("audio_file", entry.get("audio_filepath"))) or ["?"]
    looked_at = Entry(0, tuple(files), seconds_of(entry.get("offset")) or 0.0, None)
    problem = audio_problem(manifests[0], looked_at, channel_selector)
    what = f"{', '.join(files)}: {error}" if problem is None else str(problem)
    if program := lacking_program(files[0], error):
        what = f"{', '.join(files)}: nothing reads such files here, {program} is not installed. {KINDS['reader'][1]}"
    return f"{place_of_entry(manifests, position, key)}: {what}"
