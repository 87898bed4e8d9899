# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""One line of a manifest: what it says, or what is wrong with it. No audio file is touched."""

import json
from typing import Any, NamedTuple

from nemo.collections.asr.parts.manifests.lines import WITHOUT_BOM, as_utf8, coding_of
from nemo.collections.asr.parts.manifests.problems import Problem

# in the order in which NeMo looks for them; noise has one name only
AUDIO_KEYS = {
    "manifest_filepath": ("audio_filename", "audio_filepath", "context", "audio_file"),
    "noise_manifest": ("audio_filepath",),
}
SHOWN = 80  # characters of a bad line
MOST_SECONDS = 1e9  # more, times a sample rate, may be no number any more


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
