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

"""Runs of `vendor` that are killed, before each of their steps in turn: the next run finishes or undoes it."""

import importlib.util
import os
import shutil
import sys
from pathlib import Path

import pytest

from nemo_streaming_ssl import cli

pytestmark = pytest.mark.any_release

_spec = importlib.util.spec_from_file_location('vendoring_stub', Path(__file__).with_name('vendoring_stub.py'))
stub = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(stub)
patch_set = stub.patch_set

EXAMPLE = 'examples/asr/pretrain.py'
LOSS, BASE = 'nemo/collections/asr/loss.py', 'nemo/collections/asr/_loss_base.py'
STEPS = ('os.rename', 'os.remove', 'os.mkdir', 'os.rmdir')
KILLED = 9


def run(fork: Path, *options) -> int:
    return cli.main(['vendor', str(fork), *options])


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
        changes = event in STEPS or (event == 'open' and isinstance(arguments[1], str) and 'w' in arguments[1])
        if changes and str(arguments[0]).startswith(str(fork)):
            seen += 1
            if seen == step:
                os._exit(KILLED)

    return hook


@pytest.fixture
def fork(tmp_path, patch_set):
    """A fork with a file of its own in the way of one of ours."""
    fork = stub.write_fork(tmp_path / 'repository')
    stub.write_files(fork, {EXAMPLE: 'of the fork\n'})
    stub.commit(fork)
    return fork


def killed_in_turn(fork: Path, options):
    """The fork after a run that was killed before step 1, 2, ...; each time from the same state."""
    saved = fork.parent / 'saved'
    shutil.copytree(fork, saved, symlinks=True)
    for step in range(1, 1000):
        was_killed = run_until_killed(fork, options, step)
        if not was_killed:
            assert step > 10, 'it was never killed: this has shown nothing'
            return
        yield step
        shutil.rmtree(fork)
        shutil.copytree(saved, fork, symlinks=True)


def result(fork: Path, *options) -> dict:
    """The tree after a run that nobody disturbs; the fork is not touched."""
    copy = fork.parent / 'copy'
    shutil.copytree(fork, copy, symlinks=True)
    assert run(copy, *options) == 0
    after = stub.snapshot(copy)
    shutil.rmtree(copy)
    return after


@pytest.mark.unit
class TestKilled:
    def test_while_it_writes_the_same_command_finishes_it(self, fork):
        expected = result(fork, '--replace')
        for step in killed_in_turn(fork, ['--replace']):
            assert run(fork, '--replace') == 0, step
            assert stub.snapshot(fork) == expected, step

    def test_while_it_writes_a_revert_undoes_it(self, fork):
        before = stub.snapshot(fork)
        for step in killed_in_turn(fork, ['--replace']):
            expected = 0 if has_record(fork) else 2  # without a record nothing was done yet
            assert run(fork, '--revert') == expected, step
            assert stub.snapshot(fork) == before, step

    def test_while_it_reverts_the_same_command_finishes_it(self, fork):
        before = stub.snapshot(fork)
        run(fork, '--replace')
        for step in killed_in_turn(fork, ['--revert']):
            assert run(fork, '--revert') == 0, step
            assert stub.snapshot(fork) == before, step

    def test_while_it_reverts_an_update_undoes_it(self, fork):
        run(fork, '--replace')
        stub.commit(fork)
        vendored = stub.snapshot(fork)
        for step in killed_in_turn(fork, ['--revert']):
            assert run(fork, '--update') == 0, step
            assert stub.snapshot(fork) == vendored, step

    @pytest.mark.parametrize('then', ['--update', '--revert'])
    def test_while_it_updates(self, fork, patch_set, then):
        before = stub.snapshot(fork)
        run(fork, '--replace')
        stub.commit(fork)
        new_version(patch_set)
        expected = result(fork, '--update')
        for step in killed_in_turn(fork, ['--update']):
            assert run(fork, then) == 0, step
            assert stub.snapshot(fork) == (expected if then == '--update' else before), step

    def test_what_the_fork_edited_is_not_lost(self, fork, patch_set):
        run(fork, '--replace')
        for path in (LOSS, BASE):
            with open(fork / path, 'a') as file:
                file.write('# edited\n')
        stub.commit(fork)
        new_version(patch_set)
        ours, base = (fork / LOSS).read_bytes(), (fork / BASE).read_bytes()
        for step in killed_in_turn(fork, ['--update']):
            assert run(fork, '--update') == 0, step
            assert (fork / BASE).read_bytes() == base, step
            assert (fork / (LOSS + '.edited')).read_bytes() == ours, step

    def test_a_file_edited_after_the_kill_stops_the_run_and_survives_the_revert(self, fork, capsys):
        for _ in killed_in_turn(fork, ['--replace']):
            if not (fork / BASE).exists():
                continue
            (fork / LOSS).write_text('# edited\n')
            assert run(fork, '--replace') == 2
            assert LOSS in capsys.readouterr().err
            assert run(fork, '--revert') == 0
            assert '# edited\n' in {content.read_text() for content in (fork / LOSS).parent.glob('loss.py*')}
            return


def new_version(patch_set: Path) -> None:
    """A file changes, one goes, one comes."""
    with open(patch_set / LOSS, 'a') as file:
        file.write('# a new version\n')
    (patch_set / 'nemo/collections/asr/contexts/context.py').unlink()
    stub.write_files(patch_set, {'nemo/collections/asr/lookahead/__init__.py': ''})


def has_record(fork: Path) -> bool:
    return (fork / 'streaming_ssl_vendor.toml').exists()
