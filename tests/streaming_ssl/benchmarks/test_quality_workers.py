# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Workers of the benchmarks do not outlive the command that was killed."""

import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[3]
# the worker's own output goes to the pipe that the test reads: the pipe ends with its last writer
COMMAND = """
import os, signal, sys, threading
from benchmarks.quality.workers import workers

def work(_):
    os.kill(os.getppid(), signal.SIGKILL)
    threading.Event().wait()

if __name__ == '__main__':
    with workers(2, print, 'begun') as each:
        list(each(work, [0, 1]))
"""


@pytest.mark.any_release
def test_workers_end_when_the_command_is_killed(tmp_path):
    (tmp_path / "command.py").write_text(COMMAND)
    environment = {"PYTHONPATH": str(REPOSITORY), "PYTHONUNBUFFERED": "1"}
    done = subprocess.run(
        [sys.executable, tmp_path / "command.py"], env=environment, stdout=subprocess.PIPE, timeout=60, check=False
    )
    assert done.returncode == -9
    assert b"begun" in done.stdout
