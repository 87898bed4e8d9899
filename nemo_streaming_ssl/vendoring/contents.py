# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Which of our files go into a fork. `setup.py` runs this file by itself: it imports nothing of the package."""

import os
import subprocess
from pathlib import Path

# Our folders, and where they go in a fork. The links between pages, and to results, hold there too.
FOLDERS = {
    "nemo": "nemo",
    "examples": "examples",
    "tests/streaming_ssl": "tests/streaming_ssl",
    "docs": "docs/streaming_ssl",
    "benchmarks/results": "docs/benchmarks/results",
}
# Tests of what a fork does not get, and what makes a site of the docs.
LEFT_OUT = (
    "tests/streaming_ssl/package/",
    "tests/streaming_ssl/benchmarks/",
    "docs/_site/",
    "docs/conf.py",
    "docs/requirements.txt",
    "docs/changelog.md",
    "docs/contributing.md",
)
# Says in a wheel and in an sdist which commit they were built from.
COMMIT_FILE = "commit.txt"


def vendored_files(root: Path) -> dict[str, Path]:
    """Path in a fork -> our file, sorted.

    Args:
        root: the folder that contains the overlay's `nemo/`: a checkout, or what an ordinary install has of it
    """
    found = {}
    for folder, target in FOLDERS.items():
        for path in _files(root, folder):
            if not path.startswith(LEFT_OUT):
                found[target + path[len(folder) :]] = root / path
    return dict(sorted(found.items()))


def commit_of(root: Path) -> str:
    """The commit of our files, with `-dirty` if they were changed since; `unknown` where nothing says it."""
    described = _git(root, "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*").strip()
    file = root / COMMIT_FILE
    return described or (file.read_text(encoding="utf-8").strip() if file.is_file() else "unknown")


def _files(root: Path, folder: str) -> list[str]:
    """The files of one folder, relative to the root; in a checkout without those that git ignores."""
    listed = _git(root, "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", folder).split("\0")
    files = map(root.joinpath, filter(None, listed)) if any(listed) else (root / folder).rglob("*")
    kept = (file for file in files if file.is_file() and file.suffix != ".pyc")
    return [file.relative_to(root).as_posix() for file in kept]


def _git(root: Path, *words: str) -> str:
    """What git says; nothing if this is no checkout, or git cannot be run."""
    if not (root / ".git").exists():
        return ""
    # A git hook sets GIT_DIR and the like for its own repository, which is another one.
    environment = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    command = ["git", "-C", str(root), *words]
    try:
        return subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout
    except (OSError, subprocess.CalledProcessError):
        return ""
