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

"""What is vendored: files of this checkout, or of the copy that an ordinary install brings."""

import os
import subprocess
from pathlib import Path
from typing import Dict, List

from nemo_streaming_ssl.finder import overlay_root
from nemo_streaming_ssl.vendoring.files import sha256
from nemo_streaming_ssl.vendoring.record import Record, VendorError

# Our folders, and where they go in a fork. The links between pages, and to results, hold there too.
FOLDERS = {
    'nemo': 'nemo',
    'examples': 'examples',
    'tests/streaming_ssl': 'tests/streaming_ssl',
    'docs': 'docs/streaming_ssl',
    'benchmarks/results': 'docs/benchmarks/results',
}
# Tests of what a fork does not get.
LEFT_OUT = ('tests/streaming_ssl/package/', 'tests/streaming_ssl/benchmarks/')
# In an ordinary install: the commit that the wheel was built from.
COMMIT_FILE = 'commit.txt'


def vendored_files(root: Path) -> Dict[str, Path]:
    """Path in a fork -> our file, sorted.

    Args:
        root: the folder that contains the overlay's `nemo/`
    """
    found = {}
    for folder, target in FOLDERS.items():
        for path in _files(root, folder):
            if not path.startswith(LEFT_OUT):
                found[target + path[len(folder) :]] = root / path
    return dict(sorted(found.items()))


def _files(root: Path, folder: str) -> List[str]:
    """The files of one folder, relative to the root; in a checkout those that git knows."""
    if (root / '.git').exists():
        listed = _git(root, 'ls-files', '-z', '--', folder).split('\0')
        return [path for path in listed if path and (root / path).is_file()]
    files = (file for file in (root / folder).rglob('*') if file.is_file() and file.suffix != '.pyc')
    return [file.relative_to(root).as_posix() for file in files]


def commit_of(root: Path) -> str:
    """The commit of our files, with `-dirty` if they were changed since; `unknown` where nothing says it."""
    if (root / '.git').exists():
        return _git(root, 'describe', '--always', '--dirty', '--abbrev=40', '--exclude=*').strip()
    file = root / COMMIT_FILE
    return file.read_text(encoding='utf-8').strip() if file.is_file() else 'unknown'


def _git(root: Path, *words: str) -> str:
    # A git hook sets GIT_DIR and the like for its own repository, which is another one.
    environment = {key: value for key, value in os.environ.items() if not key.startswith('GIT_')}
    command = ['git', '-C', str(root), *words]
    return subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout


class Sources:
    """The patch set at hand.

    Raises:
        VendorError: the files are not where the package is
    """

    def __init__(self) -> None:
        root = overlay_root()
        if root is None:
            raise VendorError('The files of the patch set are not beside this package; install it again.')
        self.files = vendored_files(Path(root))
        self.commit = commit_of(Path(root))

    def are_those_of(self, record: Record) -> bool:
        """True if a record tells of the same files."""
        return record.hashes() == {path: sha256(file) for path, file in self.files.items()}
