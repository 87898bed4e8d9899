# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Runs the marked regression tests once more on plain NeMo: each must go red there, and for the reason that it states.

    @pytest.mark.fix1(fails_with=IndexError, match="shape of the mask")
    @pytest.mark.fix2(fails_with=IndexError, match="out of bounds", before="3.0.0")       # 3.0.0 has mended it, or
    @pytest.mark.fix2(fails_with=AssertionError, match="tensor.False.", since="3.0.0")    # fails in another way

`match` is searched for in the message of the failure. A test that fails because a module, an argument, an attribute or
a fixture of ours is absent proves nothing, whatever it states.
"""

import os
import re
import sys
from collections import Counter, defaultdict
from pathlib import Path

FIXES = tuple(f"fix{number}" for number in range(1, 8))
MARKS = (*FIXES, "limit")
# Each fix has been made for more than one thing that failed.
FEWEST = {**{fix: 2 for fix in FIXES}, "limit": 1}
ABSENT = re.compile(
    r"unexpected keyword argument|no corresponding input_type|positional arguments? but|fixture '\w+' not found"
)


def is_no_proof(error: BaseException) -> bool:
    """True if plain NeMo fails only because something of ours is absent."""
    return isinstance(error, (ImportError, AttributeError, NameError)) or bool(ABSENT.search(str(error)))


def expectation(markers, release):
    """The one of a test's markers that says how it fails on this release of NeMo; None if it should be green there."""
    from packaging.version import Version

    for marker in markers:
        since, before = (marker.kwargs.get(name) for name in ("since", "before"))
        if (since is None or Version(since) <= release) and (before is None or release < Version(before)):
            return marker
    return None


def verdict(marker, error) -> str:
    """What is wrong with how a test went, `error` is None if it passed; "" if it failed as its marker states."""
    if marker is None:
        return "" if error is None else f"should be green on this release, but: {shown(error)}"
    if "fails_with" not in marker.kwargs or "match" not in marker.kwargs:
        return f"does not state how it fails (fails_with, match): {'green' if error is None else shown(error)}"
    kind, match = marker.kwargs["fails_with"], marker.kwargs["match"]
    if error is None:
        return f"green, but states {kind.__name__}: {match}"
    if is_no_proof(error):
        return f"red because something of ours is absent: {shown(error)}"
    if isinstance(error, kind) and re.search(match, str(error)):
        return ""
    return f"red for another reason than {kind.__name__}: {match}; it is {shown(error)}"


def shown(error: BaseException) -> str:
    """An exception on one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"


class RedTests:
    """A pytest plugin that compares how each marked test goes with what its marker states."""

    def __init__(self, release):
        self.release = release
        self.red, self.right, self.functions = Counter(), Counter(), defaultdict(set)
        self.problems = []

    def pytest_runtest_makereport(self, item, call):
        import pytest

        error = call.excinfo.value if call.excinfo else None
        if isinstance(error, pytest.skip.Exception):
            return
        if call.when == "call":
            for name in MARKS:
                if markers := list(item.iter_markers(name)):
                    self._judge(name, item, expectation(markers, self.release), error)
        elif error is not None:
            self.problems.append(f"{item.nodeid}: breaks in {call.when}: {shown(error)}")

    def pytest_collectreport(self, report):
        if report.failed:
            self.problems.append(f"{report.nodeid}: cannot be collected: {report.longrepr}")

    def _judge(self, name, item, marker, error):
        if problem := verdict(marker, error):
            self.problems.append(f"{item.nodeid} ({name}): {problem}")
        elif marker is None:
            self.right[name] += 1
        else:
            self.red[name] += 1
            self.functions[name].add(item.nodeid.split("[")[0])

    def summary(self) -> bool:
        """Prints a line for each mark and each problem; True if there is no problem."""
        for name in MARKS:
            found = len(self.functions[name])
            right = f", {self.right[name]} are right there" if self.right[name] else ""
            print(f"{name}: {self.red[name]} cases of {found} tests go red as they state{right}")
            if found < FEWEST[name]:
                self.problems.append(f"{name}: {found} tests go red, must be at least {FEWEST[name]}")
        for problem in self.problems:
            print(f"PROBLEM {problem}")
        return not self.problems


def marked_files() -> list:
    """The test files with a marked test; the others may import what plain NeMo does not have."""
    files = sorted(Path(__file__).parent.rglob("test_*.py"))
    return [str(file) for file in files if re.search(rf"pytest\.mark\.({'|'.join(MARKS)})\b", file.read_text())]


def main() -> int:
    if os.environ.get("NEMO_STREAMING_SSL") != "off":
        # the finder is in place before this line runs, so a new process
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, "NEMO_STREAMING_SSL": "off"})
    from importlib.metadata import version

    import pytest
    from packaging.version import Version

    plugin = RedTests(Version(version("nemo_toolkit")))
    code = pytest.main([*marked_files(), "-m", " or ".join(MARKS), "-p", "no:terminal"], plugins=[plugin])
    if code not in (pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.OK):
        print(*plugin.problems, sep="\n")
        return int(code)
    print(f"plain NeMo {plugin.release}:")
    return 0 if plugin.summary() else 1


if __name__ == "__main__":
    sys.exit(main())
