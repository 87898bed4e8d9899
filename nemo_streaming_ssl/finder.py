# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""The import finder that lays the overlay tree `nemo/` over the NeMo that is installed.

    nemo              the real NeMo, wherever it is; our own `nemo/` folder is never taken for it
    nemo.a.b.x        the overlay's `nemo/a/b/x.py`, or its package `nemo/a/b/x/`, if there is one; else NeMo's
    nemo.a.b._x_base  NeMo's original `x.py`, when the overlay shadows it

A NeMo into which the patches are vendored is left alone: it has its own, perhaps of another version.

The `.pth` file calls `install()` at every Python start, whether NeMo is going to be used or not: this module
imports next to nothing, and reads no file before somebody imports `nemo`. It keeps no state, so it needs no locks.
"""

import os
import sys

from nemo_streaming_ssl import NEWEST_NEMO, OLDEST_NEMO

TYPE_CHECKING = False  # for type checkers only; `typing` takes longer to import than all of this module
if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec

SWITCH = "NEMO_STREAMING_SSL"
SUPPORTED = f"supported are NeMo {OLDEST_NEMO} to {NEWEST_NEMO}"


class NemoFinder:
    """Finds `nemo` itself and changes nothing in it: what is in place while the patches are switched off.

    Python would take our `nemo/` folder (no `__init__.py`) for a namespace package as soon as the repository is the
    working folder, and so hide a fork that is installed with `pip install -e`, whose finder is asked last.

    Args:
        root: the folder that contains the overlay's `nemo/` folder.
    """

    # Known by this mark, not by class: after a reload of this module the class is another one.
    is_nemo_overlay = True

    def __init__(self, root: str):
        self.root = root

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.root!r})"

    def find_spec(
        self, fullname: str, path: "Sequence[str] | None" = None, target: object = None
    ) -> "ModuleSpec | None":
        """The import system's question: where is `fullname`? None: ask the next finder."""
        if fullname == "nemo":
            return find_original("nemo", None)
        if not fullname.startswith("nemo."):
            return None
        if fullname.count(".") == 1:
            self._refuse_bare_overlay(fullname, path)
        return self._find_module(fullname, path)

    def _find_module(self, fullname: str, path: "Sequence[str] | None") -> "ModuleSpec | None":
        return None

    def _refuse_bare_overlay(self, fullname: str, path: "Sequence[str] | None") -> None:
        """Without NeMo, Python has made a package out of the overlay alone: say so before it fails obscurely."""
        overlay = os.path.realpath(os.path.join(self.root, "nemo"))
        if any(os.path.realpath(folder) == overlay for folder in path or ()):
            raise ModuleNotFoundError(
                f"No module named {fullname!r}: NeMo is not installed, and {overlay} holds only the patches "
                f"to it ({SUPPORTED}: pip install 'nemo_toolkit[asr]')",
                # Not `fullname`: `from nemo import collections` ignores an error of exactly that name.
                name="nemo",
            )


class OverlayFinder(NemoFinder):
    """Finds `nemo` itself, and lays the overlay's modules over its own."""

    def _find_module(self, fullname: str, path: "Sequence[str] | None") -> "ModuleSpec | None":
        if any(map(is_vendored, _package_path("nemo"))):
            return None
        file = self._overlay_file(fullname)
        if os.path.isfile(file):
            return _file_spec(fullname, file)
        # a package that NeMo does not have: folders that it has, too, are without this file in the overlay
        door = os.path.join(file[: -len(".py")], "__init__.py")
        if os.path.isfile(door):
            return _file_spec(fullname, door, is_package=True)
        public = public_name(fullname)
        if public and os.path.isfile(self._overlay_file(public)):
            return self._base_spec(fullname, public, path)
        return None

    def _overlay_file(self, fullname: str) -> str:
        return os.path.join(self.root, *fullname.split(".")) + ".py"

    def _base_spec(self, fullname: str, public: str, path: "Sequence[str] | None") -> "ModuleSpec":
        """NeMo's original of the shadowed module `public`, to be loaded as `fullname`."""
        # A fork into which the patches were written keeps the original in a file of that name.
        in_fork = find_original(fullname, path)
        if in_fork is not None:
            return in_fork
        original = find_original(public, path, self._overlay_file(public))
        if original is None or original.origin is None or original.submodule_search_locations is not None:
            raise _missing_original(fullname, public)
        # On the original's path: its bytecode cache is used, and tracebacks and inspect show NeMo's own file.
        return _file_spec(fullname, original.origin)


