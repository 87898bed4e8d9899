# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Processes of tests that have NeMo from their start: a fork server of the run makes them (`fork_server.py`)."""

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from filelock import FileLock

HELPERS = Path(__file__).resolve().parent
START_SECONDS = 180  # for importing NeMo on a loaded machine


class Finished(NamedTuple):
    """How a child has ended, and what it has printed."""

    returncode: int
    stdout: str
    stderr: str


class Child:
    """A running child; whoever leaves the `with` kills it, if it has not ended."""

    def __init__(self, address: str, request: dict):
        self._files = request["out"], request["err"]
        self._connection = socket.socket(socket.AF_UNIX)
        self._connection.connect(address)
        self._connection.sendall(json.dumps(request).encode() + b"\n")
        self._lines = self._connection.makefile()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._lines.close()
        self._connection.close()

    def wait(self, timeout: float = 240) -> Finished:
        """Waits for its end; a TimeoutError after so many seconds."""
        self._connection.settimeout(timeout)
        code = int(self._lines.readline())
        return Finished(code, *(Path(file).read_text() for file in self._files))


class Children:
    """
    Starts children.

    Args:
        shared: a folder of the test run, the same one in all of its processes
        parent: the process whose end is the end of the run
        name: of the server, for those that have other variables than this process
        variables: of the server and its children
    """

    def __init__(self, shared: Path, parent: int, name: str = "fork-server", **variables: str):
        self._shared, self._parent, self._name = shared, parent, name
        self._variables = {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", **variables}

    def start(self, *words, folder: Path = None, **variables) -> Child:
        """Starts `python WORDS` with more variables; a script of `helpers/` needs no folder in its name."""
        words = [str(word) for word in words]
        if (HELPERS / words[0]).is_file():
            words[0] = str(HELPERS / words[0])
        out = tempfile.mkdtemp(dir=self._shared)
        variables = {**os.environ, **self._variables, **variables}
        request = {"words": words, "folder": str(folder or out), "variables": variables}
        return Child(self._server(), {**request, "out": f"{out}/out", "err": f"{out}/err"})

    def run(self, *words, timeout: float = 240, **options) -> Finished:
        """Runs `python WORDS` to its end; an AssertionError with what it has said if that is not 0."""
        with self.start(*words, **options) as child:
            finished = child.wait(timeout)
        assert finished.returncode == 0, f"{words}: exit code {finished.returncode}\n{finished.stderr[-5000:]}"
        return finished

    def ranks(self, *words, count: int = 2, timeout: float = 240, check: bool = True) -> list[Finished]:
        """Runs `python WORDS` as ranks that start together, as torchrun and SLURM do. `check`: all must end with 0."""
        world = {"WORLD_SIZE": str(count), "LOCAL_WORLD_SIZE": str(count), "MASTER_ADDR": "localhost"}
        world.update(MASTER_PORT=str(free_port()), TORCHELASTIC_RUN_ID="none", GROUP_RANK="0")
        with ExitStack() as stack:
            numbers = [{"RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in range(count)]
            ranks = [stack.enter_context(self.start(*words, **world, **number)) for number in numbers]
            finished = [rank.wait(timeout) for rank in ranks]
        assert not check or not any(rank.returncode for rank in finished), "\n".join(
            rank.stderr[-3000:] for rank in finished
        )
        return finished

    def _server(self) -> str:
        """The address of the run's server, which the first one who asks starts."""
        file = self._shared / self._name
        with FileLock(f"{file}.lock"):
            if not file.is_file():
                file.write_text(self._start_server())
        return file.read_text()

    def _start_server(self) -> str:
        # not in the folder of the run: the path of a socket is short
        address = tempfile.mkdtemp(prefix="nemo-") + "/socket"
        command = [sys.executable, str(HELPERS / "fork_server.py"), address, str(self._parent)]
        log = self._shared / f"{self._name}.log"
        with open(log, "w") as output:
            server = subprocess.Popen(
                command, env={**os.environ, **self._variables}, stdout=output, stderr=output, start_new_session=True
            )
        end = time.monotonic() + START_SECONDS
        while not os.path.exists(address):
            if server.poll() is not None or time.monotonic() > end:
                server.kill()
                raise RuntimeError(f"the fork server has not started:\n{log.read_text()[-5000:]}")
            time.sleep(0.05)
        return address


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as found:
        found.bind(("localhost", 0))
        return found.getsockname()[1]
