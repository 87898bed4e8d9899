# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Names that a NeMo lacks: what a module has and what a file needs."""

import importlib.util
import shutil
import sys
from pathlib import Path

import pytest

from nemo_streaming_ssl import cli, finder
from nemo_streaming_ssl.missing_names import missing_names
from nemo_streaming_ssl.nemo_tree import imports_its_base

MODULE = "nemo/collections/toy/masking.py"
BASE = "nemo/collections/toy/_masking_base.py"
USER = "nemo/collections/toy/user.py"
PACKAGE = "nemo.collections.toy"
ORIGINAL = "class Masking: pass\n"


@pytest.fixture
def found(tmp_path, stub):
    """What a stub NeMo lacks whose module `masking` is shadowed, with the files given in it and in the overlay."""

    def find(files=(), overlay_files=()):
        shutil.rmtree(tmp_path / "real", ignore_errors=True)
        shutil.rmtree(tmp_path / "overlay", ignore_errors=True)
        nemo, overlay = stub.nemo(tmp_path / "real") / "nemo", stub.overlay(tmp_path / "overlay") / "nemo"
        stub.files(tmp_path / "real", dict(files))
        stub.files(tmp_path / "overlay", dict(overlay_files))
        return missing_names(nemo, [Path(MODULE)], overlay)

    return find


def places(missing):
    return [(name.line, name.name) for name in missing]


# Ways to bind the name `Bound` in a module.
BINDINGS = [
    "Bound: int = 5",
    "(a, *Bound) = 1, 2",
    "async def Bound(): pass",
    "class Bound: pass",
    "def f():\n    global Bound\n    Bound = 1\nf()",
    "import os as Bound",
    "import Bound.path",
    "from json import loads as Bound",
    "try:\n    pass\nfinally:\n    Bound = 1",
    "from contextlib import nullcontext\nwith nullcontext(1) as Bound: pass",
    "for Bound in [1]: pass",
    "x = [Bound := y for y in range(2)]",
    "match [1, 2]:\n    case [1, *Bound]: pass",
    'match {"x": 3}:\n    case {"x": 3, **Bound}: pass',
]
# What does not bind it: of a scope of its own, or words.
OTHERS = [
    "def f(Bound):\n    pass",
    "class C:\n    Bound = 1",
    "x = lambda Bound: Bound",
    '"""Bound = 1"""',
    "# Bound = 1",
]
# A module that may bind any name, or of which nothing is known.
ANY = [
    "def __getattr__(name): return 1",
    'globals()["x"] = 1',
    "def f(): globals().update(x=1)",
    'exec("x = 1")',
    'import sys; setattr(sys.modules[__name__], "x", 1)',
    "from os.path import *",
    "x = (",
    "x = 1\0",
]


class TestWhatAModuleHas:
    @pytest.mark.parametrize("text", BINDINGS)
    def test_what_it_binds(self, found, text):
        assert found({MODULE: ORIGINAL + text, USER: "from .masking import Bound, Masking"}) == []

    @pytest.mark.parametrize("text", OTHERS)
    def test_and_nothing_else(self, found, text):
        assert places(found({MODULE: ORIGINAL + text, USER: "from .masking import Bound"})) == [(1, "Bound")]

    @pytest.mark.parametrize("text", ANY)
    def test_may_be_anything(self, found, text):
        assert found({MODULE: text, USER: "from .masking import Gone"}) == []

    def test_our_file_adds_to_it(self, found):
        added = {MODULE: "from . import _masking_base as base\nclass Added: pass\nbase.helper"}
        assert places(found({USER: "from .masking import Added, helper, Gone"}, added)) == [(1, "Gone")]


