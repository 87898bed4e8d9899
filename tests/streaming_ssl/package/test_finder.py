# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

import importlib
import importlib.resources
import importlib.util
import inspect
import pickle
import pkgutil
import sys
from importlib.machinery import PathFinder
from pathlib import Path

import pytest

from nemo_streaming_ssl import NEWEST_NEMO, OLDEST_NEMO, finder

pytestmark = pytest.mark.any_release

TOY = "nemo.collections.toy"
ORIGINAL_OF_FORK = 'class Masking:\n    name = "the fork\'s"\n'


class LastFinder:
    """Finds `nemo` in one folder, as setuptools' finder for `pip install -e` does."""

    def __init__(self, folder):
        self.folder = str(folder)

    def find_spec(self, fullname, path=None, target=None):
        return PathFinder.find_spec(fullname, [self.folder]) if fullname == "nemo" else None


class AskingFinder:
    """Asks the whole import system again for every module, as wrapt's import hooks do."""

    def __init__(self):
        self.asked = set()

    def find_spec(self, fullname, path=None, target=None):
        if fullname in self.asked:
            return None
        self.asked.add(fullname)
        try:
            return importlib.util.find_spec(fullname)
        finally:
            self.asked.discard(fullname)


def hide_installed_nemo(monkeypatch):
    """No finder of this process knows a `nemo` that is not on `sys.path`; `sys.path` has none either."""
    monkeypatch.setattr(sys, "meta_path", [found for found in sys.meta_path if "ditable" not in repr(found)])
    monkeypatch.setattr(sys, "path", [p for p in sys.path if not Path(p or ".", "nemo").exists()])


class TestOverlayFinder:
    def test_shadowing_and_new_modules_come_from_the_overlay_and_all_others_from_nemo(self, patched):
        real, overlay = patched
        masking, extra, other = (importlib.import_module(f"{TOY}.{name}") for name in ("masking", "extra", "other"))
        assert masking.Masking.name == "patched"
        assert Path(masking.__file__) == overlay / "nemo/collections/toy/masking.py"
        assert (extra.WHERE, other.WHERE) == ("overlay", "NeMo")
        assert Path(sys.modules["nemo"].__file__) == real / "nemo/__init__.py"

    def test_base_is_the_original_with_its_own_file_and_bytecode_cache(self, patched):
        original = patched[0] / "nemo/collections/toy/masking.py"
        base = importlib.import_module(f"{TOY}._masking_base")
        assert base.Masking.name == "original"
        assert Path(base.__file__) == original and base.__package__ == TOY
        assert base.__cached__ == importlib.util.cache_from_source(str(original))
        assert inspect.getsourcefile(base.helper) == str(original)
        assert "return 'original helper'" in inspect.getsource(base.helper)

    def test_names_outside_nemo_are_left_to_others(self, tmp_path, stub):
        found = finder.OverlayFinder(str(stub.overlay(tmp_path)))
        for name in ("numpy", "nemo_toolkit", "nemox.collections", "collections.toy.masking", "_masking_base"):
            assert found.find_spec(name) is None

    def test_a_package_that_nemo_lacks(self, patched):
        folder = patched[1] / "nemo/collections/toy/room"
        stub_files = {
            "__init__.py": "from nemo.collections.toy.room.inner import WHERE\n",
            "inner.py": 'WHERE = "room"\n',
        }
        folder.mkdir()
        for name, text in stub_files.items():
            (folder / name).write_text(text)
        room = importlib.import_module("nemo.collections.toy.room")
        assert room.WHERE == "room" and room.__path__ == [str(folder)]
        assert [module.name for module in pkgutil.iter_modules(room.__path__)] == ["inner"]

    def test_names_in_nemo_that_the_overlay_does_not_have_are_left_to_others(self, patched):
        found = sys.meta_path[0]
        path = importlib.import_module(TOY).__path__
        for name in ("other", "_other_base", "_base", "__base", "absent"):
            assert found.find_spec(f"{TOY}.{name}", path) is None

    def test_path_may_be_none_and_the_parent_not_imported(self, patched, tmp_path, stub):
        # `masking` at the top of sys.path is what PathFinder finds when it is not given a path.
        sys.path.insert(0, str(stub.files(tmp_path / "decoy", {"masking.py": "", "_masking_base.py": ""})))
        real, overlay = patched
        assert Path(sys.meta_path[0].find_spec(f"{TOY}.masking").origin).is_relative_to(overlay)
        spec = sys.meta_path[0].find_spec(f"{TOY}._masking_base", None)
        assert Path(spec.origin) == real / "nemo/collections/toy/masking.py"
        assert "nemo" not in sys.modules

    def test_find_spec_of_the_import_system(self, patched):
        assert Path(importlib.util.find_spec(f"{TOY}.masking").origin).is_relative_to(patched[1])
        assert importlib.util.find_spec(f"{TOY}.absent") is None

    def test_reload_and_pickle_find_the_patched_module(self, patched):
        masking = importlib.reload(importlib.import_module(f"{TOY}.masking"))
        assert masking.Masking.name == "patched"
        for cls in (masking.Masking, masking.Untouched, masking.Untouched.Inner, masking.base.Masking):
            assert pickle.loads(pickle.dumps(cls)) is cls
        assert pickle.loads(pickle.dumps(masking.helper)) is masking.helper

    def test_resources_of_nemo_are_still_found(self, patched):
        (patched[0] / "nemo/collections/toy/data.txt").write_text("data")
        assert importlib.resources.files(TOY).joinpath("data.txt").read_text() == "data"

    def test_a_finder_that_asks_the_import_system_again_does_not_recurse(self, patched):
        sys.meta_path.insert(0, AskingFinder())
        sys.meta_path.insert(2, AskingFinder())
        assert importlib.import_module(f"{TOY}.masking").Masking.name == "patched"


