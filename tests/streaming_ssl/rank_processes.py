# Copyright (c) 2026, the streaming-ssl authors.
#
# Licensed under the Apache License, Version 2.0 (the "License");
# you may not use this file except in compliance with the License.
# You may obtain a copy of the License at
#
#     http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS,
# WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
# See the License for the specific language governing permissions and
# limitations under the License.

"""Starts the ranks of a training from a test, and ends those that hang."""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path


def free_port():
    """A port of this machine that nobody listens on."""
    with socket.socket() as found:
        found.bind(("localhost", 0))
        return found.getsockname()[1]


def printed_by_two(script: Path, *arguments) -> list:
    """Starts a script as two ranks at once, as torchrun and SLURM do; the JSON that each has printed last."""
    shared = {"MASTER_ADDR": "localhost", "MASTER_PORT": str(free_port()), "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}
    shared.update(TORCHELASTIC_RUN_ID="none", GROUP_RANK="0", OMP_NUM_THREADS="1")
    ranks = [
        subprocess.Popen(
            [sys.executable, str(script), *map(str, arguments)],
            env={**os.environ, **shared, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    outputs = [rank.communicate(timeout=240) for rank in ranks]
    assert all(rank.returncode == 0 for rank in ranks), "\n".join(err[-3000:] for _, err in outputs)
    return [json.loads(out.splitlines()[-1]) for out, _ in outputs]


def run_forked(script: Path, *arguments) -> str:
    """Runs a script that forks its own ranks; what it has written to stderr. Ranks that hang are ended with it."""
    command = [sys.executable, str(script), *map(str, arguments)]
    env = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    streams = dict(stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    with subprocess.Popen(command, env=env, start_new_session=True, **streams) as process:
        try:
            return process.communicate(timeout=600)[1]
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)  # the ranks too
            raise
