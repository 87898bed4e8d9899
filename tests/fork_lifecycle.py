# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Runs every command of docs/forks.md, in order, on a fork of NeMo 2.5.3 whose upstream goes on to 2.6.2.

    python tests/fork_lifecycle.py

The fork has changes of its own in three files that are shadowed and in one that is not. Between the commands it is
checked that the changes are there, that an edit of ours and one of an original is found, that a revert gives each byte
back, and that no merge conflicts. The wheels are downloaded. The exit code is 1 if anything is wrong.
"""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory

REPOSITORY = Path(__file__).resolve().parents[1]
PAGE = REPOSITORY / "docs" / "forks.md"
OLD, NEW = "2.5.3", "2.6.2"
ASR = "nemo/collections/asr"
# Shadowed, shadowed, shadowed, and not.
CHANGED = tuple(
    f"{ASR}/{name}.py"
    for name in ("models/ssl_models", "losses/ssl_losses/mlm", "modules/ssl_modules/masking", "losses/ctc")
)
BY_THE_FORK = "\n\nOF_THE_FORK = True\n"
RECORD = "streaming_ssl_vendor.toml"
# `nemo-streaming-ssl` of a copy of this repository; with -S, or the `.pth` file would import the package from here.
SCRIPT = '#!/bin/sh\nPYTHONPATH={0}:{1} exec {2} -S -m nemo_streaming_ssl "$@"\n'


def main() -> int:
    """Prints each command, what is wrong, and one last line; 1 if anything is wrong."""
    with TemporaryDirectory(prefix="fork_lifecycle_") as folder:
        life = Life(Path(folder))
        for title, check in CHECKS.items():
            before = life.files()
            life.run_section(title)
            check(life, before)
    for problem in life.problems:
        print(f"PROBLEM {problem}")
    print(f'docs/forks.md on a fork of NeMo {OLD}, merged with {NEW}: {len(life.problems) or "no"} problems')
    return 1 if life.problems else 0


class Life:
    """
    A fork, and what is found wrong with it.

    Args:
        work: an empty folder
    """

    def __init__(self, work: Path):
        self.fork, self.scripts, self.problems = work / "fork", work / "bin", []
        # The patch set, copied: a newer version of it is made on the way.
        self.ours = work / "ours"
        for name in ("nemo", "nemo_streaming_ssl", "examples", "docs", "tests/streaming_ssl", "benchmarks/results"):
            shutil.copytree(REPOSITORY / name, self.ours / name, ignore=shutil.ignore_patterns("__pycache__"))
        self.scripts.mkdir()
        script = self.scripts / "nemo-streaming-ssl"
        script.write_text(SCRIPT.format(self.ours, sysconfig.get_paths()["purelib"], sys.executable))
        script.chmod(0o755)
        self._write_fork(wheel(work, OLD), wheel(work, NEW))

    def _write_fork(self, old: Path, new: Path) -> None:
        self.fork.mkdir()
        self.shell("git init --quiet --initial-branch=main")
        self._commit_release(old)
        self.shell("git checkout --quiet -b upstream")
        self._commit_release(new)
        self.shell("git checkout --quiet main")
        for name in CHANGED:
            append(self.fork / name, BY_THE_FORK)
        self.commit("the work of the fork")

    def _commit_release(self, release: Path) -> None:
        for name in ("nemo", "tests", "examples"):
            shutil.rmtree(self.fork / name, ignore_errors=True)
        with zipfile.ZipFile(release) as archive:
            kept = [name for name in archive.namelist() if name.startswith(("nemo/", "tests/", "examples/"))]
            archive.extractall(self.fork, kept)
        self.commit(release.name)

    def commit(self, message: str) -> None:
        self.shell(f'git add --all && git commit --quiet --message "{message}"')

    def shell(self, command: str, expected: int = 0) -> str:
        """Runs a command in the fork; another exit code than the expected one is a problem."""
        done = subprocess.run(
            ["sh", "-ec", command], cwd=self.fork, env=environment(self.scripts), capture_output=True, text=True
        )
        if done.returncode != expected:
            self.problems.append(f"{command}: exit code {done.returncode}\n{done.stdout}{done.stderr}")
        return done.stdout

    def run_section(self, title: str) -> None:
        """Runs the commands that the page shows below a title."""
        section = PAGE.read_text().split(f"\n## {title}\n")[1].split("\n## ")[0]
        for command in re.search(r"```sh\n(.*?)```", section, re.DOTALL)[1].splitlines():
            print(f"$ {command}", flush=True)
            self.shell(command)

    def files(self) -> dict:
        """Every file with its content, without git's own."""
        files = (file for file in self.fork.rglob("*") if file.is_file() and ".git" not in file.parts)
        return {file.relative_to(self.fork).as_posix(): file.read_bytes() for file in files}

    def require(self, holds: bool, what: str) -> None:
        if not holds:
            self.problems.append(what)

    def require_changes_of_the_fork(self) -> None:
        """Each change is in the file, or in the original beside ours."""
        for name in CHANGED:
            base = self.fork / name.replace(stem := Path(name).stem, f"_{stem}_base")
            file = base if base.is_file() else self.fork / name
            self.require(file.read_text().endswith(BY_THE_FORK), f"{file}: the change of the fork is lost")