class TestFindingNemo:
    @pytest.mark.parametrize("kind", [finder.OverlayFinder, finder.NemoFinder])
    def test_the_overlay_folder_on_the_path_does_not_hide_a_nemo_known_to_the_last_finder(
        self, tmp_path, no_nemo, monkeypatch, stub, kind
    ):
        real, overlay = stub.nemo(tmp_path / "real"), stub.overlay(tmp_path / "overlay")
        hide_installed_nemo(monkeypatch)
        sys.path.insert(0, str(overlay))
        sys.meta_path.append(LastFinder(real))
        assert importlib.util.find_spec("nemo").origin is None  # the problem: a namespace package
        sys.meta_path.insert(0, kind(str(overlay)))
        assert Path(importlib.import_module("nemo").__file__) == real / "nemo/__init__.py"
        name = importlib.import_module(f"{TOY}.masking").Masking.name
        assert name == ("patched" if kind is finder.OverlayFinder else "original")

    def test_without_nemo_the_error_says_so(self, tmp_path, no_nemo, monkeypatch, stub):
        overlay = stub.overlay(tmp_path)
        hide_installed_nemo(monkeypatch)
        sys.path.insert(0, str(overlay))
        sys.meta_path.insert(0, finder.OverlayFinder(str(overlay)))
        assert getattr(importlib.util.find_spec("nemo"), "origin", None) is None
        with pytest.raises(ModuleNotFoundError, match="NeMo is not installed.*holds only the patches") as caught:
            importlib.import_module(f"{TOY}.masking")
        assert OLDEST_NEMO in str(caught.value)
        with pytest.raises(ModuleNotFoundError, match="NeMo is not installed"):
            exec("from nemo import collections")

    def test_without_nemo_and_away_from_the_overlay_python_decides(self, tmp_path, no_nemo, monkeypatch, stub):
        hide_installed_nemo(monkeypatch)
        sys.meta_path.insert(0, finder.OverlayFinder(str(stub.overlay(tmp_path))))
        assert importlib.util.find_spec("nemo") is None
        with pytest.raises(ModuleNotFoundError, match="No module named 'nemo'"):
            importlib.import_module("nemo.collections")