class TestWhatIsNeeded:
    @pytest.mark.parametrize(
        "text, missing",
        [
            (f"from {PACKAGE}.masking import Masking, Gone, LIMIT", [(1, "Gone")]),
            ("from .masking import Gone as Here", [(1, "Gone")]),
            ("from ..toy.masking import (\n    helper,\n    Gone,\n)", [(1, "Gone")]),
            (f"def f():\n    from {PACKAGE}.masking import Gone", [(2, "Gone")]),
            (f"def f(x):\n    if x:\n        from {PACKAGE}.masking import Gone", [(3, "Gone")]),
            ("from .masking import Gone\nfrom .masking import Gone", [(1, "Gone")]),
            ("from .masking import Gone, Lost", [(1, "Gone"), (1, "Lost")]),
            ("try:\n    pass\nfinally:\n    from .masking import Gone", [(4, "Gone")]),
            ("with open() as file:\n    from .masking import Gone", [(2, "Gone")]),
        ],
    )
    def test_a_name_that_is_gone_is_found(self, found, text, missing):
        assert places(found({USER: text})) == missing

    @pytest.mark.parametrize(
        "text",
        [
            "from .masking import Masking, Untouched, helper, LIMIT, collections, __all__, __file__",
            "from .masking import *",
            "from . import masking\nmasking.Gone",
            "from .other import Gone",
            "from somewhere.masking import Gone",
            "try:\n    from .masking import Gone\nexcept ImportError:\n    from .masking import Lost",
            "try:\n    from .masking import Gone\nexcept (KeyError, Exception):\n    pass",
            "try:\n    from .masking import Gone\nexcept:\n    pass",
            "import contextlib\nwith contextlib.suppress(ImportError):\n    from .masking import Gone",
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from .masking import Gone",
            "import typing\nif typing.TYPE_CHECKING:\n    from .masking import Gone",
            'import nemo\nif nemo.__version__ > "9":\n    from .masking import Gone',
            "# from .masking import Gone",
            '"""\nfrom .masking import Gone\n"""',
            "from .masking import (Gone",
        ],
    )
    def test_nothing_else_is(self, found, text):
        assert found({USER: text}) == []

    def test_our_files_need_what_they_replace_and_inherit(self, found, tmp_path):
        missing = found({MODULE: "def helper(): pass"})
        assert [(name.importer, name.name) for name in missing] == [(tmp_path / "overlay" / MODULE, "Masking")]
        extra = {"nemo/collections/toy/extra.py": "from nemo.collections.toy._masking_base import Lost"}
        assert [name.name for name in found({}, extra)] == ["Lost"]

    def test_the_message_names_both_files_and_who_lacks_what(self, found, tmp_path):
        (name,) = found({USER: "\nfrom .masking import Gone"})
        real = tmp_path / "real"
        assert str(name) == (
            f"{real / USER}:2 needs Gone, which {real / MODULE} does not have: "
            "the NeMo that was found lacks it, not the patches"
        )

    def test_a_tree_with_the_patches_in_it(self, tmp_path, stub):
        nemo = stub.nemo(tmp_path) / "nemo"
        (tmp_path / MODULE).rename(tmp_path / BASE)
        stub.overlay(tmp_path)
        stub.files(tmp_path, {USER: "from .masking import Masking, helper, Gone"})
        (name,) = missing_names(nemo, [Path(MODULE)], nemo)
        assert (name.importer, name.module, name.name) == (tmp_path / USER, tmp_path / BASE, "Gone")

    def test_a_module_without_an_original_is_left_to_others(self, found, tmp_path, stub):
        nemo, overlay = stub.nemo(tmp_path / "real") / "nemo", stub.overlay(tmp_path / "overlay") / "nemo"
        (tmp_path / "real" / MODULE).unlink()
        stub.files(tmp_path / "real", {USER: "from .masking import Gone"})
        assert missing_names(nemo, [Path(MODULE)], overlay) == [] == missing_names(nemo, [], overlay)


class TestStatus:
    def test_says_it_and_exits_with_1(self, tmp_path, monkeypatch, no_nemo, stub, capsys):
        real, overlay = stub.nemo(tmp_path / "real"), stub.overlay(tmp_path / "overlay")
        monkeypatch.setattr(sys, "path", [str(real)])
        monkeypatch.setattr(sys, "meta_path", [item for item in sys.meta_path if "ditable" not in repr(item)])
        monkeypatch.setattr(finder, "overlay_root", lambda: str(overlay))
        finder.install()
        assert cli.main(["status", "--no-import"]) == 0
        capsys.readouterr()
        (real / USER).write_text("from .masking import Gone")
        assert cli.main(["status", "--no-import"]) == 1
        (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("missing")]
        assert f"{real / USER}:1 needs Gone, which {real / MODULE} does not have" in line


@pytest.fixture(scope="module")
def installed(stub):
    """The folder of the NeMo that is installed, the overlay's, and our shadowing files."""
    overlay = stub.repository / "nemo"
    files = [file for file in sorted(overlay.rglob("*.py")) if imports_its_base(file)]
    nemo = Path(importlib.util.find_spec("nemo").origin).parent
    return nemo, overlay, [file.relative_to(overlay.parent) for file in files]


class TestTheInstalledNemo:
    def test_lacks_nothing(self, installed):
        nemo, overlay, shadowed = installed
        assert missing_names(nemo, shadowed, overlay) == []

    def test_has_no_module_that_may_have_any_name(self, installed, tmp_path):
        nemo, overlay, shadowed = installed
        for path in shadowed:
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(nemo.parent / path, tmp_path / path)
        modules = [".".join(path.with_suffix("").parts) for path in shadowed]
        user = tmp_path / "nemo/user.py"
        user.write_text("\n".join(f"from {module} import Gone" for module in modules))
        missing = [name for name in missing_names(tmp_path / "nemo", shadowed, overlay) if name.importer == user]
        assert len(missing) == len(shadowed) > 5

    def test_cut_short_as_the_predecessor_did_it_is_found(self, installed, tmp_path):
        nemo, overlay, shadowed = installed
        parts = Path("nemo/collections/asr/parts")
        shutil.copytree(nemo.parent / parts, tmp_path / parts, ignore=shutil.ignore_patterns("*.pyc"))
        cut = tmp_path / parts / "utils/streaming_utils.py"
        cut.write_text("def set_dynamic_context(): ...\ndef sync_masking_context_with_attention(): ...\n")
        missing = missing_names(tmp_path / "nemo", [path for path in shadowed if parts in path.parents], overlay)
        assert {name.module for name in missing} == {cut}
        importers = {(name.importer.name, name.name) for name in missing}
        assert ("transcribe_utils.py", "FrameBatchASR") in importers
        assert not {name.name for name in missing} & {"set_dynamic_context", "sync_masking_context_with_attention"}