def wheel(work: Path, release: str) -> Path:
    """The wheel of a release, downloaded."""
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "-qq", "--no-deps"]
    subprocess.run([*pip, "--only-binary=:all:", "--dest", work, f"nemo_toolkit=={release}"], check=True)
    return next(work.glob(f"nemo_toolkit-{release}-*.whl"))


def environment(scripts: Path) -> dict:
    """The variables of a shell in which git depends on nobody's settings."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    who = {f"GIT_{role}_{what}": "fork@example.org" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    settings = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    return {**kept, **who, **settings, "PATH": f'{scripts}{os.pathsep}{os.environ["PATH"]}'}


def append(file: Path, text: str) -> None:
    with open(file, "a") as opened:
        opened.write(text)


def after_adopting(life: Life, before: dict) -> None:
    after = life.files()
    for name in CHANGED[:3]:
        base = name.replace(stem := Path(name).stem, f"_{stem}_base")
        life.require(after.get(base) == before[name], f"{base} is not what {name} was")
        life.require(after[name] == (life.ours / name).read_bytes(), f"{name} is not ours")
    life.require(after[CHANGED[3]] == before[CHANGED[3]], f"{CHANGED[3]} was touched")
    life.require("nothing to do" in life.shell("nemo-streaming-ssl vendor ."), "a second run does something")
    life.require(life.files() == after, "a second run changes something")


def after_verifying(life: Life, before: dict) -> None:
    life.require(life.files() == before, "--verify has changed something")
    for name in (CHANGED[0], CHANGED[1].replace("mlm", "_mlm_base")):
        append(life.fork / name, "# edited\n")
        found = life.shell("nemo-streaming-ssl vendor --verify .", expected=1)
        life.require(f"edited: {name}" in found, f"--verify does not find the edit of {name}: {found}")
        life.shell(f"git checkout --quiet {name}")


def after_merging(life: Life, before: dict) -> None:
    life.require_changes_of_the_fork()
    life.require("MINOR = 6" in (life.fork / "nemo/package_info.py").read_text(), f"{NEW} is not merged")
    life.require(f'nemo_version = "{NEW}"' in (life.fork / RECORD).read_text(), f"{RECORD} does not say {NEW}")
    life.shell("nemo-streaming-ssl vendor --verify .")
    # what the next section needs: a newer version of the patch set
    append(life.ours / CHANGED[0], "# a newer version\n")


def after_updating(life: Life, before: dict) -> None:
    after = life.files()
    life.require(after[CHANGED[0]].endswith(b"# a newer version\n"), "the newer version is not there")
    same = {name for name in after if name not in (CHANGED[0], RECORD)}
    life.require(all(after[name] == before.get(name) for name in same), "an update changes other files")
    life.require_changes_of_the_fork()
    append(life.fork / CHANGED[1].replace("mlm", "_mlm_base"), BY_THE_FORK)
    life.commit("an original is edited")


def after_leaving(life: Life, before: dict) -> None:
    life.shell("git checkout --quiet -b merged main && git reset --quiet --hard upstream")
    upstream = life.files()
    life.shell("git checkout --quiet main")
    now = life.files()
    expected = {name: content + BY_THE_FORK.encode() for name, content in upstream.items() if name in CHANGED}
    expected[CHANGED[1]] += BY_THE_FORK.encode()
    life.require(now == {**upstream, **expected}, "a revert leaves more than upstream and the changes of the fork")


def after_applying(life: Life, before: dict) -> None:
    life.shell("nemo-streaming-ssl vendor --verify .")
    patched = life.files()
    life.shell("nemo-streaming-ssl vendor --revert .")
    life.require(life.files() == before, "the patch cannot be reverted to what was there")
    life.shell("nemo-streaming-ssl vendor .")
    life.require(life.files() == patched, "the patch is not what the command writes")


# The sections of the page in their order, and what must hold after each.
CHECKS = {
    "Adopt": after_adopting,
    "Verify in CI": after_verifying,
    "Merge upstream": after_merging,
    "Update": after_updating,
    "Leave": after_leaving,
    "As a patch": after_applying,
}

if __name__ == "__main__":
    sys.exit(main())
