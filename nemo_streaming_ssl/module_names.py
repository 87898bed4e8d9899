# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Which names a module defines, found out without importing it."""

import ast
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp, ast.Lambda)
# Functions that can bind names that are written nowhere.
BINDING_CALLS = ("globals", "exec")


def parse(file: Path) -> ast.Module | None:
    """The syntax tree of a file; None if it cannot be read or is no Python."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # such as an escape sequence that means nothing
            return ast.parse(file.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return None


def dotted_name(path: Path) -> str:
    """`nemo/a/x.py` -> `nemo.a.x`, `nemo/a/__init__.py` -> `nemo.a`."""
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def absolute_name(node: ast.ImportFrom, package: str) -> str:
    """The module that a `from` names, in a module of that package."""
    if not node.level:
        return node.module or ""
    parts = package.split(".")
    return ".".join([*parts[: len(parts) - node.level + 1], *([node.module] if node.module else [])])


def is_type_checking(test: ast.expr) -> bool:
    """True for the condition `TYPE_CHECKING`, `typing.TYPE_CHECKING`."""
    return getattr(test, "id", None) == "TYPE_CHECKING" or getattr(test, "attr", None) == "TYPE_CHECKING"


class ModuleNames:
    """
    The names that modules define.

    Counted are all that a module may bind at its top level, under conditions too: assignments, functions, classes,
    imports, targets of loops and `with`, and what its functions declare as `global`. A star import is followed.

    Args:
        roots: folders with a `nemo/`, in which star imports are looked up; a module has the names of all files found.
    """

    def __init__(self, roots: Sequence[Path]):
        self.roots = roots
        self._known: dict[Path, frozenset[str] | None] = {}

    def of_file(self, file: Path, package: str) -> frozenset[str] | None:
        """The names that a module has.

        Args:
            file: a module's source.
            package: dotted name of the package that its relative imports start from.

        Returns:
            Its names. None if it may have any: it has a `__getattr__`, uses `globals()`, `exec` or `sys.modules`, has
            a star import of a module that is not below the roots, or cannot be read.
        """
        if file not in self._known:
            self._known[file] = frozenset()  # for a circle of star imports
            self._known[file] = self._read(file, package)
        return self._known[file]

    def _read(self, file: Path, package: str) -> frozenset[str] | None:
        tree = parse(file)
        if tree is None or _binds_freely(tree):
            return None
        names = set(_bound(tree.body))
        if "__getattr__" in names:
            return None
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.names[0].name == "*":
                passed_on = self._of_module(absolute_name(node, package))
                if passed_on is None:
                    return None
                names |= passed_on
        return frozenset(names)

    def _of_module(self, dotted: str) -> set[str] | None:
        names: set[str] = set()
        files = [(file, package) for root in self.roots for file, package in _candidates(root, dotted)]
        found = [self.of_file(file, package) for file, package in files if file.is_file()]
        for some in found:
            if some is None:
                return None
            names |= some
        return names if found else None


def _candidates(root: Path, dotted: str) -> list[tuple[Path, str]]:
    """The files that a module may be, and the package that relative imports in each start from."""
    path = root.joinpath(*dotted.split("."))
    return [(path.with_suffix(".py"), dotted.rpartition(".")[0]), (path / "__init__.py", dotted)]


def _binds_freely(tree: ast.Module) -> bool:
    """True if a module may bind names that are not written in it."""
    nodes = list(ast.walk(tree))
    # `inherit_module(base, globals())` binds what is in the base, which is looked at for itself
    allowed = {id(inner) for node in nodes if _calls(node, "inherit_module") for inner in ast.walk(node)}
    return any(
        _is_sys_modules(node) or any(_calls(node, name) for name in BINDING_CALLS)
        for node in nodes
        if id(node) not in allowed
    )


def _is_sys_modules(node: ast.AST) -> bool:
    return isinstance(node, ast.Attribute) and node.attr == "modules" and getattr(node.value, "id", None) == "sys"


def _calls(node: ast.AST, name: str) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == name


def _bound(nodes: Sequence[ast.AST]) -> Iterator[str]:
    """The names that statements bind in their own scope, and those that functions in them declare as `global`."""
    for node in nodes:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            yield node.name
            yield from (name for inner in ast.walk(node) if isinstance(inner, ast.Global) for name in inner.names)
        elif isinstance(node, COMPREHENSIONS):
            yield from (inner.target.id for inner in ast.walk(node) if isinstance(inner, ast.NamedExpr))
        elif isinstance(node, ast.If) and is_type_checking(node.test):
            yield from _bound(node.orelse)
        elif not (isinstance(node, ast.AnnAssign) and node.value is None):
            yield from _bound_here(node)
            yield from _bound(list(ast.iter_child_nodes(node)))


def _bound_here(node: ast.AST) -> Iterator[str]:
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        yield from (alias.asname or alias.name.partition(".")[0] for alias in node.names)
    elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
        yield node.id
    elif isinstance(node, (ast.MatchAs, ast.MatchStar)) and node.name:
        yield node.name
    elif isinstance(node, ast.MatchMapping) and node.rest:
        yield node.rest
