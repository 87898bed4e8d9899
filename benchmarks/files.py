# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Files that several processes share, complete or not there at all; and what differs between what made them."""

import contextlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from filelock import FileLock


def locked(path: Path) -> FileLock:
    """Only one process at a time is in here with the same path; `{path}.lock` beside it stays."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return FileLock(f"{path}.lock")


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A path to write to, with the same suffix; it becomes `path` when everything went well."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{os.getpid()}-{path.name}")
    yield unfinished
    os.replace(unfinished, path)


def differences(there: Mapping[str, Mapping], wanted: Mapping[str, Mapping]) -> Iterator[str]:
    """What differs between two configurations, in words; keys that only one of them knows do not count."""
    for part, values in wanted.items():
        for key, value in values.items():
            if there[part].get(key, value) != value:
                yield f"{part}.{key}={there[part][key]}, the plan has {value}"
