# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""The lines of a manifest, read as NeMo reads them: what each says, or what is wrong with it. No audio is touched."""

import codecs
import json
import os
from array import array
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from nemo.collections.asr.parts.manifests.problems import Problem
from nemo.collections.common.parts.preprocessing.manifest import get_full_path

# in the order in which NeMo looks for them; noise has one name only
AUDIO_KEYS = {
    "manifest_filepath": ("audio_filename", "audio_filepath", "context", "audio_file"),
    "noise_manifest": ("audio_filepath",),
}
SHOWN = 80  # characters of a bad line
MOST_SECONDS = 1e9  # more, times a sample rate, may be no number any more
# What to do about a manifest that cannot be decoded.
WITHOUT_BOM = r"`sed -i '1s/^\xEF\xBB\xBF//' MANIFEST` takes it away"
# UTF-32 first: its mark begins with that of UTF-16
MARKS = (
    ("UTF-32", (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)),
    ("UTF-16", (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)),
)


def manifests_of(value, key: str = "manifest_filepath") -> Iterator[str]:
    """The manifests of a config value: a path, several with commas between, or (nested) lists of them; or None.

    Raises:
        ValueError: it is something else; the message names `key`
    """
    if value is None:
        return
    if isinstance(value, str):
        yield from value.split(",")
    elif isinstance(value, Sequence):
        for item in value:
            yield from manifests_of(item, key)
    else:
        raise ValueError(f"{key}={value!r}: must be the path of a manifest, or a list of paths")


def encoding_of(key: str) -> str | None:
    """What NeMo decodes a manifest with: noise as UTF-8, utterances as the locale says, mostly UTF-8 too."""
    return "utf-8" if key == "noise_manifest" else None


def full_path(file: str, manifest: str) -> str:
    """Where NeMo looks for the audio file of an entry; the same path if it is a remote one."""
    if "://" in file:
        return file
    manifest = os.path.expanduser(manifest)
    path = get_full_path(audio_file=file, manifest_file=manifest)
    beside = os.path.join(os.path.dirname(manifest), file)
    # beside the manifest NeMo looks for files only; a folder is named, in place of a file that is nowhere
    return beside if not os.path.isfile(path) and os.path.isdir(beside) else path


def read_lines(manifest: str, encoding: str | None) -> Iterator[tuple[int, str]]:
    """Number, from 1, and text of each line that is not blank.

    Raises:
        UnicodeDecodeError: a line cannot be decoded
    """
    with open(os.path.expanduser(manifest), encoding=encoding) as file:
        for number, line in enumerate(file, start=1):
            line = line.strip()
            if line:
                yield number, line


def why_no_file(path: str) -> str | None:
    """Why a path cannot be read as a file; None if there is one."""
    if os.path.isfile(path):
        return None
    return "it is a folder, not a file" if os.path.isdir(path) else "there is no such file"


def coding_of(text: str) -> str:
    """What a manifest is written in that is not UTF-8 and has no mark, by how it begins: by where null bytes are."""
    if "\0" not in text:
        return "WINDOWS-1252"
    return "UTF-16BE" if text.startswith("\0") else "UTF-16LE"


def as_utf8(coding: str) -> str:
    """How to make UTF-8 of a manifest in another encoding."""
    return f"`iconv -f {coding} -t UTF-8 MANIFEST > NEW` makes UTF-8 of it, if it is {coding}"


def how_to_decode(manifest: str, error: UnicodeDecodeError) -> str:
    """What is wrong with a manifest that cannot be decoded, and what to do, by what it begins with."""
    with open(os.path.expanduser(manifest), "rb") as file:
        begin = file.read(4)
    coding = next((name for name, marks in MARKS if begin.startswith(marks)), None)
    return f"{error}; {as_utf8(coding or coding_of(begin.decode('latin-1')))}"


def undecodable_line(manifest: str, error: UnicodeDecodeError) -> int:
    """The number of the first line that the error's codec cannot decode."""
    with open(os.path.expanduser(manifest), "rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                line.decode(error.encoding)
            except UnicodeDecodeError:
                return number
    return 1


def place_of_entry(manifests: Iterable[str], position: int, key: str = "manifest_filepath") -> str:
    """Manifest and line of the entry that NeMo counts as `position`, from 0, over several manifests."""
    rest = position
    for manifest in manifests:
        try:
            numbers = _numbers(manifest, encoding_of(key), os.stat(os.path.expanduser(manifest)).st_mtime_ns)
        except (OSError, UnicodeDecodeError):  # remote, or gone since it was read
            break
        if rest < len(numbers):
            return f"{key}={manifest}, line {numbers[rest]}"
        rest -= len(numbers)
    return f"{key}={','.join(manifests)}, entry {position + 1}"


@lru_cache(maxsize=64)
def _numbers(manifest: str, encoding: str | None, changed: int) -> array:
    """Numbers of the lines that are not blank; `changed`, in ns, tells versions of the manifest apart."""
    return array("Q", (number for number, _ in read_lines(manifest, encoding)))


class Entry(NamedTuple):
    """What a line says: files, one or one a channel; offset and duration in seconds, None being all of the file."""

    line: int
    files: tuple[str, ...]
    offset: float
    duration: float | None


def parse_entry(key: str, line: int, text: str) -> Entry | Problem:
    """The entry that a line of `key`, a manifest's name in the config, is; or what is wrong with it."""
    if text.startswith("\ufeff"):
        return Problem("encoding", f"it begins with a byte order mark (BOM); {WITHOUT_BOM}")
    if "\0" in text:
        return Problem("encoding", f"it has null bytes; {as_utf8(coding_of(text))}")
    try:
        entry = json.loads(text)
    except (ValueError, RecursionError) as error:
        return Problem("json", f"{_shown(text)} ({error})")
    if not isinstance(entry, dict):
        return Problem("json", _shown(text))
    name = next((name for name in AUDIO_KEYS[key] if name in entry), None)
    if name is None:
        return Problem("no_path", _shown(text))
    files = files_of(entry[name])
    if files is None:
        return Problem("path", f"{_shown(entry[name])}, in {_shown(text)}")
    return _with_times(line, files, entry)


def _with_times(line: int, files: list[str], entry: dict) -> Entry | Problem:
    offset, duration = seconds_of(entry.get("offset"), lowest=-MOST_SECONDS), seconds_of(entry.get("duration"))
    for name, value in (("offset", offset), ("duration", duration)):
        if value is None and entry.get(name) is not None:
            return Problem(name, f"{_shown(entry[name])}, of {files[0]}")
    return Entry(line, tuple(files), max(0.0, offset or 0.0), duration)  # NeMo takes a negative offset for 0


def files_of(value: Any) -> list[str] | None:
    """The paths of a value: one, or those of the channels; None if it is something else."""
    files = value if isinstance(value, list) else [value]
    return files if files and all(isinstance(file, str) and file for file in files) else None


def seconds_of(value: Any, lowest: float = 0.0) -> float | None:
    """Seconds; None for what is no number (as `true`), NaN, infinite or below `lowest`."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        seconds = float(value)
    except OverflowError:
        return None
    return seconds if lowest <= seconds <= MOST_SECONDS else None


def _shown(value: Any) -> str:
    text = value if isinstance(value, str) and value.startswith(("{", "[")) else repr(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"
