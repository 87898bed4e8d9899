# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Docstrings as Sphinx reads them: our plain ones become reStructuredText. Napoleon does the rest."""

import re

# `code` as Markdown has it; a letter may follow, as in `ListConfig`s.
CODE = re.compile(r"(?<!`)`([^`]+)`(?!`)(?=(\w?))")
ANY_ARGUMENTS = re.compile(r"^( *)\*args, \*\*kwargs:", flags=re.MULTILINE)
RETURNS = re.compile(r"^(?P<indent> *)Returns:\n(?P<block>(?:(?P=indent) +\S.*(?:\n|$))+)", flags=re.MULTILINE)
NAMED = re.compile(r"\w+(?:, \w+)*: ")


def as_rst(docstring: str) -> str:
    """A docstring with literals for code and a field for what is returned."""
    docstring = ANY_ARGUMENTS.sub(r"\1args, kwargs:", docstring)
    docstring = CODE.sub(lambda found: f"``{found[1]}``" + (r"\ " if found[2] else ""), docstring)
    return RETURNS.sub(lambda found: returned(found["indent"], found["block"].splitlines()), docstring)


def returned(indent: str, lines: list[str]) -> str:
    """The section on what is returned, which is prose, or one entry for each name."""
    base = min(len(line) - len(line.lstrip()) for line in lines)
    lines = [line[base:] for line in lines]
    if NAMED.match(lines[0]):
        lines = [f"  {line}" if line.startswith(" ") else f"- {line}" for line in lines]
    return "\n".join(["", f"{indent}:returns:", *(f"{indent}    {line}" for line in lines), "", ""])


def rewrite_docstring(app, what: str, name: str, obj, options, lines: list[str]) -> None:
    """Sphinx calls this with every docstring that it shows."""
    lines[:] = as_rst("\n".join(lines)).splitlines()
