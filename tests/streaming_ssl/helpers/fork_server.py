# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""A process that has imported NeMo and forks a child for each command that a test runs: importing takes ten seconds.

    python fork_server.py SOCKET PARENT    listens at a Unix socket until the process PARENT has ended

A request is one line of JSON: the words behind `python`, the folder, the variables, and the files for what is printed.
The answer is a line: how it has ended. Whoever hangs up kills the process, and what it has started.
"""

import json
import os
import runpy
import select
import shutil
import signal
import socket
import sys


def main(address: str, parent: int):
    """Imports NeMo, then answers."""
    import torch

    import nemo.collections.asr.models  # noqa: F401
    import nemo.utils.exp_manager  # noqa: F401

    torch.set_num_threads(1)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those who answer
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(address + ".new")
        server.listen()
        os.rename(address + ".new", address)  # from now on it can be found
        while is_running(parent):
            if select.select([server], [], [], 1.0)[0]:
                connection = server.accept()[0]
                if os.fork() == 0:
                    server.close()
                    answer(connection)
                connection.close()
    shutil.rmtree(os.path.dirname(address))


def is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def answer(connection: socket.socket):
    """Starts what is asked for, waits for its end, and ends this process."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    request = json.loads(connection.makefile().readline())
    child = os.fork()
    if child == 0:
        connection.close()
        run(**request)
    ended = select.select([os.pidfd_open(child), connection], [], [])[0]
    if connection in ended:
        os.killpg(child, signal.SIGKILL)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if connection not in ended:
        connection.sendall(f"{code}\n".encode())
    os._exit(0)


def run(words: list, folder: str, variables: dict, out: str, err: str):
    """Does what `python WORDS` does, in this process and a group of its own, and ends it."""
    os.setsid()
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(variables)
    for stream, file in ((0, os.devnull), (1, out), (2, err)):
        os.dup2(os.open(file, os.O_RDWR | os.O_CREAT), stream)
    code = 1
    try:
        run_words(words)
        code = 0
    except SystemExit as end:
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)  # without what Python does at its end: gloo's destructor can wait for ever


def run_words(words: list):
    """What stands behind `python`: `-m MODULE`, `-c CODE` or a script, and its arguments.

    This folder stays on the path.
    """
    is_script = words[0] not in ("-m", "-c")
    sys.path.insert(0, os.path.dirname(os.path.abspath(words[0])) if is_script else os.getcwd())
    sys.argv = words if is_script else [words[0], *words[2:]]
    if words[0] == "-m":
        runpy.run_module(words[1], run_name="__main__", alter_sys=True)
    elif words[0] == "-c":
        exec(compile(words[1], "<string>", "exec"), {"__name__": "__main__"})
    else:
        runpy.run_path(words[0], run_name="__main__")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
