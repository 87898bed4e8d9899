# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Classes of NeMo with the patches over it, and the order of their bases, found out without importing them."""

import ast
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from nemo_streaming_ssl.nemo_tree import absolute_name, parse

ORIGINAL = re.compile("_(.+)_base")


class Module(NamedTuple):
    """A module's source."""

    name: str  # dotted, `_x_base` for an original
    path: str  # `nemo/...py`
    is_ours: bool
    is_original: bool  # of a module that ours shadows
    tree: ast.Module
    package: str  # that relative imports start from


class Class(NamedTuple):
    """A class as it is written somewhere."""

    module: Module
    node: ast.ClassDef


class Sources:
    """
    Modules and classes of a NeMo with the patches over it.

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
        package, _, stem = name.rpartition(".")
        if original := ORIGINAL.fullmatch(stem):
            return self._read_at(name, f"{package}.{original[1]}", self.roots[1:])
        return self._read_at(name, name, self.roots)

    def _read_at(self, name: str, place: str, roots: Sequence[Path]) -> Module | None:
        path = place.replace(".", "/")
        for root in roots:
            for file, package in ((f"{path}.py", place.rpartition(".")[0]), (f"{path}/__init__.py", place)):
                tree = parse(root / file)
                if tree is not None:
                    return Module(name, file, root == self.roots[0], name != place, tree, package)
        return None

    def find(self, module: str, name: str) -> Class | None:
        """The class that a name of a module is, wherever it was imported from."""
        found = self.module(module)
        if found is None:
            return None
        for node in ast.walk(found.tree):
            if isinstance(node, ast.ClassDef) and node.name == name:
                return Class(found, node)
        imported = _imported(found)
        if name in imported:
            return self.find(*imported[name])
        # without naming it: by a star import, or by what a shadowing module has from its original
        base = base_name(module)
        passed_on = [*_stars(found), *([base] if tuple(base.rpartition(".")[::2]) in imported.values() else [])]
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
        where = ".".join(_imported(module).get(owner, (owner,))) if owner else module.name
        found = self.find(where, name)
        if found:
            return self._type_of(found)
        # of another library; `written_as` of a class is not inherited from it
        return self._types.setdefault(name, type(name, (), {}))


def _imported(module: Module) -> dict[str, tuple[str, str]]:
    """What a module imports: local name -> module and name in it."""
    return {
        alias.asname or alias.name: (absolute_name(node, module.package), alias.name)
        for node in ast.walk(module.tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if alias.name != "*"
    }


def _stars(module: Module) -> list[str]:
    """The modules of which a module imports every name."""
    nodes = [node for node in ast.walk(module.tree) if isinstance(node, ast.ImportFrom)]
    return [absolute_name(node, module.package) for node in nodes if node.names[0].name == "*"]


def base_name(name: str) -> str:
    """The dotted name of the original that a module shadows."""
    package, _, stem = name.rpartition(".")
    return f"{package}._{stem}_base"
