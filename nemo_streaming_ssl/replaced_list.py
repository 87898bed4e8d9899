# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Makes `replaced_methods.csv` from the patches at hand and from NeMo's wheels or folders:

    make replaced    # downloads the wheels, and runs python -m nemo_streaming_ssl.replaced_list WHEEL ...

Classes are resolved as Python does it, by what files import and by the order of base classes, but from their sources:
no release has to be installed.
"""

import argparse
import ast
import csv
import re
import tempfile
import zipfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import astuple
from pathlib import Path
from typing import Any, NamedTuple

from nemo_streaming_ssl import TESTED_NEMO
from nemo_streaming_ssl.finder import overlay_root, public_name
from nemo_streaming_ssl.nemo_tree import absolute_name, dotted_name, imports_its_base, parse, version_in
from nemo_streaming_ssl.replaced_methods import COLUMNS, FILE, KINDS, Body, Method, defined, digest, members

WORST_FIRST = list(KINDS)
Key = tuple[str, str]  # file and name
Kinds = dict[Key, str]
Bodies = dict[str, Body]  # by file


class Module(NamedTuple):
    """A module's source."""

    name: str  # dotted, `_x_base` for an original
    path: str  # `nemo/...py`
    is_ours: bool
    is_original: bool  # of a module that ours shadows
    tree: ast.Module
    imports: list[tuple[str, str, str]]  # local name, module, name in it; of a star import both names are stars


class Class(NamedTuple):
    """A class as it is written somewhere."""

    module: Module
    node: ast.ClassDef


class Sources:
    """
    Modules and classes of a NeMo with the patches over it, and the order of their bases, without importing them.

    Args:
        nemo_root: the folder that NeMo's `nemo/` is in.
        our_root: the folder that our `nemo/` is in.
    """

    def __init__(self, nemo_root: Path, our_root: Path):
        self.roots = (our_root, nemo_root)
        self._modules: dict[str, Module | None] = {}
        self._types: dict[Any, type] = {}

    def module(self, name: str) -> Module | None:
        """The module of that dotted name; None if it is not one of NeMo's or ours."""
        if name not in self._modules:
            self._modules[name] = self._read(name) if name.startswith("nemo.") else None
        return self._modules[name]

    def _read(self, name: str) -> Module | None:
        public = public_name(name)  # of an original, which is NeMo's file of that name
        place, roots = (public, self.roots[1:]) if public else (name, self.roots)
        path = place.replace(".", "/")
        for root in roots:
            for file, package in ((f"{path}.py", place.rpartition(".")[0]), (f"{path}/__init__.py", place)):
                tree = parse(root / file)
                if tree is not None:
                    return Module(name, file, root == self.roots[0], bool(public), tree, _imports(tree, package))
        return None

    def find(self, module: str, name: str) -> Class | None:
        """The class that a name of a module is, wherever it was imported from."""
        found = self.module(module)
        if found is None:
            return None
        for node in ast.walk(found.tree):
            if isinstance(node, ast.ClassDef) and node.name == name:
                return Class(found, node)
        for local, place, original in found.imports:
            if local == name:
                return self.find(place, original)
        # without naming it: by a star import, or by what a shadowing module has from its original
        base = base_name(module)
        passed_on = [place for local, place, _ in found.imports if local == "*"]
        passed_on += [base for _, place, original in found.imports if f"{place}.{original}" == base]
        return next(filter(None, (self.find(other, name) for other in passed_on if other != module)), None)

    def order_of(self, cls: Class) -> list[Class]:
        """The class and its bases, in the order in which Python looks for a method."""
        return [base.written_as for base in self._type_of(cls).__mro__ if hasattr(base, "written_as")]

    def _type_of(self, cls: Class) -> type:
        """A class without methods in the same place among its bases: Python itself says their order."""
        key = (cls.module.name, cls.node.name)
        if key not in self._types:
            bases = tuple(self._base(cls.module, base) for base in cls.node.bases)
            self._types[key] = type(cls.node.name, bases, {"written_as": cls})
        return self._types[key]

    def _base(self, module: Module, node: ast.expr) -> type:
        owner, _, name = ast.unparse(node).rpartition(".")
        where = {local: f"{place}.{original}" for local, place, original in module.imports}
        found = self.find(where.get(owner, owner) if owner else module.name, name)
        # of another library: `written_as` of a class is not inherited from it
        return self._type_of(found) if found else self._types.setdefault(name, type(name, (), {}))


