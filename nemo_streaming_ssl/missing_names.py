# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Names that a NeMo needs of its own modules and does not have, as in a fork that has cut a module short.

Python would blame the file of ours that takes the place of that module: it is the one that was asked for the name.
Sources are read: `vendor` looks at trees whose libraries need not be installed, and many modules are imported only
when somebody needs them.
"""

import ast
import re
import symtable
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from nemo_streaming_ssl.finder import public_name
from nemo_streaming_ssl.nemo_tree import absolute_name, base_path, dotted_name, original_of, parse

# How a module may bind names that are not written in it; what `inherit_module(base, globals())` binds is in the base.
BINDS_FREELY = re.compile(r"\b__getattr__\b|\bglobals\(\)[.[]|\bexec\(|\bsys\.modules\b|\bimport \*")
Modules = dict[str, tuple[Path, frozenset[str] | None]]  # dotted name -> original, names (None: may have any)


@dataclass(frozen=True)
class MissingName:
    """A name that is needed and not there."""

    importer: Path  # the file that needs it
    line: int  # in that file
    module: Path  # NeMo's file that should have it
    name: str

    def __str__(self) -> str:
        return (
            f"{self.importer}:{self.line} needs {self.name}, which {self.module} does not have: "
            "the NeMo that was found lacks it, not the patches"
        )


def missing_names(nemo: Path, shadowed: Sequence[Path], overlay: Path) -> list[MissingName]:
    """
    Finds names that modules need of a shadowed module, and that neither the original nor our file has.

    Looked at are all modules of the NeMo, and those of the overlay: `_needs` says what counts. Nothing is imported.

    Args:
        nemo: the folder `nemo/` of a NeMo, also of one that the patches were written into.
        shadowed: our shadowing files, relative to the folder that `nemo` is in. One without an original is left out.
        overlay: the folder `nemo/` that our files are in; `nemo` itself where the patches were written into it.

    Returns:
        What is missing, each once, sorted by file and line; nothing for a NeMo that is whole.
    """
    modules = _modules(nemo.parent, overlay.parent, shadowed)
    missing: dict[tuple[Path, Path, str], MissingName] = {}
    for root in dict.fromkeys([overlay.parent, nemo.parent]):
        for file in _mentioning(root, shadowed):
            for line, module, name in _needs(file, dotted_name(file.relative_to(root).parent)):
                original, names = modules.get(module, (file, None))
                if names is not None and name not in names and not name.startswith("__"):
                    missing.setdefault((file, original, name), MissingName(file, line, original, name))
    return sorted(missing.values(), key=lambda name: (name.importer, name.line, name.name))


def _modules(nemo_root: Path, our_root: Path, shadowed: Sequence[Path]) -> Modules:
    """Each shadowed module, and its original, by the dotted names that they are imported by."""
    modules: Modules = {}
    for path in shadowed:
        original = original_of(nemo_root / path)
        if original.is_file():
            modules[dotted_name(base_path(path))] = original, _names_of(original)
            modules[dotted_name(path)] = original, _names_of(original, our_root / path)
    return modules


def _names_of(*files: Path) -> frozenset[str] | None:
    """All names that a module may bind, made of some files; None if it may have any, or a file is no Python."""
    names: set[str] = set()
    for file in files:
        try:
            source = file.read_text(encoding="utf-8")
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # such as an escape sequence that means nothing
                symbols = symtable.symtable(source, str(file), "exec").get_symbols()
        except (SyntaxError, ValueError):
            return None
        if BINDS_FREELY.search(source):
            return None
        bound = (item for item in symbols if item.is_assigned() or item.is_imported() or item.is_declared_global())
        names.update(item.get_name() for item in bound)
    return frozenset(names)


def _mentioning(root: Path, shadowed: Sequence[Path]) -> Iterator[Path]:
    """The files whose imports have the last part of a shadowed module's name: few of them are worth parsing."""
    stems = "|".join(sorted({re.escape(path.stem) for path in shadowed}))
    name = rf"\b(?:_(?:{stems})_base|{stems})\b"
    pattern = re.compile(rf"^[ \t]*(?:from|import)\b(?:[^\n#]*{name}|[^\n#]*\([^)]*{name})".encode(), re.MULTILINE)
    for file in sorted((root / "nemo").rglob("*.py")) if stems else ():
        if file.is_file() and pattern.search(file.read_bytes()):
            yield file


def _needs(file: Path, package: str) -> Iterator[tuple[int, str, str]]:
    """What a file cannot do without: line, dotted name of a module, and a name in it.

    These are `from module import name`, also in functions, which fail when they are called; of an original,
    imported as `_x_base`, its attributes and what `inherit_module` is to replace.
    """
    bases: dict[str, str] = {}  # local name -> dotted name of an original
    for node in _certain(parse(file) or ast.Module([], [])):
        if isinstance(node, ast.ImportFrom):
            module = absolute_name(node, package)
            yield from ((node.lineno, module, alias.name) for alias in node.names if alias.name != "*")
            dotted = {alias.asname or alias.name: f"{module}.{alias.name}" for alias in node.names}
            bases.update((name, original) for name, original in dotted.items() if public_name(original))
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in bases:
            yield node.lineno, bases[node.value.id], node.attr
        elif isinstance(node, ast.Call) and node.args and getattr(node.func, "id", "") == "inherit_module":
            replaced = [keyword.value for keyword in node.keywords if keyword.arg == "replacing"]
            module = bases.get(ast.unparse(node.args[0]), "")
            names = (name for value in replaced for name in ast.walk(value) if isinstance(name, ast.Constant))
            yield from ((node.lineno, module, str(name.value)) for name in names)


def _certain(tree: ast.AST, in_function: bool = False) -> Iterator[ast.AST]:
    """The nodes of a file, without conditions outside of functions, and without what an `except` is there for."""
    for node in ast.iter_child_nodes(tree):
        is_tried = isinstance(node, ast.Try) and node.handlers
        is_suppressed = isinstance(node, ast.With) and "suppress" in ast.unparse(node.items[0])
        if not is_tried and not is_suppressed and (in_function or not isinstance(node, ast.If)):
            yield node
            yield from _certain(node, in_function or isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)))
