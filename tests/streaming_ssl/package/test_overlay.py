# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Each module of the overlay, with the NeMo that is installed."""

import ast
import importlib
import inspect
from pathlib import Path

import pytest

from nemo_streaming_ssl import finder
from nemo_streaming_ssl.status import imports_its_base

ROOT = Path(finder.overlay_root())
FILES = sorted(file.relative_to(ROOT) for file in ROOT.glob("nemo/**/*.py"))
SHADOWING = [file for file in FILES if imports_its_base(ROOT / file)]
# NeMo imports what is below these early; from 2.7 on, `parts.utils` imports the collection in turn.
EARLY = ("nemo/collections/asr/losses/", "nemo/collections/asr/modules/")
LATE = "nemo.collections.asr.parts.utils"


def dotted(file: Path) -> str:
    return ".".join((file.parent if file.name == "__init__.py" else file.with_suffix("")).parts)


def imported_modules(file) -> set:
    """The modules that are imported when a file is; imports inside functions come later."""
    found, waiting = set(), list(ast.parse(Path(file).read_text()).body)
    for node in waiting:
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            found.update({node.module, *(f"{node.module}.{alias.name}" for alias in node.names)})
        elif not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            waiting.extend(ast.iter_child_nodes(node))
    return found


def late_imports(file) -> set:
    """Those of `parts.utils`, also by way of files that the overlay adds."""
    late, seen, waiting = set(), set(), [Path(file)]
    for file in waiting:
        names = imported_modules(file)
        late |= {name for name in names if name == LATE or name.startswith(f"{LATE}.")}
        new = {ROOT / path for name in names - late for path in new_files(name)} - seen
        seen |= new
        waiting.extend(new)
    return late


def new_files(name: str) -> list:
    """The files that the overlay adds and that are executed when a module is imported: its own, its package's."""
    path = Path(*name.split("."))
    doors = [folder / "__init__.py" for folder in (path, *path.parents)]
    return [file for file in (path.with_suffix(".py"), *doors) if file in FILES and file not in SHADOWING]


class TestOverlay:
    @pytest.mark.parametrize("file", FILES, ids=str)
    def test_a_module_can_be_imported_and_comes_from_the_overlay(self, file):
        assert Path(importlib.import_module(dotted(file)).__file__) == ROOT / file

    @pytest.mark.parametrize("file", SHADOWING, ids=str)
    def test_the_source_of_a_class_or_function_is_shown(self, file):
        module = importlib.import_module(dotted(file))
        defined = [value for value in vars(module).values() if getattr(value, "__module__", None) == module.__name__]
        classes = [value for value in defined if inspect.isclass(value)]
        for value in [*classes, *filter(inspect.isfunction, defined)]:
            assert f" {value.__name__}" in inspect.getsource(value)
        assert {inspect.getfile(cls) for cls in classes} <= {module.__file__, module.base.__file__}

    @pytest.mark.parametrize("file", [file for file in FILES if file.as_posix().startswith(EARLY)], ids=str)
    def test_what_is_imported_early_imports_no_parts_utils(self, file):
        original = finder.find_original(dotted(file), shadow=str(ROOT / file))
        # an original that does so is imported late itself
        assert not late_imports(ROOT / file) or (original and late_imports(original.origin))


class TestTheGuard:
    @pytest.mark.parametrize(
        "text, guilty",
        [
            (f"from {LATE} import precision", True),
            (f"from {LATE}.precision import sum_dtype", True),
            ("from nemo.collections.asr.parts import utils", True),
            (f"try:\n    import {LATE}.precision\nexcept ImportError:\n    pass", True),
            (f"class A:\n    from {LATE} import precision", True),
            (f"def late():\n    import {LATE}.precision", False),
            ("from nemo.utils.precision import sum_dtype", False),
            ("from nemo.collections.asr.parts.utils_of_others import x", False),
        ],
    )
    def test_sees_an_import(self, tmp_path, text, guilty):
        (tmp_path / "loss.py").write_text(text)
        assert bool(late_imports(tmp_path / "loss.py")) is guilty
