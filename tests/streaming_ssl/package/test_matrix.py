# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""The scripts that test all releases: what they report must be true."""

import importlib
import sys

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

pytestmark = pytest.mark.any_release

SUITE = '<testsuites><testsuite tests="{0}" skipped="{1}" failures="{2}" errors="{3}"/></testsuites>'


# a step of one release each; one of some releases is not run on the others
FAILURES = [("demo", "3.0.0"), ("fork", "2.5.3")]


def all_that_counts(matrix) -> int:
    """`install`, 6 tests, `regressions`, `nemo` of each release; 6 long runs of two; style, site, demo, a fork's life;
    6 in a fork."""
    return 9 * len(matrix.ALL) + 2 * 6 + 4 + 6


@pytest.fixture
def scripts(monkeypatch, stub):
    """Imports a script of `tests/`."""
    monkeypatch.syspath_prepend(str(stub.repository / "tests"))
    yield importlib.import_module
    for name in ("inside_a_fork", "matrix", "nemo_own_tests", "nemo_test_data"):
        sys.modules.pop(name, None)


@pytest.fixture
def matrix(scripts, monkeypatch, tmp_path):
    """The matrix, with Python one-liners in place of its steps; a file that is missing makes a step fail."""
    module = scripts("matrix")
    monkeypatch.setattr(module, "REPOSITORY", tmp_path)
    monkeypatch.setattr(module, "RESULTS", tmp_path / "results")
    for name in module.FILES:
        (tmp_path / name).touch()

    def step(name):
        code = [
            "import os, sys",
            f'print("{name} said")',
            'len(sys.argv) > 2 and open(sys.argv[2], "w").write(sys.argv[3])',
            f'sys.exit(os.path.exists("fail-{name}-" + sys.argv[1]))',
        ]
        return lambda release: [sys.executable, "-c", "; ".join(code), release, *report(release, name)]

    def report(release, name):
        return [str(module.report_of(release, name)), SUITE.format(7, 1, 0, 0)] if name in module.COUNTED else []

    steps = {name: step(name) for name in module.STEPS}
    monkeypatch.setattr(module, "STEPS", steps)
    return module


class TestMatrix:
    def test_all_is_well(self, matrix, capsys):
        assert matrix.main([]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert lines[-1] == f"{all_that_counts(matrix)} passed, 0 failed"
        assert (matrix.RESULTS / "summary.txt").read_text().splitlines()[-1] == lines[-1]

    @pytest.mark.parametrize("step, release", FAILURES)
    def test_what_failed_is_named_and_its_output_is_shown(self, matrix, tmp_path, capsys, step, release):
        (tmp_path / f"fail-{step}-{release}").touch()
        assert matrix.main([]) == 1
        out = capsys.readouterr().out
        assert f"\n{step} said\n" in out
        # what pytest reported counts beside the failure
        passed = all_that_counts(matrix) - (step not in matrix.COUNTED)
        assert out.splitlines()[-2:] == [f"FAILED: {release} {step}", f"{passed} passed, 1 failed"]

    def test_nothing_runs_where_the_installation_failed(self, matrix, tmp_path, capsys):
        (tmp_path / "fail-install-3.0.0").touch()
        assert matrix.main(["--releases", "3.0.0", "2.7.3"]) == 1
        out = capsys.readouterr().out
        assert "FAILED: 3.0.0 install, 3.0.0 tests, 3.0.0 regressions, 3.0.0 long, 3.0.0 nemo, 3.0.0 demo" in out
        assert out.splitlines()[-1] == "9 passed, 6 failed"

    @pytest.mark.parametrize("broken", [False, True])
    def test_results_of_make_test_are_taken_over_once(self, matrix, tmp_path, capsys, broken):
        if broken:
            (tmp_path / "fail-lint-2.5.3").touch()
        words = ["--releases", "2.5.3"]
        assert matrix.main([*words, "--steps", "install", "lint", "tests", "--record"]) == broken
        capsys.readouterr()
        for taken in (2, 0):
            assert matrix.main(words) == broken
            out = capsys.readouterr().out
            # in the line of the step and in the table
            assert out.count("taken over") == 2 * taken
            assert out.splitlines()[-1] == f"{24 - broken} passed, {int(broken)} failed"

    @pytest.mark.parametrize("changed", ["nemo/x.py", "tests/new/test_x.py", "Makefile", ".venv/.installed"])
    def test_results_are_void_when_anything_has_changed(self, matrix, stub, tmp_path, capsys, changed):
        words = ["--releases", "2.5.3", "--steps", "lint", "tests"]
        stub.files(tmp_path, {"nemo/x.py": "x = 1"})
        matrix.main([*words, "--record"])
        stub.files(tmp_path, {changed: "x = 2"})
        matrix.main(words)
        assert "taken over" not in capsys.readouterr().out

    @given(st.lists(st.tuples(st.integers(0, 99), st.integers(0, 3)), min_size=1))
    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
    def test_the_last_line_is_the_sum_of_the_table(self, matrix, results):
        text = matrix.summary([matrix.Result("2.5.3", "tests", *counts, seconds=1.0) for counts in results])
        passed, failed = (sum(column) for column in zip(*results))
        assert text.splitlines()[-1] == f"{passed} passed, {failed} failed"
        assert ("FAILED: " in text) == bool(failed)

    def test_tests_that_fail_are_counted_and_none_at_all_is_a_failure(self, matrix, tmp_path):
        report = tmp_path / "tests.xml"
        assert matrix.count_tests(report) == (0, 1)
        report.write_text(SUITE.format(10, 2, 3, 1))
        assert matrix.count_tests(report) == (4, 4)


class TestNemosOwnTests:
    @pytest.fixture
    def own(self, scripts):
        return scripts("nemo_own_tests")

    @pytest.mark.parametrize(
        "on, code, said",
        [
            ({"a": ("passed", ""), "b": ("failed", "x")}, 0, "2 passed off"),
            ({"a": ("passed", ""), "c": ("passed", "")}, 0, "1 better, 0 worse"),
            ({"a": ("failed", "KeyError: 3"), "c": ("passed", "")}, 1, "failed: KeyError: 3"),
            ({"a": ("skipped", "no reason")}, 1, "skipped: no reason"),
            ({}, 1, "not run: pytest ended with 9"),
        ],
    )
    def test_what_passed_off_must_pass_on(self, own, tmp_path, capsys, on, code, said):
        off = {"a": ("passed", ""), "c": ("failed", ""), "d": ("passed", "")}
        assert own.report("2.5.3", off, {"d": ("passed", ""), **on}, [0, 9], tmp_path) == code
        assert said in capsys.readouterr().out

    def test_when_nothing_passed_nothing_is_shown(self, own, tmp_path, capsys):
        assert own.report("2.5.3", {"a": ("failed", "")}, {"a": ("passed", "")}, [1, 0], tmp_path) == 1
        assert "says nothing" in capsys.readouterr().out

    def test_a_run_that_crashed_leaves_what_it_had_done(self, own, tmp_path):
        assert own.read_outcomes(tmp_path / "absent") == {}
        line = '{"test": "a", "outcome": "%s", "reason": ""}\n'
        (tmp_path / "outcomes").write_text(line % "passed" + line % "failed")
        assert own.read_outcomes(tmp_path / "outcomes") == {"a": ("failed", "")}
