# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""NeMo manifests: read, checked, cut and written."""

import json
import math
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.files import replacing

Entry = dict[str, Any]


def read(path: Path, needed: Sequence[str] = ()) -> list[Entry]:
    """The entries of a manifest, with `audio_filepath` made absolute.

    Args:
        path: the manifest
        needed: keys that every entry must have, besides `audio_filepath` and `duration`

    Raises:
        ValueError: a line that is not JSON, a key that is missing, audio that is not there, or no line at all
    """
    lines = path.read_text(encoding="utf-8").split("\n")
    entries = [
        checked(line, f"{path}, line {number}", path.parent, needed)
        for number, line in enumerate(lines, start=1)
        if line.strip()
    ]
    if not entries:
        raise ValueError(f"{path}: has no entries")
    return entries


def checked(line: str, where: str, folder: Path, needed: Sequence[str]) -> Entry:
    """The entry of a line; see `read`."""
    try:
        entry = json.loads(line)
    except json.JSONDecodeError as error:
        raise ValueError(f"{where}: is not JSON ({error})") from error
    for key in ("audio_filepath", "duration", *needed):
        if not isinstance(entry, dict) or entry.get(key) in (None, ""):
            raise ValueError(f"{where}: has no {key}")
    entry["audio_filepath"] = str((folder / entry["audio_filepath"]).resolve())
    if not os.path.isfile(entry["audio_filepath"]):
        raise ValueError(f"{where}: audio_filepath={entry['audio_filepath']}: there is no such file")
    return entry


def write(path: Path, entries: Iterable[Entry]) -> None:
    """Writes a manifest; the file is there completely or not at all."""
    with replacing(path) as unfinished:
        unfinished.write_text("".join(json.dumps(entry) + "\n" for entry in entries), encoding="utf-8")


def pieces(entry: Entry, seconds: float) -> list[Entry]:
    """The entry, cut into pieces of the same length if it is longer than `seconds`."""
    count = math.ceil(entry["duration"] / seconds)
    length, start = entry["duration"] / count, entry.get("offset") or 0.0
    return [{**entry, "text": "", "offset": start + i * length, "duration": length} for i in range(count)]


def minutes_of(entries: Iterable[Entry]) -> float:
    """How much speech there is."""
    return sum(entry["duration"] for entry in entries) / 60
