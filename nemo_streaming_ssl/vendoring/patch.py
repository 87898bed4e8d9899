# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""What a run would do, as git shows it: a patch for `git apply`, or a summary. Nothing in the fork is touched."""

import os
import tempfile
from pathlib import Path

from nemo_streaming_ssl.vendoring.fork import git
from nemo_streaming_ssl.vendoring.record import NAME, Record

# Content is shown as a copy where it was moved: `_x_base.py` is a copy of `x.py`, which then changes.
COPIES = ("-C", "--find-copies-harder", "-l0")
PATCH = ("-p", "--binary", "--full-index", "--no-ext-diff", "--no-textconv", "--src-prefix=a/", "--dst-prefix=b/")
SUMMARY = ("--stat=110", "--summary")


def diff(fork: Path, record: Record, sources: dict[str, Path], form: tuple[str, ...]) -> bytes:
    """The difference between the last commit and what a run would make of it.

    Args:
        fork: the tree, without uncommitted changes
        record: what is going to be done
        sources: path in the fork -> our file
        form: `PATCH` or `SUMMARY`

    Returns:
        git's output; paths begin at the root of the fork's repository
    """
    with tempfile.TemporaryDirectory() as folder:
        # An index and a store of objects of our own, that end with the folder.
        objects = git(fork, "rev-parse", "--git-path", "objects").strip()
        env = {
            "GIT_INDEX_FILE": os.path.join(folder, "index"),
            "GIT_OBJECT_DIRECTORY": os.path.join(folder, "objects"),
            "GIT_ALTERNATE_OBJECT_DIRECTORIES": str((fork / objects).resolve()),
        }
        os.mkdir(env["GIT_OBJECT_DIRECTORY"])
        text = Path(folder, NAME)
        text.write_bytes(record.text().encode())
        moved = {entry.moved_to: fork / entry.path for entry in record.entries if entry.moved_to}
        index = _index(fork, {**sources, NAME: text, **moved}, env)
        git(fork, "read-tree", "HEAD", env=env)
        git(fork, "update-index", "-z", "--index-info", stdin=index, env=env)
        found = git(fork, "diff-index", "--cached", *COPIES, *form, "HEAD", env=env)
        return found.encode("utf-8", "surrogateescape")


def _index(fork: Path, after: dict[str, Path], env: dict[str, str]) -> str:
    """Lines for `update-index`: all files that a run writes, from the root of the repository."""
    listed = "\n".join(str(file.resolve()) for file in after.values())
    hashes = git(fork, "hash-object", "-w", "--no-filters", "--stdin-paths", stdin=listed, env=env).split()
    prefix = git(fork, "rev-parse", "--show-prefix").rstrip("\n")
    modes = ("100755" if os.access(file, os.X_OK) else "100644" for file in after.values())
    return "".join(f"{mode} {hash_}\t{prefix}{path}\0" for mode, hash_, path in zip(modes, hashes, after))