def _imports(tree: ast.Module, package: str) -> list[tuple[str, str, str]]:
    nodes = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    names = ((absolute_name(node, package), alias) for node in nodes for alias in node.names)
    return [(alias.asname or alias.name, module, alias.name) for module, alias in names]


def base_name(name: str) -> str:
    """The dotted name of the original that a module shadows."""
    package, _, stem = name.rpartition(".")
    return f"{package}._{stem}_base"


def replaced_in(nemo: Path, overlay: Path) -> list[Method]:
    """
    What the patches replace or extend in a NeMo.

    Args:
        nemo: the folder `nemo/` of a release, without patches in its tree.
        overlay: the folder `nemo/` of the patches.

    Returns:
        Each method, function or class attribute of NeMo that the patches have one of the same name for; names that
        only the patches have, in classes that they replace; and what nobody calls any more.
    """
    sources = Sources(nemo.parent, overlay.parent)
    kinds: Kinds = {}
    for file in sorted(overlay.rglob("*.py")):
        if imports_its_base(file):
            _add_module(kinds, sources, dotted_name(file.relative_to(overlay.parent)))
    bodies = {path: members(parse(nemo.parent / path)) for path in {path for path, _ in kinds}}
    names = {_last(name) for body in bodies.values() for name in body}
    _add_unused(kinds, bodies, _mentioned_elsewhere(names, bodies, nemo, overlay))
    hashes = {key: digest(nodes) if (nodes := bodies[key[0]].get(key[1])) else "" for key in kinds}
    return [Method(*key, kinds[key], hashes[key]) for key in sorted(kinds)]


def _note(kinds: Kinds, path: str, name: str, kind: str) -> None:
    kinds[path, name] = min(kinds.get((path, name), kind), kind, key=WORST_FIRST.index)


def _add_module(kinds: Kinds, sources: Sources, name: str) -> None:
    """Notes what a shadowing module replaces: in its classes and beside them."""
    ours = sources.module(name)
    assert ours is not None
    for node in ours.tree.body:
        if isinstance(node, ast.ClassDef) and sources.find(base_name(name), node.name):
            _add_class(kinds, sources.order_of(Class(ours, node)))
    for name_, node in defined(ours.tree.body):
        _note(kinds, ours.path, name_, _calls_original(node, name_))


def _add_class(kinds: Kinds, order: Sequence[Class]) -> None:
    """Notes what becomes of each method that one of our classes has, in the order in which Python looks for it."""
    bodies = [dict(defined(cls.node.body)) for cls in order]
    for name in {name for cls, body in zip(order, bodies) if cls.module.is_ours for name in body}:
        worst = None
        for cls, body in zip(order, bodies):
            if name in body and cls.module.is_ours:
                worst = min(filter(None, (worst, _calls_original(body[name], name))), key=WORST_FIRST.index)
            elif worst and (name in body or cls.module.is_original):
                # an original may get a method of that name in a fork
                _note(kinds, cls.module.path, f"{cls.node.name}.{name}", worst)
            if name in body and not cls.module.is_ours and worst:
                break


def _calls_original(node: ast.AST, name: str) -> str:
    """Whether a function always calls what it stands for, sometimes, or never: `extended`, `partly`, `replaced`."""
    if not any(_is_original(inner, name) for inner in ast.walk(node)):
        return "replaced"
    for statement in getattr(node, "body", ()):
        if any(_is_original(inner, name) for inner in _always_run(statement)):
            return "extended"
        if any(isinstance(inner, ast.Return) for inner in ast.walk(statement)):
            break
    return "partly"


