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

"""Runs what must hold on each NeMo release, two releases side by side, and ends with a table (`make test-matrix`).

Needs nothing but Python: it makes the environments itself, by the Makefile's rule. The output of each step is in
build/matrix/RELEASE/STEP.log, that of a failed one is printed as well; a single release prints as it goes.

`make test` is the default release's first part of the same, and leaves its results (`--record`). A following
`make test-matrix` takes them over instead of running the same once more, if not a byte has changed in between.
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
RESULTS = REPOSITORY / 'build' / 'matrix'
# What a result depends on, beside the environment.
SOURCES = ('nemo', 'nemo_streaming_ssl', 'examples', 'benchmarks', 'tests', 'constraints', 'docs')
PAGES = ('README.md', 'CHANGELOG.md', 'CONTRIBUTING.md')
FILES = ('Makefile', 'pyproject.toml', 'requirements.txt', 'setup.py', *PAGES)
MAKE = [os.environ.get('MAKE', 'make'), '--no-print-directory']


def number(release: str) -> tuple:
    return tuple(int(part) for part in release.split('.'))


ALL = sorted((file.stem for file in (REPOSITORY / 'constraints').glob('*.txt')), key=number)
DEFAULT, NEWEST = ALL[0], ALL[-1]


def folder_of(release: str) -> str:
    """The environment of a release, by its name in the repository."""
    return '.venv' if release == DEFAULT else f'.venv-{release}'


def python_of(release: str) -> str:
    return str(REPOSITORY / folder_of(release) / 'bin' / 'python')


def report_of(release: str, step: str) -> Path:
    """pytest's report of a step."""
    return RESULTS / release / f'{step}.xml'


def reported(release: str, step: str, *words: str) -> list:
    """A command of a release's Python that leaves pytest's report."""
    return [python_of(release), *words, f'--junitxml={report_of(release, step)}']


def left_out(release: str) -> list:
    """pytest's words for the tests that a release does without: those that say the same with every release run on one,
    long ones on the oldest and the newest."""
    if release == DEFAULT:
        return []
    return ['-m', 'not any_release' if release == NEWEST else 'not any_release and not long_run']


def side_by_side() -> list:
    """pytest's words for a process per core, up to four, each with whole files; for a release that runs alone."""
    return ['--numprocesses', 'auto', '--maxprocesses', '4', '--dist', 'loadfile']


# The command of each step, in the order in which they run, from the release.
STEPS = {
    'install': lambda release: [*MAKE, f'{folder_of(release)}/.installed'],
    'lint': lambda release: [*MAKE, 'lint'],
    'docs': lambda release: [*MAKE, 'docs'],
    'tests': lambda release: reported(release, 'tests', '-m', 'pytest', 'tests', *left_out(release)),
    'regressions': lambda release: [python_of(release), 'tests/regressions_go_red.py'],
    'nemo': lambda release: [python_of(release), 'tests/nemo_own_tests.py'],
    'fork': lambda release: [*reported(release, 'fork', 'tests/inside_a_fork.py'), '--', '-m', 'not long_run'],
    'lifecycle': lambda release: [python_of(release), 'tests/fork_lifecycle.py'],
    'demo': lambda release: [python_of(release), 'examples/asr/speech_pretraining/demo/run_demo.py'],
}
# Steps that say the same on every release run on some. (How a regression test fails may depend on it.)
ONLY = {'lint': (DEFAULT,), 'docs': (DEFAULT,), 'fork': (DEFAULT,), 'lifecycle': (DEFAULT,), 'demo': (NEWEST,)}
# Steps of which each test counts, from pytest's report; any other step counts as one.
COUNTED = ('tests', 'fork')


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
    note: str = ''  # its last line, or why it did not run

    def line(self) -> str:
        verdict = 'FAILED' if self.failed else 'passed'
        return f'{self.release:<8} {self.step:<12} {verdict}  {self.seconds:6.0f} s  {self.note}'


