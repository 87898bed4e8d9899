# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Tries imports in one child process: NeMo's output, its crashes and its memory stay there."""

import importlib
import json
import os
import subprocess
import sys
import tempfile

CHILD = 'import json, sys; words = json.load(sys.stdin); sys.path[:0] = words["path"]; ' + (
    'from nemo_streaming_ssl.imports import import_all; import_all(words["names"], words["root"], words["results"])'
)


def failing_imports(names: list[str], root: str) -> dict[str, str]:
    """
    Imports modules of the overlay one after the other.

    Args:
        names: dotted names.
        root: the folder that contains the overlay's `nemo/`.

    Returns:
        A one-line reason for each module that could not be imported.
    """
    with tempfile.TemporaryDirectory() as folder:
        results = os.path.join(folder, "results")
        words = {"path": sys.path, "names": names, "root": root, "results": results}
        open(results, "w").close()
        child = subprocess.run([sys.executable, "-c", CHILD], input=json.dumps(words), capture_output=True, text=True)
        with open(results, encoding="utf-8") as file:
            reasons = dict(json.loads(line) for line in file)
    failing = {name: reason for name, reason in reasons.items() if reason}
    missing = [name for name in names if name not in reasons]
    if missing:
        last_line = "".join(f": {line}" for line in child.stderr.strip().splitlines()[-1:])
        failing[missing[0]] = f"Python ended with exit code {child.returncode}{last_line}"
        failing.update((name, f"not tried after {missing[0]}") for name in missing[1:])
    return failing


def import_all(names: list[str], root: str, results: str) -> None:
    """The child's part: appends a pair (name, reason or '') to a file for each module, as soon as it is known."""
    from nemo_streaming_ssl import finder

    finder.install(root)
    for name in names:
        reason = _reason(name)
        with open(results, "a", encoding="utf-8") as file:
            file.write(json.dumps((name, reason)) + "\n")
    # What modules do at the end of a process, such as a crash in a library's destructor, is no matter of imports.
    os._exit(0)


def _reason(name: str) -> str:
    try:
        importlib.import_module(name)
    except BaseException as error:  # a SystemExit too: this module cannot be imported
        message = str(error).strip().partition("\n")[0]
        if isinstance(error, SyntaxError):  # Python itself names the file without its folder
            message = f"{error.msg} ({error.filename}, line {error.lineno})"
        return f"{type(error).__name__}: {message}" if message else type(error).__name__
    return ""
