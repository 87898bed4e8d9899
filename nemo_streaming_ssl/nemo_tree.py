# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""What can be read off a NeMo tree or a file without importing it."""

import ast
import re
import warnings
from pathlib import Path

from nemo_streaming_ssl import NEWEST_NEMO, OLDEST_NEMO, TESTED_NEMO


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


def imports_its_base(file: Path) -> bool:
    """True for a shadowing file: `x.py` that imports `_x_base`.

    Raises:
        SyntaxError, ValueError: the file is no Python
    """
    base = base_path(file).stem
    names: list[str] = []
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            names.append(node.module)
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            names.extend(alias.name for alias in node.names)
    return any(name.rpartition(".")[2] == base for name in names)


def base_path(file: Path) -> Path:
    """The name that the original of a shadowing file is imported by; in a tree with the patches in it a file."""
    return file.with_name(f"_{file.stem}_base.py")


def original_of(file: Path) -> Path:
    """Where a NeMo has the original of a module: in `_x_base.py` if the patches were written into it."""
    return base if (base := base_path(file)).is_file() else file


def modules_with_base(nemo: Path) -> list[Path]:
    """The modules `x.py` of a vendored NeMo that have their original, `_x_base.py`, beside them."""
    modules = (base.with_name(f'{base.stem[len("_"):-len("_base")]}.py') for base in nemo.rglob("_*_base.py"))
    return sorted(file for file in modules if file.is_file() and imports_its_base(file))


def version_in(nemo: Path) -> str | None:
    """The version of the NeMo in a folder; of the installed distribution when the folder does not say."""
    try:
        text = (nemo / "package_info.py").read_text(encoding="utf-8")
    except OSError:
        return _installed_version()
    # Read, not executed: NeMo 3.0.0's file asks for the installed distribution, which may be another NeMo, and git.
    values = dict(re.findall(r'^(\w+)\s*=\s*["\']?([\w.+-]*)["\']?\s*(?:#.*)?$', text, flags=re.MULTILINE))
    if {"MAJOR", "MINOR", "PATCH"} <= values.keys():
        return "{MAJOR}.{MINOR}.{PATCH}".format(**values) + values.get("PRE_RELEASE", "")
    return values.get("__version__") or _installed_version()


def _installed_version() -> str | None:
    # Imported here: it is slow to import and seldom needed.
    from importlib import metadata

    try:
        return metadata.version("nemo_toolkit")
    except metadata.PackageNotFoundError:
        return None


def is_supported(version: str | None) -> bool:
    """True when the release is in the supported range; a release candidate counts as its release."""
    # Imported here: this module is imported where NeMo, which brings it, is not.
    from packaging.specifiers import SpecifierSet
    from packaging.version import InvalidVersion, Version

    try:
        return Version(version or "").base_version in SpecifierSet(f">={OLDEST_NEMO},<={NEWEST_NEMO}")
    except InvalidVersion:
        return False


def is_tested(version: str) -> bool:
    """True for exactly the releases that were tested; a candidate or a local version is another one."""
    from packaging.version import Version

    return Version(version) in map(Version, TESTED_NEMO)
