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

"""The fenced blocks of README and docs: which language, which line, and the commands of a shell block."""

import re
import shlex
import textwrap
from pathlib import Path
from typing import Iterator, List, NamedTuple, Tuple

ROOT = Path(__file__).resolve().parents[4]
NAMES = ('README.md', 'CONTRIBUTING.md')
PAGES = [*(ROOT / name for name in NAMES if (ROOT / name).is_file()), *sorted((ROOT / 'docs').glob('*.md'))]
FENCE = re.compile(r'^([ \t]*)(`{3,})([^\n`]*)\n(.*?)^[ \t]*\2[ \t]*$', re.MULTILINE | re.DOTALL)
OPERATORS = {'|', '||', '&', '&&', ';', '<', '>', '>>'}

Words = List[str]


class Fence(NamedTuple):
    """A fenced block: the page, the line that its text begins at, and what stands behind the backticks."""

    page: Path
    line: int
    language: str
    text: str

    @property
    def place(self) -> str:
        return f'{self.page.name}:{self.line}'


class Command(NamedTuple):
    """A line of a shell block: where it is, and the words of each program of its pipe."""

    page: Path
    line: int
    pipe: List[Words]

    @property
    def place(self) -> str:
        return f'{self.page.name}:{self.line}: {" | ".join(shlex.join(words) for words in self.pipe)}'


def fences(page: Path) -> List[Fence]:
    """The fenced blocks of a page, in order."""
    text = page.read_text(encoding='utf-8')
    found = []
    for match in FENCE.finditer(text):
        line = text.count('\n', 0, match.start(4)) + 1
        found.append(Fence(page, line, match[3].strip().partition(' ')[0], textwrap.dedent(match[4])))
    return found


def commands(fence: Fence) -> Iterator[Command]:
    """The commands of a shell block; comments are left out, and lines that end with a backslash go on."""
    for offset, line in joined_lines(fence.text):
        pipe = split_pipe(line)
        if pipe[0]:
            yield Command(fence.page, fence.line + offset, pipe)


def joined_lines(text: str) -> Iterator[Tuple[int, str]]:
    """(number of its first line, from 0; line), with continued lines joined."""
    begun, number = '', 0
    for index, line in enumerate(text.splitlines()):
        number = number if begun else index
        if line.endswith('\\'):
            begun += line[:-1] + ' '
            continue
        yield number, begun + line
        begun = ''


def split_pipe(line: str) -> List[Words]:
    """The words of each program of a line. Of what joins programs only a pipe is known here."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars='|&;<>')
    lexer.whitespace_split = True
    pipe: List[Words] = [[]]
    for word in lexer:
        if word == '|':
            pipe.append([])
        elif word in OPERATORS:
            raise ValueError(f'{line}: only pipes join the commands of the pages, not {word}')
        else:
            pipe[-1].append(word)
    return pipe


def session(fence: Fence) -> Iterator[Tuple[Command, List[str]]]:
    """What a console block shows: each command behind `$ `, and the lines that it printed."""
    lines = fence.text.splitlines()
    starts = [index for index, line in enumerate(lines) if line.startswith('$ ')]
    for start, end in zip(starts, [*starts[1:], len(lines)]):
        command = Command(fence.page, fence.line + start, split_pipe(lines[start][2:]))
        yield command, [line for line in lines[start + 1 : end] if line]
