# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Runs of `vendor` that are killed, before each of their steps in turn: the next run finishes or undoes it."""

import os
import shutil
import sys
from pathlib import Path

import pytest
import vendoring_stub as stub

from nemo_streaming_ssl import cli
from nemo_streaming_ssl.vendoring import plan

pytestmark = pytest.mark.any_release


# A file of each kind: one that builds on an original (executable, with CRLF in it), one in a new folder, and one in
# whose place the fork has one of its own. Each file takes the same steps as the others of its kind.
MASKING, BASE = "nemo/collections/asr/masking.py", "nemo/collections/asr/_masking_base.py"
CONTEXT = "nemo/collections/asr/contexts/context.py"
EXAMPLE = "examples/asr/pretrain.py"
STEPS = ("os.rename", "os.remove", "os.mkdir", "os.rmdir")
KILLED = 9


def run(fork: Path, *options) -> int:
    return cli.main(["vendor", str(fork), *options])


def run_until_killed(fork: Path, options, step: int) -> bool:
    """Runs the command in a child process that ends at once before its step of that number; False if it has fewer."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            sys.addaudithook(killer(fork, step))
            code = run(fork, *options)
        finally:
            os._exit(code)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in (0, KILLED)
    return code == KILLED


def killer(fork: Path, step: int):
    """An audit hook: Python calls it before each step on a file, also of its own modules."""
    seen = 0

    def hook(event, arguments):
        nonlocal seen
        changes = event in STEPS or (event == "open" and isinstance(arguments[1], str) and "w" in arguments[1])
        if changes and str(arguments[0]).startswith(str(fork)):
            seen += 1
            if seen == step:
                os._exit(KILLED)

    return hook


@pytest.fixture
def patch_set(tmp_path, monkeypatch):
    """The folder of a patch set of few files, which the command takes for its own."""
    folder = stub.write_modules(tmp_path / "patch_set", [MASKING], [CONTEXT, EXAMPLE])
    monkeypatch.setattr(plan, "overlay_root", lambda: str(folder))
    return folder


def write_fork(repository: Path) -> None:
    """A fork with a file of its own in the way of one of ours."""
    stub.write_fork(repository)
    stub.write_files(repository / stub.BELOW, {EXAMPLE: "of the fork\n"})
    stub.commit(repository)


@pytest.fixture
def fork(made_once, tmp_path, patch_set):
    shutil.copytree(made_once("fork with an example", write_fork), tmp_path / "repository")
    return tmp_path / "repository" / stub.BELOW


def killed_in_turn(fork: Path, options, *then):
    """(step, what to do next) with the fork after a run that was killed before step 1, 2, ...

    Each run starts from the same state, and each of `then` from what the killed run has left.
    """
    saved, left = fork.parent / "saved", fork.parent / "left"
    put(fork, saved)
    for step in range(1, 1000):
        if not run_until_killed(fork, options, step):
            assert step > 5, "it was never killed: this has shown nothing"
            return
        put(fork, left)
        for what in then:
            yield step, what
            put(left, fork)
        put(saved, fork)


def put(source: Path, target: Path) -> None:
    """Makes one folder a copy of another."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target, symlinks=True)


def result(fork: Path, *options) -> dict:
    """The tree after a run that nobody disturbs; the fork is not touched."""
    copy = fork.parent / "copy"
    put(fork, copy)
    assert run(copy, *options) == 0
    after = stub.snapshot(copy)
    shutil.rmtree(copy)
    return after


class TestKilled:
    def test_while_it_writes_it_is_finished_or_undone(self, fork):
        before, after = stub.snapshot(fork), result(fork, "--replace")
        for step, then in killed_in_turn(fork, ["--replace"], "--replace", "--revert"):
            nothing_to_revert = then == "--revert" and not has_record(fork)  # nothing was done yet
            assert run(fork, then) == (2 if nothing_to_revert else 0), step
            assert stub.snapshot(fork) == (after if then == "--replace" else before), step

    def test_while_it_reverts_it_is_finished_or_undone(self, fork):
        before = stub.snapshot(fork)
        run(fork, "--replace")
        stub.commit(fork)
        vendored = stub.snapshot(fork)
        for step, then in killed_in_turn(fork, ["--revert"], "--revert", "--update"):
            assert run(fork, then) == 0, step
            assert stub.snapshot(fork) == (before if then == "--revert" else vendored), step

    @pytest.mark.long_run
    def test_while_it_updates_it_is_finished_or_reverted(self, fork, patch_set):
        before = stub.snapshot(fork)
        run(fork, "--replace")
        stub.commit(fork)
        new_version(patch_set)
        after = result(fork, "--update")
        for step, then in killed_in_turn(fork, ["--update"], "--update", "--revert"):
            assert run(fork, then) == 0, step
            assert stub.snapshot(fork) == (after if then == "--update" else before), step

    @pytest.mark.long_run
    def test_what_the_fork_edited_is_not_lost(self, fork, patch_set):
        run(fork, "--replace")
        for path in (MASKING, BASE):
            with open(fork / path, "a") as file:
                file.write("# edited\n")
        stub.commit(fork)
        new_version(patch_set)
        ours, base = (fork / MASKING).read_bytes(), (fork / BASE).read_bytes()
        for step, then in killed_in_turn(fork, ["--update"], "--update"):
            assert run(fork, then) == 0, step
            assert (fork / BASE).read_bytes() == base, step
            assert (fork / (MASKING + ".edited")).read_bytes() == ours, step

    def test_a_file_edited_after_the_kill_stops_the_run_and_survives_the_revert(self, fork, capsys):
        for _, then in killed_in_turn(fork, ["--replace"], "--replace"):
            if not (fork / BASE).exists():
                continue
            (fork / MASKING).write_text("# edited\n")
            assert run(fork, then) == 2
            assert MASKING in capsys.readouterr().err
            assert run(fork, "--revert") == 0
            assert "# edited\n" in {content.read_text() for content in (fork / MASKING).parent.glob("masking.py*")}
            return


def new_version(patch_set: Path) -> None:
    """A file changes, one goes, one comes."""
    with open(patch_set / MASKING, "a") as file:
        file.write("# a new version\n")
    (patch_set / CONTEXT).unlink()
    stub.write_files(patch_set, {"nemo/collections/asr/lookahead/__init__.py": ""})


def has_record(fork: Path) -> bool:
    return (fork / "streaming_ssl_vendor.toml").exists()
