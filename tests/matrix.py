# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Runs what must hold on each NeMo release, two releases side by side, and ends with a table (`make test-all`).

Needs nothing but Python: it makes the environments itself, by the Makefile's rule. The output of each step is in
build/matrix/RELEASE/STEP.log, that of a failed one is printed as well; a single release prints as it goes. How long
each test took is in build/matrix/RELEASE/STEP.csv (`tests/durations.py` makes a table of it).

`make test` is the default release's first part of the same, without the long runs, and leaves its results
(`--record`). A following `make test-all` takes them over, if not a byte has changed in between.
"""

import argparse
import hashlib
import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Lock
from xml.etree import ElementTree

REPOSITORY = Path(__file__).resolve().parents[1]
RESULTS = REPOSITORY / "build" / "matrix"
# What a result depends on, beside the environment.
SOURCES = ("nemo", "nemo_streaming_ssl", "examples", "benchmarks", "tests", "constraints", "docs")
PAGES = ("README.md", "CHANGELOG.md", "CONTRIBUTING.md")
FILES = ("Makefile", "pyproject.toml", "requirements.txt", "setup.py", *PAGES)
MAKE = [os.environ.get("MAKE", "make"), "--no-print-directory"]


def number(release: str) -> tuple:
    return tuple(int(part) for part in release.split("."))


ALL = sorted((file.stem for file in (REPOSITORY / "constraints").glob("*.txt")), key=number)
DEFAULT, NEWEST = ALL[0], ALL[-1]


def folder_of(release: str) -> str:
    """The environment of a release, by its name in the repository."""
    return ".venv" if release == DEFAULT else f".venv-{release}"


def python_of(release: str) -> str:
    return str(REPOSITORY / folder_of(release) / "bin" / "python")


def report_of(release: str, step: str) -> Path:
    """pytest's report of a step."""
    return RESULTS / release / f"{step}.xml"


def pytest_of(release: str, step: str, marks: str) -> list:
    """The command of a release's tests with these marks, which leaves pytest's report.

    Tests that say the same with every release run on the oldest one.
    """
    if release != DEFAULT:
        marks += " and not any_release"
    return [python_of(release), "-m", "pytest", "tests", "-m", marks, f"--junitxml={report_of(release, step)}"]


# The command of each step, in the order in which they run, from the release.
STEPS = {
    "install": lambda release: [*MAKE, f"{folder_of(release)}/.installed"],
    "lint": lambda release: [*MAKE, "lint"],
    "docs": lambda release: [*MAKE, "docs"],
    "tests": lambda release: pytest_of(release, "tests", "not long_run"),
    "regressions": lambda release: [python_of(release), "tests/regressions_go_red.py"],
    "long": lambda release: pytest_of(release, "long", "long_run"),
    "nemo": lambda release: [python_of(release), "tests/nemo_own_tests.py"],
    "fork": lambda release: [
        *(python_of(release), "tests/inside_a_fork.py", f'--junitxml={report_of(release, "fork")}'),
        *("--", "-m", "not long_run"),
    ],
    "lifecycle": lambda release: [python_of(release), "tests/fork_lifecycle.py"],
    "demo": lambda release: [python_of(release), "examples/asr/speech_pretraining/demo/run_demo.py"],
}
# Steps that say the same on every release run on some. (How a regression test fails may depend on it.)
ONLY = {
    **{step: (DEFAULT,) for step in ("lint", "docs", "fork", "lifecycle")},
    "long": (DEFAULT, NEWEST),
    "demo": (NEWEST,),
}
# Steps of which each test counts, from pytest's report; any other step counts as one.
COUNTED = ("tests", "long", "fork")
LONGEST_FIRST = ("install", "long", "tests", "fork", "nemo", "regressions", "lifecycle", "docs", "lint", "demo")


def steps_of(release: str) -> list:
    return [step for step in STEPS if release in ONLY.get(step, ALL)]


