# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Names that a NeMo lacks: what a module has and what a file needs, compared with what Python itself says."""

import importlib.util
import shutil
import sys
from pathlib import Path

import pytest

from nemo_streaming_ssl import cli, finder
from nemo_streaming_ssl.missing_names import missing_names
from nemo_streaming_ssl.module_names import ModuleNames
from nemo_streaming_ssl.nemo_tree import imports_its_base

MODULE = "nemo/collections/toy/masking.py"
BASE = "nemo/collections/toy/_masking_base.py"
USER = "nemo/collections/toy/user.py"
PACKAGE = "nemo.collections.toy"


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


# Statements of which each binds names of its own, or none.
BINDINGS = [
    "a1 = 1",
    "a2, (a3, *a4) = 1, (2, 3)",
    "a5: int = 5",
    "a6: int",
    "a7 = 1; a7 += 1",
    "def b1(x, y=1):\n    z = 1",
    "async def b2(): pass",
    "class B3:\n    inner = 1\n    def method(self): pass",
    "def b4():\n    global b5, b6\n    b5 = b6 = 1\nb4()",
    "import os.path",
    "import os.path as c1",
    "from json import dumps, loads as c2",
    "if True:\n    d1 = 1\nelse:\n    d1 = 2",
    "try:\n    d2 = 1\nexcept ValueError as error:\n    d2 = 2\nelse:\n    d3 = 1\nfinally:\n    d4 = 1",
    "from contextlib import nullcontext\nwith nullcontext(1) as (e1): e2 = 1",
    "for f1, f2 in [(1, 2)]:\n    f3 = 1\nelse:\n    f4 = 1",
    "while True:\n    g1 = 1\n    break",
    "if (h1 := 1): pass",
    "h2 = [h3 := h4 for h4 in range(2)]",
    "h5 = lambda h6: h6",
    'match [1, 2, {"x": 3}]:\n    case [i1, *i2]: pass',
    'match {"x": 3}:\n    case {"x": int() as i3, **i4}: pass',
    "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    j1 = 1\nelse:\n    j2 = 2",
    "import typing\nif typing.TYPE_CHECKING:\n    import decimal",
    '"""k1 = 1"""\n# k2 = 1',
]


class TestNamesOfAModule:
    def test_are_those_that_python_binds(self, tmp_path):
        for text in [*BINDINGS, "\n".join(BINDINGS)]:
            (tmp_path / "x.py").write_text(text)
            bound = {}
            exec(text, bound)
            names = ModuleNames([]).of_file(tmp_path / "x.py", "a")
            assert names == {name for name in bound if not name.startswith("__")}, text

    @pytest.mark.parametrize(
        "text",
        [
            "def __getattr__(name): return 1",
            'globals()["x"] = 1',
            "def f(): globals().update(x=1)",
            'exec("x = 1")',
            'import sys; setattr(sys.modules[__name__], "x", 1)',
            "from os.path import *",
            "x = (",
            "x = 1\0",
        ],
    )
    def test_may_be_any(self, tmp_path, text):
        file = tmp_path / "x.py"
        file.write_text(text)
        assert ModuleNames([tmp_path]).of_file(file, "a") is None

    def test_star_imports_are_followed_also_in_a_circle(self, tmp_path, stub):
        texts = {
            "nemo/a/__init__.py": "from .x import *\nin_package = 1",
            "nemo/a/x.py": "from nemo.a.y import *\nin_x = 1",
            "nemo/a/y.py": "from .x import *\nfrom . import z\nin_y = 1",
            "nemo/a/b/w.py": "from ..x import *\nfrom .. import *",
        }
        stub.files(tmp_path, texts)
        names = ModuleNames([tmp_path]).of_file(tmp_path / "nemo/a/b/w.py", "nemo.a.b")
        assert {"in_package", "in_x", "in_y", "z"} <= names


