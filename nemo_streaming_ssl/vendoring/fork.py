# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""The tree that the patches are written into: a NeMo of a supported release, in git, without uncommitted changes."""

import os
import subprocess
from pathlib import Path
from typing import Any

from nemo_streaming_ssl.finder import SUPPORTED
from nemo_streaming_ssl.nemo_tree import is_supported, version_in
from nemo_streaming_ssl.vendoring.record import VendorError

# Changed files that an error names.
NAMED = 10
# What git sets for the commands of a hook, which is for another repository.
OF_A_HOOK = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_PREFIX")


def nemo_version(fork: Path) -> str:
    """The version of the NeMo in a tree.

    Raises:
        VendorError: there is none, or it is not supported
    """
    for name in ("nemo/__init__.py", "nemo/package_info.py", "nemo/collections/asr/__init__.py"):
        if not (fork / name).is_file():
            raise VendorError(f"{fork}: no NeMo tree, {name} is missing; give the folder that contains nemo/")
    version = version_in(fork / "nemo")
    if version is None or not is_supported(version):
        raise VendorError(f'{fork}: NeMo {version or "of unknown version"}; {SUPPORTED}')
    return version


def require_clean(fork: Path) -> None:
    """Raises a VendorError if the tree is in no git repository, or has uncommitted changes.

    The tree may lie below the root of its repository; what is changed elsewhere there does not matter.
    """
    if git(fork, "rev-parse", "--verify", "--quiet", "HEAD", check=False) == "":
        raise VendorError(f"{fork}: is in no git repository with a commit; without one nobody could see what was done")
    changed = git(fork, "status", "--porcelain", "--untracked-files=no", "--", ".").splitlines()
    if changed:
        more = [f"and {len(changed) - NAMED} more"] if len(changed) > NAMED else []
        title = f"{fork}: has uncommitted changes; commit or stash them first:"
        raise VendorError("\n".join([title, *changed[:NAMED], *more]))


def ignored(fork: Path, paths: list[str]) -> list[str]:
    """Those of the paths that the fork's .gitignore keeps out of a commit."""
    found = git(fork, "check-ignore", "--no-index", "-z", "--stdin", stdin="\0".join(paths), check=False)
    return [path for path in found.split("\0") if path]


def git(fork: Path, *words: str, stdin: str = "", check: bool = True, env: dict[str, str] | None = None) -> str:
    """The output of a git command in the tree, as text with surrogates; '' if it fails and `check` is False.

    Raises:
        VendorError: git is missing or, with `check`, fails
    """
    environment: dict[str, Any] = {key: value for key, value in os.environ.items() if key not in OF_A_HOOK}
    data, environment = stdin.encode("utf-8", "surrogateescape"), {**environment, **(env or {})}
    try:
        done = subprocess.run(["git", "-C", str(fork), *words], input=data, capture_output=True, env=environment)
    except FileNotFoundError as error:
        raise VendorError("git is not installed") from error
    if done.returncode and check:
        raise VendorError(f'git {" ".join(words)}: {done.stderr.decode(errors="replace").strip()}')
    return done.stdout.decode("utf-8", "surrogateescape")