@dataclass
class Result:
    """What came of one step."""

    release: str
    step: str
    passed: int  # tests; any other step is one
    failed: int
    seconds: float
    note: str = ""  # its last line, or why it did not run

    def line(self) -> str:
        verdict = "FAILED" if self.failed else "passed"
        return f"{self.release:<8} {self.step:<12} {verdict}  {self.seconds:6.0f} s  {self.note}"


class Matrix:
    """
    Runs the steps of some releases, two at a time.

    Args:
        releases: the releases.
        steps: names in `STEPS`; the others are left out.
        record: leave the results for a matrix that follows.
    """

    def __init__(self, releases: list, steps: list, record: bool = False):
        self.releases, self.steps, self.record = sorted(releases, key=number), steps, record
        self.alone = len(releases) == 1
        self.installed = {}
        # An editable install writes into the checkout.
        self.installing = Lock()

    def run(self) -> list:
        """All results, by release, in the order of the steps."""
        with ThreadPoolExecutor(max_workers=2) as pool:
            results = list(pool.map(self.run_step, *zip(*self.jobs())))
        return sorted(results, key=lambda result: (number(result.release), list(STEPS).index(result.step)))

    def jobs(self) -> list:
        """(release, step): installations first, then what takes longest, so that both processes end together."""
        jobs = [(release, step) for step in LONGEST_FIRST for release in self.releases if step in steps_of(release)]
        return [(release, step) for release, step in jobs if step in self.steps]

    def run_step(self, release: str, step: str) -> Result:
        """The result of one step; nothing but the installation runs where that failed."""
        if step == "install":
            result = self.install(release)
        elif "install" in self.steps and self.install(release).failed:
            result = Result(release, step, 0, 1, 0, "not run: no environment")
        else:
            result = self.run_or_take(release, step)
        print(result.line(), flush=True)
        return result

    def install(self, release: str) -> Result:
        """Makes the environment of a release, once."""
        if release not in self.installed:  # another one may be in the making
            with self.installing:
                if release not in self.installed:
                    self.installed[release] = self.execute(release, "install")
        return self.installed[release]

    def run_or_take(self, release: str, step: str) -> Result:
        """The result of a step, or what `make test` has left of it."""
        if not self.record:
            return take_record(release, step) or self.execute(release, step)
        before = fingerprint(release)
        result = self.execute(release, step)
        write_record(result, before)
        return result

    def execute(self, release: str, step: str) -> Result:
        """Runs the command of a step and counts."""
        log, report = RESULTS / release / f"{step}.log", report_of(release, step)
        log.parent.mkdir(parents=True, exist_ok=True)
        report.unlink(missing_ok=True)
        live = self.alone and step in ("install", "tests", "long")
        started = time.monotonic()
        code = run_logged([*STEPS[step](release), *self.processes(step)], log, live)
        seconds = time.monotonic() - started
        output = log.read_text(errors="replace")
        if code and not live:
            print(f"{output}\n{release} {step}: exit code {code}, {log}", flush=True)
        # pip's last words are about pip
        note = "" if step == "install" and not code else last_line(output)
        passed, failed = count_tests(report) if step in COUNTED else (int(not code), 0)
        return Result(release, step, passed, max(failed, int(bool(code))), seconds, note)

    def processes(self, step: str) -> list:
        """pytest's words for a process per core, up to four; several releases have one process each."""
        if self.alone and step in ("tests", "long"):
            return ["--numprocesses", "auto", "--maxprocesses", "4", "--dist", "loadfile"]
        return []