class TestWhatIsNeeded:
    @pytest.mark.parametrize(
        "text, missing",
        [
            (f"from {PACKAGE}.masking import Masking, Gone, LIMIT", [(1, "Gone")]),
            ("from .masking import Gone as Here", [(1, "Gone")]),
            ("from ..toy.masking import (\n    helper,\n    Gone,\n)", [(1, "Gone")]),
            (f"def f():\n    from {PACKAGE}.masking import Gone", [(2, "Gone")]),
            (f"def f(x):\n    if x:\n        from {PACKAGE}.masking import Gone", [(3, "Gone")]),
            (f"from {PACKAGE} import masking\n\nx = masking.helper(masking.Gone)", [(3, "Gone")]),
            ("from . import masking as m\nclass X(m.Gone): pass", [(2, "Gone")]),
            ("from . import (\n    other,\n    masking,\n)\nmasking.Gone", [(5, "Gone")]),
            (f"import {PACKAGE}.masking\n{PACKAGE}.masking.Gone", [(2, "Gone")]),
            (f"import {PACKAGE}.masking as m\ndef f():\n    return m.Gone.x", [(3, "Gone")]),
            ("from .masking import Gone\nfrom .masking import Gone", [(1, "Gone")]),
            ("from .masking import Gone, Lost", [(1, "Gone"), (1, "Lost")]),
            ("try:\n    from .masking import Gone\nexcept ValueError:\n    pass", [(2, "Gone")]),
            ("try:\n    pass\nexcept ImportError:\n    pass\nelse:\n    from .masking import Gone", [(6, "Gone")]),
        ],
    )
    def test_a_name_that_is_gone_is_found(self, found, text, missing):
        assert places(found({USER: text})) == missing

    @pytest.mark.parametrize(
        "text",
        [
            "from .masking import Masking, Untouched, helper, LIMIT, collections, __all__, __file__",
            "from .masking import *",
            "from . import masking\nmasking.Masking.anything\nmasking.__name__",
            "from .other import Gone",
            "from somewhere.masking import Gone",
            "import masking\nmasking.Gone",
            "try:\n    from .masking import Gone\nexcept ImportError:\n    from .masking import Lost",
            "try:\n    from .masking import Gone\nexcept (KeyError, Exception):\n    pass",
            "try:\n    from .masking import Gone\nexcept:\n    pass",
            "from . import masking\ntry:\n    masking.Gone\nexcept AttributeError:\n    pass",
            "import contextlib\nwith contextlib.suppress(ImportError):\n    from .masking import Gone",
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from .masking import Gone",
            "import typing\nif typing.TYPE_CHECKING:\n    from .masking import Gone",
            'import nemo\nif nemo.__version__ > "9":\n    from .masking import Gone',
            'from . import masking\nif hasattr(masking, "Gone"):\n    print(masking.Gone)',
            'from . import masking\ndef f():\n    return masking.Gone if hasattr(masking, "Gone") else None',
            "from . import masking\nmasking.Gone = 1\nprint(masking.Gone)",
            "from . import masking\ndef f(masking):\n    return masking.Gone",
            "from . import masking\nmasking = masking.Masking()\nmasking.Gone",
            "from . import masking\nself.masking.Gone",
            "def f():\n    from . import masking\n    masking.helper\ndef masking(): pass\nmasking.Gone",
            "from . import masking\nclass masking:\n    Gone = 1\nmasking.Gone",
            "from . import masking\ntry: pass\nexcept ValueError as masking: masking.Gone",
            "# from .masking import Gone",
            '"""\nfrom .masking import Gone\n"""',
            "from .masking import (Gone",
        ],
    )
    def test_nothing_else_is(self, found, text):
        assert found({USER: text}) == []

    def test_a_package_that_gives_the_modules_name_to_something_else_is_believed(self, found):
        files = {"nemo/collections/toy/__init__.py": "from .masking import helper as masking\n"}
        assert found({**files, USER: "from . import masking\nmasking.Gone"}) == []
        assert places(found({**files, USER: "from .masking import Gone"})) == [(1, "Gone")]

    def test_a_module_that_may_have_any_name_lacks_none(self, found):
        files = {MODULE: "def __getattr__(name): return 1", USER: "from .masking import Gone"}
        assert found(files) == []

    def test_what_our_file_adds_is_there(self, found, stub):
        added = {MODULE: "from . import _masking_base as base\nclass Added: pass\nbase.helper"}
        assert places(found({USER: "from .masking import Added, helper, Gone"}, added)) == [(1, "Gone")]

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

    def test_has_no_module_that_may_have_any_name(self, installed):
        nemo, _, shadowed = installed
        known = ModuleNames([nemo.parent])
        names = [known.of_file(nemo.parent / path, ".".join(path.parent.parts)) for path in shadowed]
        assert len(names) > 5 and None not in names

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
