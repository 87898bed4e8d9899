# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Which names a file needs of other modules, found out without importing anything."""

import ast
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass

from nemo_streaming_ssl.module_names import absolute_name, is_type_checking

# Who catches one of these has an answer for a name that is not there.
CAUGHT = ("ImportError", "AttributeError", "Exception", "BaseException")


@dataclass(frozen=True)
class Need:
    """A name that a file needs of a module."""

    line: int
    module: str  # dotted
    name: str
    is_attribute: bool = False  # `module.name`, not `from module import name`


def needed_names(tree: ast.Module, package: str, modules: Container[str]) -> list[Need]:
    """
    The names that a file needs of some modules: `from module import name`, `module.name` for a module that it imports,
    and what a shadowing file replaces, `inherit_module(module, globals(), replacing=(name,))`.

    Imports inside functions count: they fail when the function is called. What need not be there does not count: under
    `TYPE_CHECKING`, under any condition outside of functions, in a `try` or its handlers if they catch an ImportError
    or AttributeError (or all errors), under `contextlib.suppress` of one, and attributes that the file asks for with
    `hasattr` or `getattr`, or sets. Names like `__file__` are every module's.

    Args:
        tree: the file's syntax tree.
        package: dotted name of the package that its relative imports start from.
        modules: dotted names of the modules in question.

    Returns:
        Each need once, at the first line of the file that has it.
    """
    reader = _Reader(package, modules)
    reader.visit(tree)
    needs = [*reader.imported, *(need for need in reader.attributes() if need.name not in reader.optional)]
    first: dict[tuple[str, str], Need] = {}
    for need in sorted(needs, key=lambda need: need.line):
        if not (need.name.startswith("__") and need.name.endswith("__")):
            first.setdefault((need.module, need.name), need)
    return list(first.values())


class _Reader(ast.NodeVisitor):
    """Collects what a file imports and which attributes it uses."""

    def __init__(self, package: str, modules: Container[str]):
        self.package, self.modules = package, modules
        self.imported: list[Need] = []
        self.optional: set[str] = set()  # attributes that are asked for or set
        self._used: list[tuple[int, str, str]] = []  # line, what stands before the last dot, attribute
        self._aliases: dict[str, str] = {}  # local name: dotted name of what it was imported from
        self._rebound: set[str] = set()  # local names that are not only imported
        self._unsure = 0  # how many conditions and handlers are around
        self._functions = 0  # how many functions are around

    def attributes(self) -> Iterator[Need]:
        """Attributes of the modules that the file has imported."""
        for line, owner, name in self._used:
            first, dot, rest = owner.partition(".")
            module = self._aliases.get(first, "") + dot + rest
            if module in self.modules and first not in self._rebound:
                yield Need(line, module, name, is_attribute=True)

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            name = alias.name.partition(".")[0]
            self._alias(alias.asname or name, alias.name if alias.asname else name)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        module = absolute_name(node, self.package)
        for alias in node.names:
            self._alias(alias.asname or alias.name, f"{module}.{alias.name}")
            if module in self.modules and alias.name != "*" and not self._unsure:
                self.imported.append(Need(node.lineno, module, alias.name))

    def _alias(self, name: str, dotted: str) -> None:
        if self._aliases.setdefault(name, dotted) != dotted:
            self._rebound.add(name)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        if isinstance(node.ctx, ast.Load):
            owner = _dotted(node.value)
            if owner and not self._unsure:
                self._used.append((node.lineno, owner, node.attr))
        else:
            self.optional.add(node.attr)
        self.generic_visit(node)

    def visit_Name(self, node: ast.Name) -> None:
        if not isinstance(node.ctx, ast.Load):
            self._rebound.add(node.id)

    def visit_arg(self, node: ast.arg) -> None:
        self._rebound.add(node.arg)
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        name = _dotted(node.func)
        if name in ("hasattr", "getattr", "setattr") and len(node.args) > 1:
            self.optional.update(_strings(node.args[1]))
        elif name == "inherit_module" and node.args:
            replaced = [*node.args[2:3], *(key.value for key in node.keywords if key.arg == "replacing")]
            owner = _dotted(node.args[0]) or ""
            self._used.extend((node.lineno, owner, name) for names in replaced for name in _strings(names))
        self.generic_visit(node)

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> None:
        self._rebound.add(node.name or "")
        self.generic_visit(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self._rebound.add(node.name)
        self.generic_visit(node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        self._visit_function(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> None:
        self._visit_function(node)

    def _visit_function(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        self._rebound.add(node.name)
        self._functions += 1
        self.generic_visit(node)
        self._functions -= 1

    def visit_If(self, node: ast.If) -> None:
        if is_type_checking(node.test):
            self._visit_all(node.orelse)
            return
        self.visit(node.test)
        self._visit_all([*node.body, *node.orelse], unsure=not self._functions)

    def visit_Try(self, node: ast.Try) -> None:
        unsure = any(handler.type is None or _is_caught(handler.type) for handler in node.handlers)
        self._visit_all([*node.body, *node.handlers], unsure)
        self._visit_all([*node.orelse, *node.finalbody])

    def visit_With(self, node: ast.With) -> None:
        suppressed = [item.context_expr for item in node.items if _is_suppress(item.context_expr)]
        self._visit_all(node.items)
        self._visit_all(node.body, unsure=any(map(_is_caught, suppressed)))

    def _visit_all(self, nodes: Sequence[ast.AST], unsure: bool = False) -> None:
        self._unsure += unsure
        for node in nodes:
            self.visit(node)
        self._unsure -= unsure


def _dotted(node: ast.AST) -> str | None:
    """`a.b.c` as text; None for any other expression."""
    if isinstance(node, ast.Name):
        return node.id
    owner = _dotted(node.value) if isinstance(node, ast.Attribute) else None
    return f"{owner}.{node.attr}" if owner and isinstance(node, ast.Attribute) else None


def _strings(node: ast.AST) -> Iterator[str]:
    return (
        inner.value for inner in ast.walk(node) if isinstance(inner, ast.Constant) and isinstance(inner.value, str)
    )


def _is_suppress(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and (_dotted(node.func) or "").rpartition(".")[2] == "suppress"


def _is_caught(node: ast.AST) -> bool:
    """True if one of the exceptions that are named is one of `CAUGHT`."""
    return any((_dotted(inner) or "").rpartition(".")[2] in CAUGHT for inner in ast.walk(node))