def run_logged(command: list, log: Path, live: bool) -> int:
    """Runs a command with its output in a file, and on the terminal too if `live`; its exit code."""
    variables = {"PYTHONUNBUFFERED": "1", "OMP_NUM_THREADS": "1", "TEST_DURATIONS": str(log.with_suffix(".csv"))}
    # a fork shows that tests run there; properties are tried in the other steps
    examples = {"fork": "5"}.get(log.stem, "100" if log.parent.name == NEWEST else None)
    if examples:
        variables["TEST_EXAMPLES"] = examples
    with open(log, "wb") as file:
        process = subprocess.Popen(
            command,
            cwd=REPOSITORY,
            env={**os.environ, **variables},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        for line in process.stdout:
            file.write(line)
            if live:
                sys.stdout.buffer.write(line)
                sys.stdout.buffer.flush()
    return process.wait()


def count_tests(report: Path) -> tuple:
    """(passed, failed) from pytest's XML; a failed setup or collection counts as failed."""
    if not report.is_file():
        return 0, 1
    count = {key: 0 for key in ("tests", "skipped", "failures", "errors")}
    for suite in ElementTree.parse(report).getroot().iter("testsuite"):
        for key in count:
            count[key] += int(suite.get(key))
    failed = count["failures"] + count["errors"]
    return count["tests"] - count["skipped"] - failed, failed


def last_line(output: str) -> str:
    lines = [line.strip(" =") for line in output.splitlines() if line.strip(" =")]
    return lines[-1][:110] if lines else ""


def fingerprint(release: str) -> str:
    """A hash of all that a result depends on: our files, and when the environment was made."""
    files = [file for folder in SOURCES for file in (REPOSITORY / folder).rglob("*") if file.is_file()]
    files = [file for file in files if "__pycache__" not in file.parts] + [REPOSITORY / name for name in FILES]
    digest = hashlib.sha256()
    for file in sorted(files):
        digest.update(f"{file.relative_to(REPOSITORY)}\0".encode() + file.read_bytes())
    stamp = REPOSITORY / folder_of(release) / ".installed"
    digest.update(str(stamp.stat().st_mtime_ns if stamp.is_file() else 0).encode())
    return digest.hexdigest()


def record_of(release: str, step: str) -> Path:
    return RESULTS / release / f"{step}.json"


def write_record(result: Result, before: str) -> None:
    """Leaves a result with the fingerprint that held before the step began."""
    content = {"fingerprint": before, "result": asdict(result)}
    record_of(result.release, result.step).write_text(json.dumps(content))


def take_record(release: str, step: str):
    """The result that `make test` left, or None; it serves once, and only while nothing has changed."""
    file = record_of(release, step)
    if not file.is_file():
        return None
    content = json.loads(file.read_text())
    file.unlink()
    if content["fingerprint"] != fingerprint(release):
        return None
    result = Result(**content["result"])
    result.note = f"{result.note} (taken over from `make test`)"
    return result


def summary(results: list) -> str:
    """The table, what failed, and as last line how many tests and other steps passed and failed."""
    failed = [f"{result.release} {result.step}" for result in results if result.failed]
    lines = ["", *(result.line() for result in results)]
    lines += [f'FAILED: {", ".join(failed)}'] if failed else []
    passed, broken = sum(result.passed for result in results), sum(result.failed for result in results)
    return "\n".join([*lines, f"{passed} passed, {broken} failed"])


def main(argv=None) -> int:
    """Runs the matrix; 1 if anything failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--releases", nargs="+", choices=ALL, default=ALL, metavar="RELEASE", help=", ".join(ALL))
    parser.add_argument("--steps", nargs="+", choices=STEPS, default=list(STEPS), metavar="STEP")
    parser.add_argument("--record", action="store_true", help="leave the results for a matrix that follows")
    args = parser.parse_args(argv)
    RESULTS.mkdir(parents=True, exist_ok=True)
    # what an earlier matrix said must not be taken for the end of this one
    (RESULTS / "summary.txt").unlink(missing_ok=True)
    results = Matrix(args.releases, args.steps, args.record).run()
    text = summary(results)
    print(text, flush=True)
    (RESULTS / "summary.txt").write_text(text + "\n")
    return 1 if any(result.failed for result in results) else 0


if __name__ == "__main__":
    sys.exit(main())
