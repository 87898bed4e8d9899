# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Names that a NeMo needs of its own modules and does not have, as in a fork that has cut a module short.

Python would blame the file of ours that takes the place of that module: it is the one that was asked for the name.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from nemo_streaming_ssl.module_names import ModuleNames, dotted_name, parse
from nemo_streaming_ssl.needed_names import needed_names


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


@dataclass(frozen=True)
class _Module:
    """A module that is shadowed, or the original that is importable beside it."""

    original: Path  # NeMo's file
    names: frozenset[str] | None  # what can be imported from it; None: anything
    is_hidden: bool  # its package binds the same name, so that `package.module` may be something else


def missing_names(nemo: Path, shadowed: Sequence[Path], overlay: Path) -> list[MissingName]:
    """
    Finds names that modules need of a shadowed module, and that neither the original nor our file has.

    Sources are read, nothing is imported. Looked at are all modules of the NeMo, and those of the overlay: they need
    what they replace and inherit (`inherit_module`, `base.Name`). `needed_names` says what counts as needed,
    `ModuleNames` what a module has.

    Args:
        nemo: the folder `nemo/` of a NeMo, also of one that the patches were written into.
        shadowed: our shadowing files, relative to the folder that `nemo` is in. One without an original is left out.
        overlay: the folder `nemo/` that our files are in; `nemo` itself where the patches were written into it.

    Returns:
        What is missing, sorted by file and line; nothing for a NeMo that is whole.
    """
    roots = list(dict.fromkeys([overlay.parent, nemo.parent]))
    modules = _modules(nemo.parent, shadowed, roots)
    missing = [name for root in roots for file in _mentioning(root, shadowed) for name in _unmet(file, root, modules)]
    return sorted(missing, key=lambda name: (name.importer, name.line, name.name))


def _modules(nemo_root: Path, shadowed: Sequence[Path], roots: Sequence[Path]) -> dict[str, _Module]:
    """Each shadowed module, and its original, by the dotted names that they are imported by."""
    known, modules = ModuleNames(roots), {}
    for path in shadowed:
        package = dotted_name(path.parent)
        base = path.with_name(f"_{path.stem}_base.py")
        # a tree that the patches were written into keeps the original in a file of this name
        original = next((nemo_root / name for name in (base, path) if (nemo_root / name).is_file()), None)
        if original is None:
            continue
        names, own = (known.of_file(file, package) for file in (original, roots[0] / path))
        around = known.of_file(nemo_root / path.parent / "__init__.py", package)
        is_hidden = around is None or path.stem in around
        modules[dotted_name(base)] = _Module(original, names, is_hidden=False)
        modules[dotted_name(path)] = _Module(
            original, None if names is None or own is None else names | own, is_hidden
        )
    return modules


def _mentioning(root: Path, shadowed: Sequence[Path]) -> Iterator[Path]:
    """The files whose imports have the last part of a shadowed module's name: few of them are worth parsing."""
    stems = "|".join(sorted({re.escape(path.stem) for path in shadowed}))
    name = rf"\b(?:_(?:{stems})_base|{stems})\b"
    pattern = re.compile(rf"^[ \t]*(?:from|import)\b(?:[^\n#]*{name}|[^\n#]*\([^)]*{name})".encode(), re.MULTILINE)
    for file in sorted((root / "nemo").rglob("*.py")) if stems else ():
        if file.is_file() and pattern.search(file.read_bytes()):
            yield file


def _unmet(file: Path, root: Path, modules: dict[str, _Module]) -> Iterator[MissingName]:
    """What a file needs of the modules and they do not have."""
    tree = parse(file)
    if tree is None:
        return
    path = file.relative_to(root)
    for need in needed_names(tree, dotted_name(path.parent), modules):
        module = modules[need.module]
        if module.names is None or (need.is_attribute and module.is_hidden):
            continue
        if need.name not in module.names:
            yield MissingName(file, need.line, module.original, need.name)
