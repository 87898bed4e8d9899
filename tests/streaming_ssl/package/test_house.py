# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""The house rules that a program can check: small functions, and imports that go one way."""

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

pytestmark = pytest.mark.any_release

ROOT = Path(__file__).resolve().parents[3]
FILES = sorted(file.relative_to(ROOT) for file in (ROOT / "nemo").rglob("*.py"))
PARTS = "nemo.collections.asr.parts"
MOST_LINES_OF_A_FUNCTION = 40


def imports_of(file: Path) -> set:
    """The modules of the overlay that a file names in an import, wherever it stands."""
    found = set()
    for node in ast.walk(ast.parse((ROOT / file).read_text())):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            module = ".".join((*file.parent.parts, node.module)) if node.level else node.module
            found.update({module, *(f"{module}.{alias.name}" for alias in node.names)})
    return found


def module_of(file: Path) -> str:
    return ".".join((file.parent if file.name == "__init__.py" else file.with_suffix("")).parts)


MODULES = {module_of(file): file for file in FILES}


def functions(file: Path):
    for node in ast.walk(ast.parse((ROOT / file).read_text())):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node.name, node.end_lineno - node.lineno + 1


# Folders of tests that look at something else than the folder of the product with their name.
OTHER_ROOMS = {"helpers", "package", "whole"}
TESTS = ROOT / "tests/streaming_ssl"


def names_of_product(room: str) -> set:
    """The files and folders of the product below a folder of this name."""
    name = {"example_scripts": "examples"}.get(room, room)
    tops = [ROOT / top for top in ("nemo", "examples", "benchmarks")]
    folders = [folder for top in tops for folder in (top, *top.rglob("*")) if folder.is_dir() and folder.name == name]
    return {path.stem for folder in folders for path in folder.rglob("*")}


class TestHouse:
    def test_functions_are_small(self):
        assert not [
            (f"{file}: {name}", count)
            for file in FILES
            for name, count in functions(file)
            if count > MOST_LINES_OF_A_FUNCTION
        ]

    @pytest.mark.parametrize("file", [f for f in FILES if module_of(f).startswith(f"{PARTS}.")], ids=str)
    def test_parts_import_no_modules_and_no_models(self, file):
        above = tuple(f"nemo.collections.asr.{name}" for name in ("modules", "models"))
        assert not [name for name in imports_of(file) if name.startswith(above)]

    def test_imports_go_in_no_circle(self):
        graph = {name: (imports_of(file) & MODULES.keys()) - {name} for name, file in MODULES.items()}
        # a door imports its room, so a file in the room does not import its own door
        try:
            TopologicalSorter(graph).prepare()
        except CycleError as error:
            pytest.fail(" -> ".join(error.args[1]))

    def test_a_test_file_is_named_after_what_it_tests(self):
        rooms = {file.parent.name for file in TESTS.glob("*/test_*.py")} - OTHER_ROOMS
        assert len(rooms) > 10
        for room in rooms:
            names = names_of_product(room)
            for file in (TESTS / room).glob("test_*.py"):
                words = file.stem.removeprefix("test_")
                begins = [name for name in names if f"{words}_".startswith((f"{name}_", f"{room}_{name}_"))]
                assert begins, f"{file.name}: {room} has no such file"

    def test_nothing_patches_or_mocks(self):
        assert not [file for file in FILES if "unittest" in (ROOT / file).read_text()]
