# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""What README and docs name is there: files, folders, links, and the names that are imported from the doors."""

import ast
import re
from pathlib import Path

import pytest

pytestmark = pytest.mark.any_release

ROOT = Path(__file__).resolve().parents[3]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
# Where paths of the pages begin: docs/getting_started.md and docs/architecture.md say below which folders they are.
STARTS = (
    ".",
    "docs",
    "nemo",
    "nemo/collections/asr",
    "tests/streaming_ssl",
    "examples/asr/speech_pretraining",
    "examples/asr/conf/ssl/nest",
)
FILE = re.compile(r"(?<![\w./*<>{}-])(?:[\w.-]+/)*[\w-][\w.-]*\.(?:py|md|yaml|csv|png|toml|txt)\b")
# What a fork has of its own, and what `vendor` writes there.
IN_A_FORK = {"streaming_ssl_vendor.toml", "tests/conftest.py", "docs/streaming_ssl/", "docs/benchmarks/results/"}
IN_A_FORK |= {"core/classes/common.py", "core/classes/modelPT.py"}
OF_A_RUN = {"config.yaml"}
FOLDER = re.compile(r"`((?:[\w.-]+/)+)`")
LINK = re.compile(r"\]\(([^)#]+)[^)]*\)")
DOORS = {
    f"nemo.collections.asr.parts.{name}": ROOT / f'nemo/collections/asr/parts/{name.replace(".", "/")}/__init__.py'
    for name in ("contexts", "finetuning", "lookahead", "streaming", "streaming.export")
}
IMPORT = re.compile(
    r"from (nemo\.collections\.asr\.parts\.(?:contexts|finetuning|lookahead|streaming)[\w.]*) import ([^\n#]+)"
)
MODULE = re.compile(r"python -m (benchmarks[\w.]*)")


def text_of(page: Path) -> str:
    """The page without addresses in the web."""
    return re.sub(r"https?://\S+", "", page.read_text(encoding="utf-8"))


def is_there(path: str) -> bool:
    """True if one of the starts has the path, or, for a test without its folder, any folder of tests."""
    if any((ROOT / start / path).exists() for start in STARTS):
        return True
    return path.startswith("test_") and any((ROOT / "tests").rglob(path))


def exported(door: Path) -> set:
    """The names in `__all__`, without importing anything."""
    for node in ast.parse(door.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and node.targets[0].id == "__all__":
            return set(ast.literal_eval(node.value))
    return set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
class TestDocs:
    def test_every_path_that_is_named_exists(self, page):
        text = text_of(page)
        named = {*FILE.findall(text), *FOLDER.findall(text)} - IN_A_FORK - OF_A_RUN
        assert sorted(path for path in named if not is_there(path)) == []

    def test_every_link_leads_somewhere(self, page):
        links = {link for link in LINK.findall(text_of(page)) if link}
        assert sorted(link for link in links if not (page.parent / link).exists()) == []

    def test_imports_are_from_the_doors_and_of_what_they_export(self, page):
        for module, names in IMPORT.findall(text_of(page)):
            assert module in DOORS, f"{module} is not a door"
            assert {name.strip(" ()") for name in names.split(",")} <= exported(DOORS[module])

    def test_every_module_that_is_run_exists(self, page):
        for module in MODULE.findall(text_of(page)):
            folder = ROOT / module.replace(".", "/")
            assert folder.with_suffix(".py").exists() or (folder / "__main__.py").exists(), module