def _is_original(node: ast.AST, name: str) -> bool:
    """`super().name`, `Class.name`, `base.Class.name`, `base.name`."""
    owner = ast.unparse(node.value) if isinstance(node, ast.Attribute) and node.attr == name else ""
    return bool(re.fullmatch(r"super\(.*\)|base(\.\w+)?|[A-Z]\w*", owner))


def _always_run(node: ast.AST) -> Iterator[ast.AST]:
    """The parts of a statement that run whenever it does."""
    yield node
    if isinstance(node, (ast.If, ast.IfExp, ast.While)):
        yield from _always_run(node.test)
    elif isinstance(node, (ast.For, ast.AsyncFor)):
        yield from _always_run(node.iter)
    elif not isinstance(node, (ast.FunctionDef, ast.Lambda, ast.Try)):
        for inner in ast.iter_child_nodes(node):
            yield from _always_run(inner)


def _add_unused(kinds: Kinds, bodies: Bodies, elsewhere: set[str]) -> None:
    """Notes what only replaced methods have mentioned, and what only these have mentioned, and so on."""
    for kind, lost in (("unused", ("replaced", "unused")), ("partly", ("replaced", "unused", "partly"))):
        while found := _unused(kinds, bodies, elsewhere, lost):
            kinds.update(dict.fromkeys(found, kind))


def _unused(kinds: Kinds, bodies: Bodies, elsewhere: set[str], lost: Sequence[str]) -> list[Key]:
    """Functions and methods that lost ones of their file mention, and nothing else does."""
    dead: dict[str, set[str]] = defaultdict(set)  # words in lost methods, by file
    alive = set(elsewhere)
    for path, body in bodies.items():
        for name, nodes in body.items():
            # a function that mentions itself is not used for that
            words = {word for node in nodes for word in _words(node)} - {_last(name)}
            if kinds.get((path, name)) in lost:
                dead[path] |= words
            else:
                alive |= words
    keys = ((path, name) for path, body in bodies.items() for name in body)
    return [key for key in keys if key not in kinds and _last(key[1]) in dead[key[0]] - alive]


def _mentioned_elsewhere(names: set[str], bodies: Bodies, nemo: Path, overlay: Path) -> set[str]:
    """Those of the names that modules mention which have no replaced method, ours among them."""
    ours = {word for file in overlay.rglob("*.py") for word in _words(parse(file) or ast.Module([], []))}
    pattern = re.compile(rf'\b(?:{"|".join(sorted(names))})\b'.encode())
    others = (file for file in nemo.rglob("*.py") if file.relative_to(nemo.parent).as_posix() not in bodies)
    return (names & ours) | {word.decode() for file in others for word in pattern.findall(file.read_bytes())}


def _last(name: str) -> str:
    return name.rpartition(".")[2]


def _words(tree: ast.AST) -> Iterator[str]:
    """What a piece of source mentions: names, attributes, and strings, because of `getattr`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def main(words: Sequence[str] | None = None) -> int:
    """Writes the table, if all releases are given; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m nemo_streaming_ssl.replaced_list", description=__doc__)
    parser.add_argument("nemo", nargs="+", type=Path, help="NeMo's wheels, or folders that have a nemo/ in them")
    found: dict[Method, list[str]] = defaultdict(list)
    for place in parser.parse_args(words).nemo:
        with tempfile.TemporaryDirectory() as folder:
            root = place
            if not place.is_dir():
                root = Path(folder)
                with zipfile.ZipFile(place) as wheel:
                    wheel.extractall(root, [name for name in wheel.namelist() if re.fullmatch(r"nemo/.*\.py", name)])
            version = str(version_in(root / "nemo"))
            for method in replaced_in(root / "nemo", Path(str(overlay_root()), "nemo")):
                found[method].append(version)
    releases = sorted({version for versions in found.values() for version in versions}, key=TESTED_NEMO.index)
    if tuple(releases) != TESTED_NEMO:
        raise SystemExit(f'The table is made of all tested releases, {", ".join(TESTED_NEMO)}; given: {releases}')
    with FILE.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(COLUMNS)
        for method in sorted(found, key=lambda method: (*astuple(method), found[method])):
            table.writerow([*astuple(method), " ".join(sorted(found[method], key=TESTED_NEMO.index))])
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
