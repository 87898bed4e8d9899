# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""A small fork in git and a small patch set: the commands of `vendor` take milliseconds on them."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from nemo_streaming_ssl.vendoring import plan

ORIGINAL = 'class Loss:\n    name = "original"\n\n\ndef helper():\n    return "original"\n'
SHADOWING = 'from nemo.collections.asr import _{0}_base as base\n\n\nclass Loss(base.Loss):\n    name = "patched"\n'
SHADOWED = ("nemo/collections/asr/loss.py", "nemo/collections/asr/masking.py")
NEW = (
    "nemo/collections/asr/contexts/__init__.py",
    "nemo/collections/asr/contexts/context.py",
    "nemo/utils/shadowing.py",
    "examples/asr/pretrain.py",
    "tests/streaming_ssl/masking/test_masking.py",
)
BELOW = "third_party/nemo"  # where the tree is in the fork's repository
GIT = ["git", "-c", "user.name=fork", "-c", "user.email=fork@example.org", "-c", "core.autocrlf=false"]


def write_files(folder: Path, contents: dict) -> Path:
    for name, text in contents.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def write_modules(folder: Path, shadowed=SHADOWED, new=NEW) -> Path:
    """Files that build on an original, and new ones."""
    files = {path: SHADOWING.format(Path(path).stem) for path in shadowed}
    return write_files(folder, {**files, **{path: f"# {path}\n" for path in new}})


def write_patch_set(folder: Path) -> Path:
    """Two files that build on an original, five new ones, and what a fork does not get."""
    left_out = ("benchmarks/run.py", "tests/matrix.py", "tests/streaming_ssl/package/test_x.py")
    files = {"docs/index.md": "# Docs\n", "benchmarks/results/speed.csv": "a,b\n"}
    return write_files(write_modules(folder), {**files, **dict.fromkeys(left_out, "x = 1\n")})


@pytest.fixture
def patch_set(tmp_path, monkeypatch):
    """The folder of a small patch set, which the command takes for its own."""
    folder = write_patch_set(tmp_path / "patch_set")
    monkeypatch.setattr(plan, "overlay_root", lambda: str(folder))
    return folder


@pytest.fixture
def fork(made_once, tmp_path):
    """A NeMo tree below the root of a repository of its own."""
    shutil.copytree(made_once("fork", write_fork), tmp_path / "repository")
    return tmp_path / "repository" / BELOW


def write_fork(repository: Path) -> None:
    """A NeMo tree below the root of a repository, committed, with a module that is executable and has CRLF."""
    modules = {path: ORIGINAL for path in SHADOWED}
    info = 'MAJOR = 2\nMINOR = 5\nPATCH = 3\nPRE_RELEASE = ""\n__version__ = "2.5.3"\n'
    packages = ("nemo", "nemo/utils", "nemo/collections", "nemo/collections/asr")
    fork = write_files(
        repository / BELOW,
        {
            **{f"{package}/__init__.py": "" for package in packages},
            **modules,
            "nemo/package_info.py": info,
            "nemo/collections/asr/other.py": 'WHERE = "fork"\n',
        },
    )
    (fork / SHADOWED[1]).write_bytes(ORIGINAL.replace("\n", "\r\n").encode())
    os.chmod(fork / SHADOWED[1], 0o755)
    git(repository, "init", "--quiet", "--template=")  # without examples of hooks
    write_files(repository, {"README.md": "a repository with more in it\n"})
    commit(repository)


def git(folder: Path, *words: str) -> str:
    done = subprocess.run([*GIT, *words], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout


def commit(folder: Path) -> None:
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--allow-empty", "--message", "a state")


def snapshot(folder: Path) -> dict:
    """Every file and folder with content and permissions, without git's own."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if ".git" not in path.relative_to(folder).parts:
            content = path.read_bytes() if path.is_file() else None
            found[path.relative_to(folder).as_posix()] = (content, path.stat().st_mode)
    return found
