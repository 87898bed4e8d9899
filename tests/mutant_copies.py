# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Copies of the repository in which mutants.py plants faults, and a pytest in each that starts at once."""

import json
import os
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

from inside_a_fork import REPOSITORY, commit, environment, git, write_environment

# Prints the modules that importing NeMo with the patches brings.
LIBRARIES = 'import json, sys, nemo.collections.asr.models as _; print("\\n" + json.dumps(list(sys.modules)))'


class Copy:
    """A copy of the repository with an environment, and a process that runs pytest there (`preloaded_pytest.py`).

    Args:
        folder: is made
    """

    def __init__(self, folder: Path):
        self.tree, self.log = folder / "tree", folder / "log.txt"
        self._write_tree()
        self.python = self._write_environment()
        start = [self.python, "tests/preloaded_pytest.py"]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        self.pytest = subprocess.Popen(start, cwd=self.tree, env=environment(), **pipes)
        self._say(self._libraries())

    def _write_tree(self) -> None:
        """The files that git does not ignore, in a repository of their own: some tests ask git."""
        listed = git(REPOSITORY, "ls-files", "-z", "--cached", "--others", "--exclude-standard").split("\0")
        for name in filter(lambda name: (REPOSITORY / name).is_file(), listed):
            (self.tree / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(REPOSITORY / name, self.tree / name)
        git(self.tree, "init", "--quiet")
        commit(self.tree, "without a fault")

    def _write_environment(self) -> str:
        """Makes an environment over the libraries of this one, in which the copy's patches are in effect."""
        venv = self.tree / ".venv"
        write_environment(venv, [path for path in sys.path if Path(path).name == "site-packages"])
        root, install = repr(str(self.tree)), "import nemo_streaming_ssl.finder as finder; finder.install()"
        line = f"import sys; sys.path.insert(0, {root}); {install}; sys.path.remove({root})\n"
        next(venv.glob("lib/python*/site-packages")).joinpath("nemo_streaming_ssl.pth").write_text(line)
        return str(venv / "bin" / "python")

    def _libraries(self) -> list:
        command = [self.python, "-c", LIBRARIES]
        done = subprocess.run(command, cwd=self.tree, env=environment(), check=True, stdout=subprocess.PIPE, text=True)
        return json.loads(done.stdout.splitlines()[-1])

    def _say(self, value) -> None:
        self.pytest.stdin.write(json.dumps(value) + "\n")
        self.pytest.stdin.flush()

    def run(self, words: list, seconds: float) -> tuple:
        """pytest's exit code, None if it takes longer, and what it printed."""
        self.log.write_text("")
        self._say({"words": words, "log": str(self.log), "seconds": seconds})
        answer = self.pytest.stdout.readline()
        if not answer:
            raise RuntimeError(f"the process that runs pytest has ended with {self.pytest.wait()}")
        return json.loads(answer), self.log.read_text(errors="replace")

    @contextmanager
    def planted(self, file: str, old: str, new: str):
        """The copy with a fault; afterwards the file has its text and its time, by which Python knows its bytecode."""
        path = self.tree / file
        text, times = path.read_bytes(), path.stat()
        path.write_bytes(text.replace(old.encode(), new.encode()))
        try:
            yield
        finally:
            path.write_bytes(text)
            os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))

    def close(self) -> None:
        """Ends the process, and the tests that it is running."""
        self.pytest.terminate()
        self.pytest.wait()
