# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Writes the patch set into a fork and takes it out again.

Each file is one or two steps, and each step happens as a whole or not at all. The record is written first, so that a
run that was killed can be finished or undone: the hashes tell for each file how far it came.
"""

import os
from pathlib import Path

from nemo_streaming_ssl.vendoring import files
from nemo_streaming_ssl.vendoring.record import DONE, EDITED, REVERTING, WRITING, Entry, Record, refuse


def write(fork: Path, record: Record, sources: dict[str, Path]) -> None:
    """Does what a record says, or what an interrupted run has left of it.

    Raises:
        VendorError: a file is neither what it was nor what it is going to be; nothing is changed
    """
    found = ((entry, files.sha256(fork / entry.path)) for entry in record.entries)
    unknown = [entry.path for entry, hash_ in found if hash_ not in (entry.sha256, entry.moved_sha256)]
    refuse("Changed since the interrupted run (--revert keeps changes):", unknown)
    record.save(fork, WRITING)
    for entry in record.entries:
        _write_entry(fork, entry, sources[entry.path])
    record.save(fork, DONE)


def _write_entry(fork: Path, entry: Entry, source: Path) -> None:
    path = fork / entry.path
    if entry.moved_to and not (fork / entry.moved_to).exists():
        files.copy(path, fork / entry.moved_to, fork)
    if files.sha256(path) != entry.sha256:
        files.remove_bytecode(path)
        files.copy(source, path, fork)


def revert(fork: Path, record: Record) -> list[str]:
    """Takes our files out and gives the fork's their names back, with what was changed in them.

    Returns:
        where files of ours went that the fork has edited

    Raises:
        VendorError: an original is missing; nothing is changed
    """
    moved = [entry.moved_to for entry in record.entries if entry.moved_to and record.state == DONE]
    missing = [path for path in moved if not (fork / path).is_file()]
    refuse("The fork's own files are missing, bring them back first (git has them):", missing)
    record.save(fork, REVERTING)
    return [f"{entry.path}: {kept}" for entry in record.entries for kept in _revert_entry(fork, entry)]


def _revert_entry(fork: Path, entry: Entry) -> list[str]:
    """Reverts one file; the new name of ours if it was edited."""
    path = fork / entry.path
    if entry.moved_to and not (fork / entry.moved_to).exists():
        return []  # not yet moved, or moved back already
    kept = _keep_edited(path, entry)
    if not entry.moved_to:
        files.remove(path, fork)
        return kept
    files.remove_bytecode(path)
    files.remove_bytecode(fork / entry.moved_to)
    os.replace(fork / entry.moved_to, path)
    return kept


def _keep_edited(path: Path, entry: Entry) -> list[str]:
    """Renames our file if it was edited. Before the fork's file is moved, its name has the fork's content: no edit."""
    if files.sha256(path) in (None, entry.sha256, entry.moved_sha256):
        return []
    kept = files.unused(path.with_name(path.name + EDITED))
    os.replace(path, kept)
    return [kept.name]


def differences(fork: Path, record: Record) -> list[str]:
    """What is no longer as it was written, a line each."""
    found = [] if record.state == DONE else [f"unfinished: {record.state} was interrupted"]
    for entry in record.entries:
        found += _difference(fork / entry.path, entry.path, entry.sha256, "ours")
        if entry.moved_to:
            found += _difference(fork / entry.moved_to, entry.moved_to, entry.moved_sha256, "the fork's own")
    return found


def _difference(file: Path, path: str, expected: object, whose: str) -> list[str]:
    actual = files.sha256(file)
    return [] if actual == expected else [f'{"missing" if actual is None else "edited"}: {path} ({whose})']
