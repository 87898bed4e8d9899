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

"""Checks a data section of a config before training starts, so that a bad manifest fails now and by name.

NeMo notices a missing manifest deep inside a data loader, an empty one as a progress bar without steps, and an
unreadable file hours later in a worker process (for noise not at all: it trains with silence instead).
"""

import json
import os
from typing import Iterable, List, Mapping

import soundfile

from nemo.collections.common.parts.preprocessing.manifest import get_full_path

# Files opened per manifest, spread evenly over it: an audio header takes a fraction of a millisecond to read, so the
# whole check takes a second at most. `check_audio_files` in the data section changes it, -1 is all of them.
FILES_TO_OPEN = 1000
NAMED_IN_ERROR = 3
# in NeMo's order
AUDIO_KEYS = ("audio_filename", "audio_filepath", "context", "audio_file")


def check_manifests(config: Mapping):
    """Raises a ValueError that names the manifest and what is wrong with it: missing, empty, an entry that is no JSON
    object with an audio path, an audio file that is missing or unreadable, no entry within the duration limits.

    Tarred, Lhotse and remote data (a path with `://` or a shard pattern) are left to NeMo.

    Args:
        config: `train_ds`, `validation_ds` or `test_ds`
    """
    if config.get("is_tarred") or config.get("use_lhotse"):
        return
    to_open = config.get("check_audio_files", FILES_TO_OPEN)
    limits = (config.get("min_duration"), config.get("max_duration"))
    for manifest in _paths(config.get("manifest_filepath")):
        entries = _check_manifest("manifest_filepath", manifest, to_open)
        _check_durations(manifest, entries, *limits)
    for manifest in _paths(config.get("noise_manifest")):
        _check_manifest("noise_manifest", manifest, to_open)


def _paths(value) -> Iterable[str]:
    """The local manifests of a config value: a path, several with commas between, or (nested) lists of them."""
    if value is None:
        return
    if not isinstance(value, str):
        for item in value:
            yield from _paths(item)
        return
    for path in value.split(","):
        if "://" not in path and "_OP_" not in path and "{" not in path:
            yield path


def _check_manifest(key: str, manifest: str, to_open: int) -> List[dict]:
    """Checks one manifest and returns all of its entries that were looked at."""
    path = os.path.expanduser(manifest)
    if not os.path.isfile(path):
        raise ValueError(f"{key}={manifest}: there is no such file")
    with open(path, encoding="utf-8") as file:
        lines = [(number, line) for number, line in enumerate(file, start=1) if line.strip()]
    if not lines:
        raise ValueError(f"{key}={manifest}: the manifest is empty; it needs one JSON object a line")
    entries = [_parse(key, manifest, number, line) for number, line in lines]
    _check_files(key, manifest, _spread(entries, to_open))
    return entries


def _parse(key: str, manifest: str, number: int, line: str) -> dict:
    try:
        entry = json.loads(line)
    except json.JSONDecodeError as error:
        problem = f"not a JSON object ({error})"
    else:
        if isinstance(entry, dict) and _audio_files(entry):
            return entry
        problem = "no `audio_filepath`"
    raise ValueError(f"{key}={manifest}, line {number}: {problem}: {line.strip()[:80]}")


def _audio_files(entry: dict) -> List[str]:
    """The audio of a manifest's entry: a file, or one for each channel."""
    value = next((entry[key] for key in AUDIO_KEYS if entry.get(key) is not None), [])
    return value if isinstance(value, list) else [value]


def _spread(entries: List[dict], count: int) -> List[dict]:
    """`count` of the entries at even distances; all of them if there are no more, or count is -1."""
    if count < 0 or count >= len(entries):
        return entries
    return [entries[i * len(entries) // count] for i in range(count)]


def _check_files(key: str, manifest: str, entries: List[dict]):
    problems: List[str] = []
    for file in (file for entry in entries for file in _audio_files(entry)):
        path = get_full_path(audio_file=file, manifest_file=os.path.expanduser(manifest))
        problem = _problem(path)
        if problem:
            problems.append(f"{path} ({problem})")
    if problems:
        more = f" and {len(problems) - NAMED_IN_ERROR} more" if len(problems) > NAMED_IN_ERROR else ""
        raise ValueError(f"{key}={manifest}: cannot read {', '.join(problems[:NAMED_IN_ERROR])}{more}")


def _problem(path: str) -> str:
    """Why an audio file cannot be read; empty if it can, as far as its header tells."""
    if not os.path.isfile(path):
        return "there is no such file"
    if os.path.splitext(path)[1][1:].upper() not in soundfile.available_formats():
        return ""  # NeMo has other readers for it
    try:
        frames = soundfile.info(path).frames
    except (soundfile.SoundFileError, OSError) as error:
        return str(error)
    return "" if frames else "it has no samples"


def _check_durations(manifest: str, entries: List[dict], low, high):
    """NeMo drops utterances outside the limits; dropping every one leaves nothing to train on."""
    durations = [entry.get("duration") for entry in entries]
    if any(duration is None or (low or 0) <= duration <= (high or float("inf")) for duration in durations):
        return
    raise ValueError(
        f"manifest_filepath={manifest}: none of its {len(durations)} utterances, {min(durations):.2f} s to "
        f"{max(durations):.2f} s long, is within min_duration={low} and max_duration={high}"
    )
