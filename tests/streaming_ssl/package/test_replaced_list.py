# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""The table of replaced methods says what runs, and is up to date."""

import csv
import importlib.util
import inspect
import sys
import zipfile
from pathlib import Path

import pytest

from nemo_streaming_ssl import TESTED_NEMO, replaced_list
from nemo_streaming_ssl.finder import public_name
from nemo_streaming_ssl.nemo_tree import version_in
from nemo_streaming_ssl.replaced_list import Sources, replaced_in
from nemo_streaming_ssl.replaced_methods import FILE, known_methods

REPOSITORY = Path(__file__).resolve().parents[3]
OVERLAY = REPOSITORY / "nemo"
TOY = "nemo/collections/toy/"

ORIGINALS = {
    f"{TOY}core.py": "class Core:\n    def setup(self): pass\n    def save(self): pass\n    def other(self): pass\n",
    f"{TOY}__init__.py": "from nemo.collections.toy.core import Core\n",
    f"{TOY}masking.py": """
import torch
from nemo.collections.toy import Core

LIMIT = 3


def helper(): pass


def only_for_step(): pass


class Masking(torch.nn.Module, Core):
    name = 'original'

    def forward(self): return self.step() + self.used_by_us() + helper()
    def step(self): return only_for_step() + self._recursive()
    def _recursive(self): return self._recursive()
    def used_by_us(self): pass
    def used_by_the_other(self): pass
    def always(self): pass
    def first(self): pass
    def sometimes(self): return self.in_part()
    def in_part(self): pass
    def after_a_return(self): pass
    def untouched(self): return self.used_by_the_other()


class Kept(Masking):
    def always(self): return super().always()
""",
}
OURS = {
    f"{TOY}mixin.py": """
class Mixin:
    def always(self): return super().always()
    def setup(self): return super().setup()
    def save(self): return 1
    def ours(self): return 1
""",
    f"{TOY}masking.py": """
from nemo.collections.toy import _masking_base as base
from nemo.collections.toy.mixin import Mixin
from nemo.utils.shadowing import inherit_module

inherit_module(base, globals(), replacing=('Masking',))


def helper(): return base.helper()


class Masking(Mixin, base.Masking):
    name = 'patched'

    def forward(self): return self.used_by_us()

    def first(self):
        if self is None:
            raise ValueError
        return [super().first]

    def sometimes(self): return super().sometimes() if self else 1

    def after_a_return(self):
        if self:
            return 1
        return super().after_a_return()


class Kept(base.Kept, Masking):
    pass
""",
}
EXPECTED = {
    "core.py": {"Core.setup": "extended", "Core.save": "replaced"},
    "masking.py": {
        "helper": "extended",
        "Masking.name": "replaced",
        "Masking.forward": "replaced",
        "Masking.step": "unused",
        "only_for_step": "unused",
        "Masking._recursive": "unused",
        "Masking.always": "extended",
        "Masking.first": "extended",
        "Masking.sometimes": "partly",
        "Masking.in_part": "partly",
        "Masking.after_a_return": "partly",
    },
}


@pytest.fixture
def toy(tmp_path, stub):
    """What the table says of a NeMo of three modules, by file and name."""
    nemo, overlay = stub.files(tmp_path / "real", ORIGINALS), stub.files(tmp_path / "overlay", OURS)
    found = replaced_in(nemo / "nemo", overlay / "nemo")
    return {(method.file, method.name): method for method in found}


@pytest.mark.any_release
class TestWhatBecomesOfAMethod:
    def test_is_what_runs(self, toy):
        kinds = {}
        for (file, name), method in toy.items():
            if method.hash:
                kinds.setdefault(file.removeprefix(TOY), {})[name] = method.kind
        assert kinds == EXPECTED

    def test_names_that_only_ours_have_are_there_without_a_hash(self, toy):
        alone = {name: method.kind for (_, name), method in toy.items() if not method.hash}
        # `Kept` comes before our `Masking`: whatever a fork adds there stays
        assert alone == {"Masking.ours": "replaced", "Masking.save": "replaced", "Masking.setup": "extended"}


class TestTheOrderOfClasses:
    def test_is_pythons(self):
        importlib.import_module("nemo.collections.asr.models")
        sources = Sources(Path(importlib.util.find_spec("nemo").origin).parents[1], REPOSITORY)
        classes = classes_on_originals()
        assert len(classes) > 10
        for cls in classes:
            found = sources.order_of(sources.find(cls.__module__, cls.__name__))
            bases = [base for base in inspect.getmro(cls) if base.__module__.startswith("nemo.")]
            assert [base.node.name for base in found] == [base.__name__ for base in bases], cls
            files = [Path(inspect.getfile(base)) for base in bases]
            assert [base.module.is_ours for base in found] == [OVERLAY in file.parents for file in files], cls


def classes_on_originals() -> list:
    """The classes of shadowing modules that have an original among their bases."""
    originals = {public_name(name): name for name in list(sys.modules) if public_name(name)}
    modules = [sys.modules[name] for name in originals if name.startswith("nemo.") and name in sys.modules]
    classes = [cls for module in modules for cls in vars(module).values() if inspect.isclass(cls)]
    # an original that is replaced has the name of its module
    return [cls for cls in classes if any(base.__module__ in originals.values() for base in cls.__mro__[1:])]


class TestTheTable:
    def test_is_that_of_the_installed_release(self):
        nemo = Path(importlib.util.find_spec("nemo").origin).parent
        version = version_in(nemo)
        table = [method for methods in known_methods(version).values() for method in methods]
        assert set(table) == set(replaced_in(nemo, OVERLAY)), "made from other sources: `make replaced` makes it anew"

    @pytest.mark.any_release
    def test_has_every_tested_release_and_says_each_thing_once(self):
        rows = list(csv.DictReader(FILE.open(encoding="utf-8", newline="")))
        said = [(row["file"], row["name"], version) for row in rows for version in row["releases"].split()]
        assert len(set(said)) == len(said) and {version for *_, version in said} == set(TESTED_NEMO)


@pytest.mark.any_release
class TestTheCommand:
    def test_reads_wheels_and_folders(self, tmp_path, stub, monkeypatch):
        overlay = stub.files(tmp_path / "overlay", OURS)
        monkeypatch.setattr(replaced_list, "overlay_root", lambda: str(overlay))
        monkeypatch.setattr(replaced_list, "FILE", tmp_path / "table.csv")
        places = []
        for version in TESTED_NEMO:
            folder = stub.nemo(tmp_path / version, (*map(int, version.split(".")), ""))
            stub.files(folder, ORIGINALS)
            places.append(str(zipped(folder)) if version == TESTED_NEMO[0] else str(folder))
        assert replaced_list.main(places) == 0
        rows = list(csv.DictReader((tmp_path / "table.csv").open()))
        assert len(rows) > 10 and {row["releases"] for row in rows} == {" ".join(TESTED_NEMO)}
        with pytest.raises(SystemExit, match="2.5.3, 2.6.2, 2.7.3, 3.0.0; given: .*3.0.0"):
            replaced_list.main(places[1:])


def zipped(folder: Path) -> Path:
    """A wheel with what is in a folder."""
    wheel = folder.with_suffix(".whl")
    with zipfile.ZipFile(wheel, "w") as archive:
        for file in folder.rglob("*.py"):
            archive.write(file, file.relative_to(folder))
    return wheel
