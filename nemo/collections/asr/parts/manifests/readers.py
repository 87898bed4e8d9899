# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Is there a reader for each kind of audio file? A few files of each extension are read as training reads them.

Headers do not tell: what has an extension that soundfile does not know, NeMo before 3.0 gives to ffmpeg.
"""

import os
from collections import Counter, deque
from collections.abc import Iterator
from typing import Any

import soundfile

from nemo.collections.asr.parts.manifests.entries import Entry
from nemo.collections.asr.parts.manifests.lines import full_path
from nemo.collections.asr.parts.manifests.problems import NAMED, Problem

TRIED = 4  # of each extension: so many first ones, and as many last ones
MOST_EXTENSIONS = 50  # more are no extensions, but parts of names with dots in them
SECONDS = 1.0  # of each file
PROGRAMS = ("ffprobe", "ffmpeg", "avprobe", "avconv")
_READ_BY_SOUNDFILE = frozenset(f".{name.lower()}" for name in soundfile.available_formats())
FEW = 3  # files of an extension, all of which cannot be read, are more than single bad ones


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
    others = extension.lower() != ".wav" and extension not in _READ_BY_SOUNDFILE
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
