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

"""Runs the marked regression tests once more on plain NeMo: each fix must have a test that goes red there.

A regression test that stays green without the patches proves nothing. Only a test that fails while it runs counts;
one that cannot even be collected, or whose fixture breaks, would be red for any reason.
"""

import os
import sys
from collections import defaultdict
from pathlib import Path

FIXES = tuple(f"fix{number}" for number in range(1, 8))


class RedTests:
    """A pytest plugin that collects, for each fix, the names of the tests that passed and failed."""

    def __init__(self):
        self.outcomes = defaultdict(lambda: defaultdict(list))
        self.broken = []

    def pytest_runtest_logreport(self, report):
        if report.when != "call":
            self.broken += [report.nodeid] if report.failed else []
            return
        for fix in FIXES:
            if fix in report.keywords:
                self.outcomes[fix][report.outcome].append(report.nodeid)

    def pytest_collectreport(self, report):
        self.broken += [report.nodeid] if report.failed else []

    def summary(self) -> bool:
        """Prints a line for each fix; True if all of them have red tests."""
        for fix in FIXES:
            red, green = (len(self.outcomes[fix][outcome]) for outcome in ("failed", "passed"))
            print(f"{fix}: {red} tests go red on plain NeMo, {green} stay green")
        for name in self.broken:
            print(f"could not run on plain NeMo: {name}")
        return not self.broken and all(self.outcomes[fix]["failed"] for fix in FIXES)


def marked_files() -> list:
    """The test files with a marked test; the others may import what plain NeMo does not have."""
    files = sorted(Path(__file__).parent.rglob("test_*.py"))
    return [str(file) for file in files if "pytest.mark.fix" in file.read_text()]


def main() -> int:
    if os.environ.get("NEMO_STREAMING_SSL") != "off":
        # the finder is in place before this line runs, so a new process
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, "NEMO_STREAMING_SSL": "off"})
    import pytest

    plugin = RedTests()
    code = pytest.main([*marked_files(), "-m", " or ".join(FIXES), "-p", "no:terminal"], plugins=[plugin])
    if code not in (pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.OK):
        return int(code)
    return 0 if plugin.summary() else 1


if __name__ == "__main__":
    sys.exit(main())