class TestOriginals:
    @pytest.mark.parametrize("moved", ["gone", "package"])
    def test_a_missing_original_is_named_with_the_versions(self, patched, stub, moved):
        expected = patched[0] / "nemo/collections/toy/masking.py"
        expected.unlink()
        if moved == "package":
            stub.files(patched[0], {"nemo/collections/toy/masking/__init__.py": ""})
        with pytest.raises(ImportError) as caught:
            importlib.import_module(f"{TOY}.masking")
        for part in (str(expected), "NeMo 2.5.3", OLDEST_NEMO, NEWEST_NEMO):
            assert part in str(caught.value)
        assert caught.value.path == str(expected)

    def test_a_base_file_of_the_fork_itself_comes_first(self, patched, stub):
        vendored = {
            "nemo/collections/toy/_masking_base.py": ORIGINAL_OF_FORK,
            "nemo/collections/toy/masking.py": 'raise RuntimeError("the shadowing file is in the overlay")',
        }
        stub.files(patched[0], vendored)
        masking = importlib.import_module(f"{TOY}.masking")
        assert masking.base.Masking.name == "the fork's" and masking.Masking.name == "patched"
        assert Path(masking.base.__file__).name == "_masking_base.py"


class TestInstall:
    def ours(self):
        return [found for found in sys.meta_path if hasattr(found, "is_nemo_overlay")]

    def test_install_twice_leaves_one_finder_in_front(self, no_nemo):
        finder.install()
        sys.meta_path.insert(0, AskingFinder())
        finder.install()
        assert self.ours() == sys.meta_path[:1] and isinstance(sys.meta_path[0], finder.OverlayFinder)

    @pytest.mark.parametrize("value", ["off", "OFF", "0", "false", "No", " off "])
    def test_switched_off_nothing_is_patched(self, no_nemo, monkeypatch, value):
        monkeypatch.setenv(finder.SWITCH, value)
        finder.install()
        assert [type(found) for found in self.ours()] == [finder.NemoFinder]

    @pytest.mark.parametrize("value", ["", "on", "1", "true"])
    def test_other_values_leave_the_patches_on(self, no_nemo, monkeypatch, value):
        monkeypatch.setenv(finder.SWITCH, value)
        finder.install()
        assert isinstance(sys.meta_path[0], finder.OverlayFinder)

    def test_the_root_holds_an_overlay_and_not_nemo(self, monkeypatch, tmp_path, stub):
        module = tmp_path / "nemo_streaming_ssl/finder.py"
        monkeypatch.setattr(finder, "__file__", str(module))
        assert finder.overlay_root() is None
        stub.overlay(tmp_path)
        assert finder.overlay_root() == str(tmp_path)  # a checkout
        (tmp_path / "nemo/__init__.py").touch()
        assert finder.overlay_root() is None  # site-packages with NeMo in it
        stub.overlay(module.parent / "_overlay")
        assert finder.overlay_root() == str(module.parent / "_overlay")  # an ordinary install
        (tmp_path / "nemo/__init__.py").unlink()
        assert finder.overlay_root() == str(module.parent / "_overlay")  # the same, beside what NeMo left behind

    def test_python_starts_without_extra_imports(self, stub):
        code = (
            "import os, sys, importlib.machinery; before = set(sys.modules); import nemo_streaming_ssl.finder as f; "
        )
        code += "f.install(); print(sorted(set(sys.modules) - before), f.OverlayFinder)"
        done = stub.run(sys.executable, ["-S", "-c", code], stub.repository)
        assert done.stdout.startswith("['nemo_streaming_ssl', 'nemo_streaming_ssl.finder']"), done.stderr
