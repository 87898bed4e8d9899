# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""What a fork has changed of what the patches replace: found in its sources, and said by `status` and `vendor`."""

import ast
import importlib.util
import shutil
import sys
from pathlib import Path

import pytest
import vendoring_stub as stubs

from nemo_streaming_ssl import TESTED_NEMO, cli, finder
from nemo_streaming_ssl.nemo_tree import version_in
from nemo_streaming_ssl.replaced_methods import (
    KINDS,
    change_lines,
    changed_methods,
    digest,
    known_methods,
    members,
)

MASKING = "nemo/collections/asr/modules/ssl_modules/masking.py"
OVERLAP = "def forward_with_overlap("
REPOSITORY = Path(__file__).resolve().parents[3]

patch_set, fork = stubs.patch_set, stubs.fork


@pytest.fixture
def nemo(tmp_path):
    """The folder `nemo/` of a copy of the installed NeMo: the files that the table names, and its version."""
    installed = Path(importlib.util.find_spec("nemo").origin).parent
    for file in {file for file, _ in known_methods(None)}:
        if (installed.parent / file).is_file():
            (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(installed.parent / file, tmp_path / file)
    return tmp_path / "nemo"


@pytest.fixture
def release():
    """The version of the installed NeMo; the properties hold for a tested one."""
    version = version_in(Path(importlib.util.find_spec("nemo").origin).parent)
    assert version in TESTED_NEMO
    return version


def with_a_counter(text: str) -> str:
    """The masking module, with one more statement in `forward_with_overlap`."""
    before, found, after = text.partition(OVERLAP)
    signature, colon, body = after.partition("):\n")
    assert found and colon
    return f'{before}{found}{signature}{colon}        self.calls = getattr(self, "calls", 0) + 1\n{body}'


def edit(nemo: Path, change, file: str = MASKING):
    path = nemo.parent / file
    path.write_text(change(path.read_text()))


class ChangedEverywhere(ast.NodeTransformer):
    """Puts a statement at the end of every function."""

    def visit_FunctionDef(self, node):
        node.body.append(ast.parse("calls = 1").body[0])
        return node


class TestChangedMethods:
    def test_a_release_has_none(self, nemo, release):
        assert changed_methods(nemo, release) == []
        assert change_lines(nemo, release) == []

    def test_a_changed_method_that_nobody_calls_any_more_is_named_with_its_line(self, nemo, release):
        edit(nemo, with_a_counter)
        (found,) = changed_methods(nemo, release)
        line = next(i for i, text in enumerate((nemo.parent / MASKING).read_text().splitlines(), 1) if OVERLAP in text)
        assert str(found) == (
            f"{nemo.parent / MASKING}:{line} RandomBlockMasking.forward_with_overlap: "
            "lost: only what the patches replace has called it"
        )

    def test_every_known_method_that_is_changed_is_found_and_nothing_else(self, nemo, release):
        known = {key for key, methods in known_methods(release).items() if any(method.hash for method in methods)}
        functions = set()
        for file in {file for file, _ in known}:
            tree = ast.parse((nemo.parent / file).read_text())
            names = [name for name, nodes in members(tree).items() if isinstance(nodes[0], ast.FunctionDef)]
            functions |= {(file, name) for name in names}
            edit(nemo, lambda _, tree=tree: ast.unparse(ChangedEverywhere().visit(tree)), file)
        changed = changed_methods(nemo, release)
        assert {(found.method.file, found.method.name) for found in changed} == known & functions
        assert len(known & functions) > 50 and {found.method.kind for found in changed} == set(KINDS)
        order = [list(KINDS).index(found.method.kind) for found in changed]
        assert order == sorted(order)

    def test_comments_docstrings_and_layout_do_not_count(self, nemo, release):
        for file in {file for file, _ in known_methods(release)}:
            tree = ast.parse((nemo.parent / file).read_text())
            for node in ast.walk(tree):
                if isinstance(node, ast.FunctionDef) and ast.get_docstring(node):
                    node.body[0].value.value = "Another one."
            edit(nemo, lambda _, tree=tree: f"# a comment\n\n{ast.unparse(tree)}\n", file)
        assert changed_methods(nemo, release) == []

    def test_a_docstring_may_come_and_go(self):
        texts = ['def f(x):\n    """What."""\n    return x', "def f(x):  # what\n    return (x)", "def f(x): return x"]
        assert len({digest(ast.parse(text).body) for text in texts}) == 1
        assert digest(ast.parse("def f(x): return -x").body) != digest(ast.parse(texts[0]).body)

    def test_a_method_that_the_fork_added_under_a_name_of_ours(self, nemo, release):
        edit(nemo, lambda text: text.replace(f"    {OVERLAP}", f"    def draw(self):\n        pass\n\n    {OVERLAP}"))
        (found,) = changed_methods(nemo, release)
        assert (found.method.name, found.method.kind) == ("RandomBlockMasking.draw", "replaced")

    def test_a_tree_with_the_patches_in_it(self, nemo, release):
        edit(nemo, with_a_counter)
        original = nemo.parent / MASKING
        base = original.rename(original.with_name("_masking_base.py"))
        shutil.copy(REPOSITORY / MASKING, original)
        (found,) = changed_methods(nemo, release)
        assert (found.path, found.method.name) == (base, "RandomBlockMasking.forward_with_overlap")

    @pytest.mark.parametrize("version", ["2.7.0", "9.9", None])
    def test_a_release_that_was_not_tested_is_compared_with_all_that_were(self, nemo, version):
        assert change_lines(nemo, version) == []
        edit(nemo, with_a_counter)
        first, compared, _ = change_lines(nemo, version)
        assert "RandomBlockMasking.forward_with_overlap" in first
        assert compared == (
            f'Compared with 2.5.3, 2.6.2, 2.7.3, 3.0.0: NeMo {version or "of unknown version"} was not tested, '
            "and may differ from them by itself."
        )

    def test_a_file_that_is_gone_or_no_python_is_left_to_others(self, nemo, release):
        edit(nemo, lambda _: "class (")
        (nemo / "core/classes/modelPT.py").unlink()
        assert changed_methods(nemo, release) == []


class TestStatus:
    def test_says_it_and_what_to_do(self, nemo, release, tmp_path, monkeypatch, no_nemo, stub, capsys):
        stub.nemo(tmp_path, (*map(int, release.split(".")), ""))
        monkeypatch.setattr(sys, "path", [str(tmp_path)])
        monkeypatch.setattr(sys, "meta_path", [item for item in sys.meta_path if "ditable" not in repr(item)])
        monkeypatch.setattr(finder, "overlay_root", lambda: str(stub.overlay(tmp_path / "overlay")))
        finder.install()
        assert cli.main(["status", "--no-import"]) == 0 and "changed" not in capsys.readouterr().out
        edit(nemo, with_a_counter)
        # a change is no fault: it is said, and the exit code stays
        assert cli.main(["status", "--no-import"]) == 0
        first, compared, advice = [line for line in capsys.readouterr().out.splitlines() if line.startswith("changed")]
        assert "RandomBlockMasking.forward_with_overlap: lost" in first and release in compared
        assert "docs/forks.md" in advice


class TestVendor:
    def test_every_way_of_writing_says_it(self, fork, patch_set, nemo, release, tmp_path, capsys):
        shutil.copytree(nemo, fork / "nemo", dirs_exist_ok=True)
        (fork / "nemo/package_info.py").write_text(f'__version__ = "{release}"\n')
        said = "RandomBlockMasking.forward_with_overlap: lost"
        for counted in (False, True):
            if counted:
                edit(fork / "nemo", with_a_counter)
            stubs.commit(fork)
            for words in (["--dry-run"], ["--patch", str(tmp_path / "x.patch")], []):
                assert cli.main(["vendor", str(fork), *words]) == 0
                assert (said in capsys.readouterr().out) is counted, words
            if not counted:
                stubs.commit(fork)
                assert cli.main(["vendor", str(fork), "--revert"]) == 0
                capsys.readouterr()
        stubs.commit(fork)
        (patch_set / "docs/index.md").write_text("# Newer docs\n")
        assert cli.main(["vendor", str(fork), "--update"]) == 0
        assert said in capsys.readouterr().out


class TestThePage:
    @pytest.mark.any_release
    def test_has_every_method_of_the_table(self):
        expected = set()
        for (file, name), methods in known_methods(None).items():
            expected |= {(file, name, method.kind) for method in methods if method.hash}
        assert len(expected) > 50
        assert listed_on_the_page() == expected


def listed_on_the_page() -> set:
    """What docs/forks.md lists: file, name and kind."""
    text = (REPOSITORY / "docs/forks.md").read_text()
    words = {said: kind for kind, said in ON_THE_PAGE.items()}
    found, file = set(), ""
    for line in text.partition("## Methods that the patches replace")[2].splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 3 and cells[1] in words:
            file = cells[0].strip("`") or file
            found |= {(f"nemo/{file}", name.strip("` "), words[cells[1]]) for name in cells[2].split(",")}
    return found


ON_THE_PAGE = {"replaced": "lost", "unused": "lost, not called", "partly": "lost in part", "extended": "kept"}
