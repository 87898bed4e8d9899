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

"""Commands that the prose of a page names: targets of make are there, and our own commands take these words."""

import re
import shlex
import subprocess

import pytest
from fences import FENCE, PAGES, ROOT

from nemo_streaming_ssl import cli

pytestmark = pytest.mark.any_release

# No command: what export folders say that they hold.
FORMAT = 'nemo-streaming-ssl streaming step'
SPAN = re.compile(r'(?<!`)`((?:make|nemo-streaming-ssl) [^`]+)`(?!`)')


def spans() -> list:
    """Each command in the prose of the pages, once."""
    prose = (FENCE.sub('', page.read_text(encoding='utf-8')) for page in PAGES)
    return sorted({' '.join(span.split()) for text in prose for span in SPAN.findall(text)} - {FORMAT})


@pytest.fixture
def parse_only(monkeypatch):
    """The command line, whose commands do nothing once their words are read."""

    def do_nothing(commands):
        for parser in commands.choices.values():
            parser.set_defaults(run=lambda args: 0)

    monkeypatch.setattr(cli, 'COMMANDS', [*cli.COMMANDS, do_nothing])
    return cli.main


@pytest.mark.parametrize('span', [span for span in spans() if span.startswith('nemo-streaming-ssl ')])
def test_our_commands_take_the_words(span, parse_only, capsys):
    words = shlex.split(span.replace('COMMAND', 'check'))[1:]
    if len(words) > 1 and '--help' not in words:
        assert parse_only(words) == 0
        return
    with pytest.raises(SystemExit) as end:
        parse_only([words[0], '--help'])
    assert end.value.code == 0 and capsys.readouterr().out


def test_targets_of_make_are_there():
    words = {word for span in spans() if span.startswith('make ') for word in shlex.split(span)[1:]}
    targets = sorted(word for word in words if '=' not in word)
    command = ['make', '--dry-run', '--directory', ROOT, *targets]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert targets and done.returncode == 0, done.stderr


def test_spans_are_found_in_prose_alone():
    assert 'make test-all' in spans() and all('\n' not in span for span in spans())
