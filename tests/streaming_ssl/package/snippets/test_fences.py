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

"""The blocks of a page are found with their lines, and what no rule knows fails with words that say what to do."""

from pathlib import Path

import pytest
from data_rules import check_json, first_missing, flattened, run_python_block
from fences import commands, fences, session
from shell_rules import run_command

HERE = Path(__file__).resolve().parent

pytestmark = pytest.mark.any_release

TEXT = """# Title

```sh
# a comment
make demo   # and its comment
python a.py \\
    --flag 'two words' | python b.py -
```

1. in a list

   ```python
   if known:
       found.append(known)
   ```
"""


@pytest.fixture
def page(tmp_path):
    (tmp_path / 'page.md').write_text(TEXT)
    return tmp_path / 'page.md'


def fence_of(page, language, text):
    page.write_text(f'```{language}\n{text}\n```\n')
    return fences(page)[0]


class TestReading:
    def test_blocks_know_their_lines_and_lose_their_indent(self, page):
        found = [(fence.line, fence.language) for fence in fences(page)]
        assert found == [(4, 'sh'), (13, 'python')]
        assert fences(page)[1].text == 'if known:\n    found.append(known)\n'

    def test_commands_without_comments_with_pipes_and_lines_that_go_on(self, page):
        first, second = commands(fences(page)[0])
        assert (first.line, first.pipe) == (5, [['make', 'demo']])
        assert second.line == 6
        assert second.pipe == [['python', 'a.py', '--flag', 'two words'], ['python', 'b.py', '-']]

    @pytest.mark.parametrize('line', ['make demo && make test', 'make > file', 'make; make'])
    def test_other_ways_to_join_commands_are_refused(self, page, line):
        with pytest.raises(ValueError, match='only pipes'):
            list(commands(fence_of(page, 'sh', line)))

    def test_a_session_is_commands_and_what_they_print(self, page):
        found = list(session(fence_of(page, 'console', '$ one\na\nb\n$ two')))
        assert [(command.pipe[0], lines) for command, lines in found] == [(['one'], ['a', 'b']), (['two'], [])]


class TestRefusals:
    def test_a_command_without_a_rule_says_how_to_add_one(self, page):
        (command,) = commands(fence_of(page, 'sh', 'rm -r folder'))
        with pytest.raises(AssertionError, match=r'page.md:2: rm(.|\n)*add one to RULES in .*shell_rules.py'):
            run_command(command)

    @pytest.mark.parametrize(
        'line',
        [
            'make no-such-target',
            'nemo-streaming-ssl status --no-such-flag',
            'python -m json.tool',
            'python tests/no_such_step.py',
            'pip install -r no-such-file.txt',
            'pip install "a b c"',
            'export MALLOC_TOP_PAD_=1',
        ],
    )
    def test_a_command_that_cannot_run_fails_with_its_place(self, page, line):
        (command,) = commands(fence_of(page, 'sh', line))
        with pytest.raises(AssertionError, match='page.md:2'):
            run_command(command)

    def test_python_fails_at_its_line_of_the_page(self, page):
        with pytest.raises(NameError) as caught:
            run_python_block(fences(page)[1], {})
        assert caught.traceback[-1].lineno + 1 == 13

    def test_names_of_a_page_go_on(self, page):
        names = {'known': 3, 'found': []}
        run_python_block(fences(page)[1], names)
        assert names['found'] == [3]

    def test_what_is_no_line_of_a_manifest(self, page):
        with pytest.raises(AssertionError, match='page.md'):
            check_json(fence_of(page, 'json', '{"audio": "a.wav"}'))


@pytest.mark.parametrize(
    'shown, missing',
    [
        (['a', 'b', 'c'], None),
        (['a', '...'], None),
        (['...', 'c'], None),
        (['a', '...', 'c'], None),
        (['a', 'c'], 'c'),
        (['...', 'd'], 'd'),
        (['a', 'b'], '(the end)'),
    ],
)
def test_lines_that_are_shown_are_those_that_were_printed(shown, missing):
    assert first_missing(shown, ['a', 'b', 'c']) == missing


def test_keys_are_flattened_down_to_values():
    assert list(flattened({'a': {'b': 1, 'c': [{'d': 2}]}, 'e': None})) == ['a.b', 'a.c', 'e']
