# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Single steps on files. Each happens as a whole or not at all, also if the process is killed in it."""

import hashlib
import os
import shutil
from pathlib import Path

# One step is under way at a time, so one name is enough.
TEMPORARY = ".streaming_ssl_vendor.tmp"


def sha256(file: Path) -> str | None:
    """The hash of a file's content; None if there is no such file."""
    return hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else None


def copy(source: Path, target: Path, tree: Path) -> None:
    """Copies content and permissions; missing folders are made. `tree`: see `write`."""
    temporary = tree / TEMPORARY
    shutil.copy2(source, temporary)
    target.parent.mkdir(parents=True, exist_ok=True)
    os.replace(temporary, target)


def write(data: bytes, target: Path, tree: Path) -> None:
    """Writes a file; `tree` is a folder on the same file system."""
    temporary = tree / TEMPORARY
    temporary.write_bytes(data)
    os.replace(temporary, target)


def remove_temporary(tree: Path) -> None:
    """Removes what a killed run has left of its last step."""
    (tree / TEMPORARY).unlink(missing_ok=True)


def remove(file: Path, tree: Path) -> None:
    """Removes a file, its bytecode, and folders below `tree` that are empty then."""
    remove_bytecode(file)
    file.unlink(missing_ok=True)
    for folder in file.parents:
        if folder == tree or (folder.is_dir() and any(folder.iterdir())):
            return
        if folder.is_dir():  # not if an interrupted run came as far as this
            folder.rmdir()


def remove_bytecode(file: Path) -> None:
    """Removes what Python has compiled of a module, and the folder of it when it is empty."""
    cache = file.parent / "__pycache__"
    for compiled in cache.glob(f"{file.stem}.*.pyc") if file.suffix == ".py" else ():
        compiled.unlink()
    if cache.is_dir() and not any(cache.iterdir()):
        cache.rmdir()


def unused(path: Path) -> Path:
    """The path, or with the first number at its end that makes it one that is not there."""
    candidates = (path, *(path.with_name(f"{path.name}.{number}") for number in range(2, 1000)))
    return next(candidate for candidate in candidates if not os.path.lexists(candidate))