def is_vendored(nemo: str) -> bool:
    """True for the folder of a NeMo into which the patches were written: it has the module that all of them use."""
    return os.path.isfile(os.path.join(nemo, "utils", "shadowing.py"))


def public_name(fullname: str) -> "str | None":
    """`nemo.a._x_base` -> `nemo.a.x`; None for a name that is not of that form."""
    parent, _, last = fullname.rpartition(".")
    if last.startswith("_") and last.endswith("_base") and len(last) > len("__base"):
        return f"{parent}.{last[len('_'):-len('_base')]}"
    return None


def find_original(
    fullname: str, path: "Sequence[str] | None" = None, shadow: "str | None" = None
) -> "ModuleSpec | None":
    """The spec of `fullname` without the overlay, or None; folders without `__init__.py` do not count.

    Args:
        fullname: dotted name of `nemo` or of a module in it.
        path: `__path__` of its parent package; None: it is looked up.
        shadow: the overlay's file of that name, which a finder that asks all finders again comes back with.
    """
    parent = fullname.rpartition(".")[0]
    if parent and path is None:
        path = _package_path(parent)
    for finder in sys.meta_path:
        if getattr(finder, "is_nemo_overlay", False) or not hasattr(finder, "find_spec"):
            continue
        spec = finder.find_spec(fullname, path)
        if spec is not None and spec.loader is not None and spec.has_location and spec.origin != shadow:
            return spec
    return None


def _package_path(package: str) -> "Sequence[str]":
    """`__path__` of a package, without importing it."""
    if package in sys.modules:
        return getattr(sys.modules[package], "__path__", [])
    parent, _, last = package.rpartition(".")
    if parent:
        return [os.path.join(folder, last) for folder in _package_path(parent)]
    spec = find_original(package)
    return (spec and spec.submodule_search_locations) or []


def _file_spec(fullname: str, file: str, is_package: bool = False) -> "ModuleSpec":
    # Imported here, when somebody imports NeMo: half of what this module would otherwise add to a Python start.
    from importlib.machinery import ModuleSpec, SourceFileLoader

    spec = ModuleSpec(fullname, SourceFileLoader(fullname, file), origin=file, is_package=is_package)
    spec.has_location = True
    if is_package:
        spec.submodule_search_locations = [os.path.dirname(file)]
    return spec


def _missing_original(fullname: str, public: str) -> ImportError:
    folder = (_package_path("nemo") or ["nemo"])[0]
    expected = os.path.join(folder, *public.split(".")[1:]) + ".py"
    version = getattr(sys.modules.get("nemo"), "__version__", "of unknown version")
    # Not a ModuleNotFoundError: `from package import name` ignores that one, and says less.
    return ImportError(
        f"No module named {fullname!r}: the patches build on {expected}, which NeMo {version} does not have "
        f"({SUPPORTED}; {SWITCH}=off switches the patches off)",
        name=fullname,
        path=expected,
    )


def overlay_root() -> "str | None":
    """The folder that contains the overlay's `nemo/`: inside this package, or, in a checkout, beside it; or None."""
    package = os.path.dirname(os.path.abspath(__file__))
    # In this order: after an ordinary install the folder beside this package is NeMo's own.
    for root in (os.path.join(package, "_overlay"), os.path.dirname(package)):
        nemo = os.path.join(root, "nemo")
        if os.path.isdir(nemo) and not os.path.exists(os.path.join(nemo, "__init__.py")):
            return root
    return None


def switched_off() -> bool:
    """True when the environment says NEMO_STREAMING_SSL=off (or 0, false, no)."""
    return os.environ.get(SWITCH, "").strip().lower() in ("off", "0", "false", "no")


def install(root: "str | None" = None) -> None:
    """Puts the finder in front of all others, once; switched off, one that only finds NeMo itself.

    Args:
        root: the folder that contains the overlay's `nemo/`; None: it is looked for, and without one nothing happens
    """
    root = root or overlay_root()
    if root is None:
        return
    finder = NemoFinder(root) if switched_off() else OverlayFinder(root)
    sys.meta_path[:] = [finder, *(other for other in sys.meta_path if not getattr(other, "is_nemo_overlay", False))]