class Matrix:
    """
    Runs the steps of some releases.

    Args:
        releases: the releases.
        steps: names in `STEPS`; the others are left out.
        record: leave the results for a matrix that follows.
    """

    def __init__(self, releases: list, steps: list, record: bool = False):
        self.releases, self.steps, self.record = releases, steps, record
        self.live = len(releases) == 1
        # An editable install writes into the checkout.
        self.installing = Lock()

    def run(self) -> list:
        """All results, two releases at a time, the newest first."""
        with ThreadPoolExecutor(max_workers=2) as pool:
            found = pool.map(self.run_release, sorted(self.releases, key=number, reverse=True))
            return [result for results in found for result in results]

    def run_release(self, release: str) -> list:
        """The results of one release; nothing runs where the installation failed."""
        results = []
        for step in steps_of(release):
            if step not in self.steps:
                continue
            if results and results[0].step == 'install' and results[0].failed:
                results.append(Result(release, step, 0, 1, 0, 'not run: no environment'))
            else:
                results.append(self.run_step(release, step))
            print(results[-1].line(), flush=True)
        return results

    def run_step(self, release: str, step: str) -> Result:
        """The result of one step, or what `make test` has left of it."""
        if step == 'install':
            with self.installing:
                return self.execute(release, step)
        if not self.record:
            return take_record(release, step) or self.execute(release, step)
        before = fingerprint(release)
        result = self.execute(release, step)
        write_record(result, before)
        return result

    def execute(self, release: str, step: str) -> Result:
        """Runs the command of a step and counts."""
        log = RESULTS / release / f'{step}.log'
        log.parent.mkdir(parents=True, exist_ok=True)
        report = report_of(release, step)
        report.unlink(missing_ok=True)
        started = time.monotonic()
        alone = side_by_side() if self.live and step == 'tests' else []
        code = run_logged([*STEPS[step](release), *alone], log, self.live)
        seconds = time.monotonic() - started
        output = log.read_text(errors='replace')
        if code and not self.live:
            print(f'{output}\n{release} {step}: exit code {code}, {log}', flush=True)
        # pip's last words are about pip
        note = '' if step == 'install' and not code else last_line(output)
        passed, failed = count_tests(report) if step in COUNTED else (int(not code), 0)
        return Result(release, step, passed, max(failed, int(bool(code))), seconds, note)


def run_logged(command: list, log: Path, live: bool) -> int:
    """Runs a command with its output in a file, and on the terminal too if `live`; its exit code."""
    threads = {} if live else {'OMP_NUM_THREADS': '1'}
    with open(log, 'wb') as file:
        process = subprocess.Popen(
            command,
            cwd=REPOSITORY,
            env={**os.environ, 'PYTHONUNBUFFERED': '1', **threads},
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
    count = {key: 0 for key in ('tests', 'skipped', 'failures', 'errors')}
    for suite in ElementTree.parse(report).getroot().iter('testsuite'):
        for key in count:
            count[key] += int(suite.get(key))
    failed = count['failures'] + count['errors']
    return count['tests'] - count['skipped'] - failed, failed


def last_line(output: str) -> str:
    lines = [line.strip(' =') for line in output.splitlines() if line.strip(' =')]
    return lines[-1][:110] if lines else ''


def fingerprint(release: str) -> str:
    """A hash of all that a result depends on: our files, and when the environment was made."""
    files = [file for folder in SOURCES for file in (REPOSITORY / folder).rglob('*') if file.is_file()]
    files = [file for file in files if '__pycache__' not in file.parts] + [REPOSITORY / name for name in FILES]
    digest = hashlib.sha256()
    for file in sorted(files):
        digest.update(f'{file.relative_to(REPOSITORY)}\0'.encode() + file.read_bytes())
    stamp = REPOSITORY / folder_of(release) / '.installed'
    digest.update(str(stamp.stat().st_mtime_ns if stamp.is_file() else 0).encode())
    return digest.hexdigest()


def record_of(release: str, step: str) -> Path:
    return RESULTS / release / f'{step}.json'


def write_record(result: Result, before: str) -> None:
    """Leaves a result with the fingerprint that held before the step began."""
    content = {'fingerprint': before, 'result': asdict(result)}
    record_of(result.release, result.step).write_text(json.dumps(content))


def take_record(release: str, step: str):
    """The result that `make test` left, or None; it serves once, and only while nothing has changed."""
    file = record_of(release, step)
    if not file.is_file():
        return None
    content = json.loads(file.read_text())
    file.unlink()
    if content['fingerprint'] != fingerprint(release):
        return None
    result = Result(**content['result'])
    result.note = f'{result.note} (taken over from `make test`)'
    return result


def summary(results: list) -> str:
    """The table, what failed, and as last line how many tests and other steps passed and failed."""
    failed = [f'{result.release} {result.step}' for result in results if result.failed]
    lines = ['', *(result.line() for result in results)]
    lines += [f'FAILED: {", ".join(failed)}'] if failed else []
    passed, broken = sum(result.passed for result in results), sum(result.failed for result in results)
    return '\n'.join([*lines, f'{passed} passed, {broken} failed'])


def main(argv=None) -> int:
    """Runs the matrix; 1 if anything failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--releases', nargs='+', choices=ALL, default=ALL, metavar='RELEASE', help=', '.join(ALL))
    parser.add_argument('--steps', nargs='+', choices=STEPS, default=list(STEPS), metavar='STEP')
    parser.add_argument('--record', action='store_true', help='leave the results for a matrix that follows')
    args = parser.parse_args(argv)
    RESULTS.mkdir(parents=True, exist_ok=True)
    # what an earlier matrix said must not be taken for the end of this one
    (RESULTS / 'summary.txt').unlink(missing_ok=True)
    results = Matrix(args.releases, args.steps, args.record).run()
    text = summary(results)
    print(text, flush=True)
    (RESULTS / 'summary.txt').write_text(text + '\n')
    return 1 if any(result.failed for result in results) else 0


if __name__ == '__main__':
    sys.exit(main())
