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

"""Every block of README, CONTRIBUTING and docs/*.md is run, in the order of the page, in one folder for each page.

What is only checked, and why: `shell_rules.py` for commands. Blocks of text and diagrams are not commands; those that
begin with a brace are for the site, whose build is a test of its own.
"""

import importlib.util
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from data_rules import check_console, check_json, check_yaml, run_python_block
from fences import PAGES, ROOT, commands, fences
from shell_rules import run_command
from workplace import make_templates, make_workplace

from nemo.utils import logging

HERE = Path(__file__).resolve().parent

SHOWN = {'text', 'mermaid'}
LANGUAGES = {'sh', 'python', 'yaml', 'json', 'console', *SHOWN}
# Run on a real fork by a step of the matrix.
ELSEWHERE = {'forks.md': ROOT / 'tests/fork_lifecycle.py'}
FILE_OF_NEMO = 'nemo/collections/asr/parts/utils/streaming_utils.py'


@pytest.fixture(scope='module')
def templates(tmp_path_factory, nest_config):
    folder = tmp_path_factory.mktemp('templates')
    make_templates(folder, nest_config)
    return folder


@pytest.fixture
def process():
    """Puts back what scripts set for their whole process: variables, the place, signals, the level of NeMo's log."""
    signals = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    variables, hook, level = dict(os.environ), sys.excepthook, logging.get_verbosity()
    yield
    for number, handler in signals.items():
        signal.signal(number, handler)
    os.environ.clear()
    os.environ.update(variables)
    sys.excepthook = hook
    logging.setLevel(level)


@pytest.fixture
def workplace(tmp_path, templates, process, monkeypatch):
    make_workplace(tmp_path, templates)
    write_repository(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write_repository(folder):
    """A repository with NeMo's tag of a release, whose name pages write as UPSTREAM, and a file that was changed."""
    (folder / FILE_OF_NEMO).parent.mkdir(parents=True)
    who = ['-c', 'user.name=fork', '-c', 'user.email=fork@example.org']
    (folder / FILE_OF_NEMO).write_text('upstream')
    for words in (['init', '--quiet'], ['add', FILE_OF_NEMO], ['commit', '--quiet', '-m', 'one'], ['tag', 'UPSTREAM']):
        subprocess.run(['git', *who, *words], cwd=folder, check=True, timeout=60)
    (folder / FILE_OF_NEMO).write_text('changed')


@pytest.mark.long_run
@pytest.mark.parametrize('page', [page for page in PAGES if page.name not in ELSEWHERE], ids=lambda page: page.name)
def test_every_block_of_a_page_runs(page, workplace, compose_config):
    names = {'__name__': page.stem}
    for fence in fences(page):
        if fence.language == 'python':
            run_python_block(fence, names)
        elif fence.language == 'sh':
            for command in commands(fence):
                run_command(command)
        elif fence.language == 'console':
            check_console(fence)
        elif fence.language == 'yaml':
            check_yaml(fence, compose_config)
        elif fence.language == 'json':
            check_json(fence)


@pytest.mark.any_release
@pytest.mark.parametrize('page', PAGES, ids=lambda page: page.name)
def test_every_block_has_a_language_that_has_a_rule(page):
    found = {fence.place: fence.language for fence in fences(page)}
    unknown = {place: language for place, language in found.items() if language.strip('{}') == language}
    unknown = {place: language for place, language in unknown.items() if language not in LANGUAGES}
    assert not unknown, f'{unknown}: write one of {sorted(LANGUAGES)} behind the backticks, or add a rule'


@pytest.mark.any_release
@pytest.mark.parametrize('name', ELSEWHERE)
def test_commands_that_run_elsewhere_are_below_titles_that_run_there(name):
    spec = importlib.util.spec_from_file_location('elsewhere', ELSEWHERE[name])
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.PAGE.name == name
    sections = (ROOT / 'docs' / name).read_text(encoding='utf-8').split('\n## ')[1:]
    assert [text.partition('\n')[0] for text in sections if '```sh' in text] == list(module.CHECKS)
    assert all(text.count('```sh') <= 1 for text in sections)
