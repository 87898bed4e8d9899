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

"""NeMo manifests: read, checked and written."""

import json
import os
from pathlib import Path
from typing import Dict, Iterable, List, Sequence

from benchmarks.quality.corpora.files import replacing

Entry = Dict[str, object]


def read(path: Path, needed: Sequence[str] = ()) -> List[Entry]:
    """The entries of a manifest, with `audio_filepath` made absolute.

    Args:
        path: the manifest
        needed: keys that every entry must have, besides `audio_filepath` and `duration`

    Raises:
        ValueError: a line that is not JSON, a key that is missing, audio that is not there, or no line at all
    """
    entries = []
    with open(path, encoding='utf-8') as lines:
        for number, line in enumerate(lines, start=1):
            if line.strip():
                entries.append(checked(line, f'{path}, line {number}', path.parent, needed))
    if not entries:
        raise ValueError(f'{path}: has no entries')
    return entries


def checked(line: str, where: str, folder: Path, needed: Sequence[str]) -> Entry:
    """The entry of a line; see `read`."""
    try:
        entry = json.loads(line)
    except json.JSONDecodeError as error:
        raise ValueError(f'{where}: is not JSON ({error})') from error
    for key in ('audio_filepath', 'duration', *needed):
        if not isinstance(entry, dict) or entry.get(key) in (None, ''):
            raise ValueError(f'{where}: has no {key}')
    entry['audio_filepath'] = str((folder / entry['audio_filepath']).resolve())
    if not os.path.isfile(entry['audio_filepath']):
        raise ValueError(f"{where}: audio_filepath={entry['audio_filepath']}: there is no such file")
    return entry


def write(path: Path, entries: Iterable[Entry]):
    """Writes a manifest; the file is there completely or not at all."""
    with replacing(path) as unfinished:
        unfinished.write_text(''.join(json.dumps(entry) + '\n' for entry in entries), encoding='utf-8')


def minutes_of(entries: Iterable[Entry]) -> float:
    """How much speech there is."""
    return sum(entry['duration'] for entry in entries) / 60
