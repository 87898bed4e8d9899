# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""A pytest for many runs: third-party libraries are imported once, and each run is a fork that imports ours anew.

It reads JSON from its input, a line each: first the names of the modules to import, then runs, `{"words": [...],
"log": path, "seconds": limit}`. It answers each run with a line, pytest's exit code, or null if it ran out of time.
"""

import importlib
import json
import os
import signal
import sys
import time
from contextlib import suppress

OURS = ("nemo", "nemo_streaming_ssl")
# Where answers go: what a module prints when it is imported must not be taken for one.
ANSWERS = os.fdopen(os.dup(1), "w")


def preload(names: list) -> None:
    """Imports what is not ours; some entries of `sys.modules` are no modules that can be imported."""
    for name in names:
        if name.partition(".")[0] not in OURS:
            try:
                importlib.import_module(name)
            except Exception:
                continue


def run_pytest(words: list, log: str) -> int:
    """The child's part: as `python -m pytest WORDS` in the working folder, with ours as the files are now."""
    os.setsid()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    for number in (1, 2):
        os.dup2(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND), number)
    for name in [name for name in sys.modules if name.partition(".")[0] in OURS]:
        del sys.modules[name]
    importlib.import_module("nemo_streaming_ssl.finder").install()
    import pytest

    code = int(pytest.main(words))
    sys.stdout.flush()
    return code


def wait_for(child: int, seconds: float) -> object:
    """The child's exit code, None if it takes longer; what it has started ends with it."""
    end, done = time.monotonic() + seconds, (0, 0)
    try:
        while done[0] == 0 and time.monotonic() < end:
            time.sleep(0.05)
            done = os.waitpid(child, os.WNOHANG)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)
    if done[0] == 0:
        os.waitpid(child, 0)
        return None
    return os.waitstatus_to_exitcode(done[1])


def main() -> None:
    os.dup2(2, 1)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    sys.path[0] = os.getcwd()
    preload(json.loads(sys.stdin.readline()))
    for line in sys.stdin:
        run = json.loads(line)
        child = os.fork()
        if child == 0:
            code = 3  # pytest's for an error of its own
            try:
                code = run_pytest(run["words"], run["log"])
            finally:
                os._exit(code)
        print(json.dumps(wait_for(child, run["seconds"])), file=ANSWERS, flush=True)


if __name__ == "__main__":
    main()
