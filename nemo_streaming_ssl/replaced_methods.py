# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Which methods of NeMo the patches replace or extend, and which of them a fork has changed.

`status` and `vendor` say so. `replaced_methods.csv` has every one of them, with a hash of its text in each tested
release; `replaced_list` makes that file from the patches and from NeMo. Sources are read, nothing is imported.
"""

import ast
import csv
import hashlib
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from nemo_streaming_ssl import TESTED_NEMO
from nemo_streaming_ssl.nemo_tree import original_of, parse

FILE = Path(__file__).with_suffix(".csv")
COLUMNS = ("file", "name", "kind", "hash", "releases")

# What becomes of a fork's change, from the worst kind to the mildest.
KINDS = {
    "replaced": "lost: a method of the patches runs in its place",
    "unused": "lost: only what the patches replace has called it",
    "partly": "lost wherever the patches take a way of their own, kept where they call it",
    "extended": "kept, but check it: a method of the patches calls it and does more",
}
ADVICE = (
    "What is lost has to move: into a subclass of the class, or into the file of the patches once they are vendored "
    '(docs/forks.md, "Methods that the patches replace").'
)
HASH_DIGITS = 16
HAVE_DOCSTRINGS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
Body = dict[str, list[ast.stmt]]  # by name


@dataclass(frozen=True)
class Method:
    """A method, function or class attribute of NeMo that the patches have another for, or no longer use."""

    file: str  # NeMo's, `nemo/...py`
    name: str  # `Class.method`, or a function's
    kind: str  # one of KINDS
    hash: str  # of its text; '' where NeMo has none of that name


@dataclass(frozen=True)
class ChangedMethod:
    """A method that a fork has changed, or added under a name that the patches use."""

    path: Path  # the fork's file
    line: int
    method: Method

    def __str__(self) -> str:
        return f"{self.path}:{self.line} {self.method.name}: {KINDS[self.method.kind]}"


def known_methods(version: str | None) -> dict[tuple[str, str], list[Method]]:
    """What there is to compare with, by file and name: the tested release of that version, or else all of them."""
    methods: dict[tuple[str, str], list[Method]] = defaultdict(list)
    with FILE.open(encoding="utf-8", newline="") as lines:
        for row in csv.DictReader(lines):
            releases = row.pop("releases").split()
            if version in releases or version not in TESTED_NEMO:
                methods[row["file"], row["name"]].append(Method(**row))
    return methods


def changed_methods(nemo: Path, version: str | None) -> list[ChangedMethod]:
    """
    The methods of a NeMo whose text is not the release's, among those that the patches replace or extend.

    Comments, docstrings and layout do not count. A release that was not tested is compared with all that were: what
    is as in one of them is unchanged.

    Args:
        nemo: the folder `nemo/` of a NeMo, also of one that the patches were written into.
        version: of that NeMo.

    Returns:
        The changed ones, what is lost first.
    """
    known, changed = known_methods(version), []
    for file in sorted({file for file, _ in known}):
        path = original_of(nemo.parent / file)
        for name, nodes in (members(parse(path)) if path.is_file() else {}).items():
            same = known.get((file, name))
            if same and digest(nodes) not in [method.hash for method in same]:
                changed.append(ChangedMethod(path, nodes[0].lineno, same[-1]))
    order = list(KINDS)
    return sorted(changed, key=lambda found: (order.index(found.method.kind), found.path, found.line))


def change_lines(nemo: Path, version: str | None) -> list[str]:
    """A line for each method that a fork has changed, then what to do; nothing where none is."""
    changed = changed_methods(nemo, version)
    with_what = f"NeMo {version}."
    if version not in TESTED_NEMO:
        name = version or "of unknown version"
        with_what = f'{", ".join(TESTED_NEMO)}: NeMo {name} was not tested, and may differ from them by itself.'
    return [*map(str, changed), f"Compared with {with_what}", ADVICE] if changed else []


def members(tree: ast.Module | None) -> Body:
    """What a module and its classes define, by name: `function`, `Class.method`."""
    found: dict[str, list[ast.stmt]] = defaultdict(list)
    top = tree.body if tree else []
    classes = [(f"{node.name}.", node.body) for node in top if isinstance(node, ast.ClassDef)]
    for owner, body in [*classes, ("", top)]:
        for name, node in defined(body):
            found[owner + name].append(node)
    return dict(found)


def defined(body: list[ast.stmt]) -> Iterator[tuple[str, ast.stmt]]:
    """What statements define under which name: functions, and names that are given a value."""
    for node in body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node.name, node
        elif isinstance(node, ast.Assign):
            yield from ((target.id, node) for target in node.targets if isinstance(target, ast.Name))
        elif isinstance(node, ast.AnnAssign) and node.value and isinstance(node.target, ast.Name):
            yield node.target.id, node


def digest(nodes: list[ast.stmt]) -> str:
    """A hash of what statements say, without comments, docstrings and layout; the same on every version of Python."""
    text = "\n".join(_canonical(node) for node in nodes)
    return hashlib.sha256(text.encode()).hexdigest()[:HASH_DIGITS]


def _canonical(node: object) -> str:
    # not `ast.dump` and `ast.unparse`, whose output depends on the version of Python
    if isinstance(node, list):
        return f'[{",".join(map(_canonical, node))}]'
    if not isinstance(node, ast.AST):
        return repr(node)
    fields = dict(ast.iter_fields(node))
    if isinstance(node, HAVE_DOCSTRINGS) and ast.get_docstring(node, clean=False) is not None:
        fields["body"] = node.body[1:]
    # `kind` says that a string was written as `u'...'`; fields that are empty are not there on every version
    said = {name: _canonical(value) for name, value in fields.items() if name != "kind" and value not in (None, [])}
    return f'{type(node).__name__}({";".join(f"{name}={said[name]}" for name in sorted(said))})'
