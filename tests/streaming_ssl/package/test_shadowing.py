# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

import importlib
import inspect
import pickle

import pytest

from nemo_streaming_ssl import NEWEST_NEMO, OLDEST_NEMO

TOY = "nemo.collections.toy"


class TestInheritModule:
    def test_untouched_classes_and_functions_keep_nemos_import_path(self, patched):
        masking = importlib.import_module(f"{TOY}.masking")
        for value in (masking.Masking, masking.Untouched, masking.Untouched.Inner, masking.helper):
            assert value.__module__ == f"{TOY}.masking"

    def test_a_replaced_class_keeps_the_base_name_and_differs_in_repr(self, patched):
        masking = importlib.import_module(f"{TOY}.masking")
        assert repr(masking.base.Masking) == f"<class '{TOY}._masking_base.Masking'>"
        assert repr(masking.Masking) == f"<class '{TOY}.masking.Masking'>"

    def test_all_globals_are_taken_over_but_module_dunders(self, patched):
        masking = importlib.import_module(f"{TOY}.masking")
        assert masking.LIMIT == 3 and masking.__all__ == ["Masking", "Untouched"]
        assert masking.__name__ == f"{TOY}.masking" and masking.__file__ != masking.base.__file__

    def test_what_the_namespace_defines_stays_and_what_it_replaces_is_not_copied(self, patched):
        base = importlib.import_module(f"{TOY}._masking_base")
        namespace = {"__name__": "public", "LIMIT": 4, "__all__": []}
        importlib.import_module("nemo.utils.shadowing").inherit_module(base, namespace, replacing=("Masking",))
        assert namespace["LIMIT"] == 4 and namespace["__all__"] == []
        assert "Masking" not in namespace and base.Masking.__module__ == base.__name__

    def test_what_the_base_only_imported_is_not_renamed(self, patched):
        toy = patched[0] / "nemo/collections/toy"
        (toy / "other.py").write_text("class Other:\n    pass\n")
        original = toy / "masking.py"
        original.write_text(original.read_text() + "\nfrom nemo.collections.toy.other import Other\n")
        masking = importlib.import_module(f"{TOY}.masking")
        assert masking.Other.__module__ == f"{TOY}.other"

    def test_a_missing_symbol_is_named_with_the_file_and_the_versions(self, patched):
        base = importlib.import_module(f"{TOY}._masking_base")
        inherit_module = importlib.import_module("nemo.utils.shadowing").inherit_module
        with pytest.raises(ImportError) as caught:
            inherit_module(base, {"__name__": "public"}, replacing=("Masking", "Absent"))
        for part in ("Absent", base.__file__, OLDEST_NEMO, NEWEST_NEMO):
            assert part in str(caught.value)
        assert "Masking," not in str(caught.value)

    def test_private_names_are_taken_over_and_objects_are_left_as_they_are(self, patched):
        original = patched[0] / "nemo/collections/toy/masking.py"
        original.write_text(original.read_text() + "\n_limit = 5\nDEFAULT = Masking()\n")
        masking = importlib.import_module(f"{TOY}.masking")
        assert masking._limit == 5
        assert "__module__" not in vars(masking.DEFAULT) and type(masking.DEFAULT) is masking.base.Masking

    def test_a_subclass_in_the_base_goes_on_using_the_original(self, patched):
        original = patched[0] / "nemo/collections/toy/masking.py"
        original.write_text(original.read_text() + "\nclass Strict(Masking):\n    pass\n")
        masking = importlib.import_module(f"{TOY}.masking")
        assert masking.Strict.name == "original" and masking.Strict.__module__ == f"{TOY}.masking"
        assert not issubclass(masking.Strict, masking.Masking)


WITH_DECORATORS = """
import functools


def decorated(function):
    @functools.wraps(function)
    def call(*args):
        return function(*args)
    return call


class Passed:
    where = 'NeMo'

    @property
    @functools.lru_cache
    def size(self):
        return 1

    @decorated
    def forward(self):
        return 2


@decorated
def passed():
    return 'NeMo'
"""
OURS = """


class Ours(base.Passed):
    where = 'overlay'

    @base.decorated
    def forward(self):
        return 3


class Later(Ours):
    pass
"""


class TestSource:
    @pytest.fixture
    def masking(self, patched):
        for folder, text in zip(patched, (WITH_DECORATORS, OURS)):
            file = folder / "nemo/collections/toy/masking.py"
            file.write_text(file.read_text() + text)
        return importlib.import_module(f"{TOY}.masking")

    @pytest.mark.parametrize(
        "name, line, overlay",
        [
            ("Untouched", "class Untouched:", False),
            ("Untouched.Inner", "    class Inner:", False),
            ("Passed", "        return 2", False),
            ("Passed.forward", "        return 2", False),
            ("passed", "    return 'NeMo'", False),
            ("helper", "    return 'original helper'", False),
            ("base.Masking", "    name = 'original'", False),
            ("Masking", "    name = 'patched'", True),
            ("Ours", "        return 3", True),
            ("Ours.forward", "        return 3", True),
            ("Later", "class Later(Ours):", True),
        ],
    )
    def test_it_is_where_the_class_or_function_is_written(self, masking, name, line, overlay):
        value = masking
        for part in name.split("."):
            value = getattr(value, part)
        value = inspect.unwrap(value)
        lines, first = inspect.getsourcelines(value)
        assert line in "".join(lines).splitlines()
        assert inspect.getsourcefile(value) == (masking if overlay else masking.base).__file__
        assert open(inspect.getfile(value)).readlines()[first - 1] == lines[0]

    def test_pickles_and_public_names_stay(self, masking):
        for cls in (masking.Passed, masking.Untouched.Inner, masking.Ours):
            assert cls.__module__ == f"{TOY}.masking" and pickle.loads(pickle.dumps(cls)) is cls

    def test_a_class_of_the_same_name_somewhere_else_is_not_mistaken(self, masking):
        class Passed:
            mine = True

        Passed.__module__, Passed.__qualname__ = masking.Passed.__module__, "Passed"
        assert inspect.getfile(Passed) == masking.__file__

    def test_modules_and_what_has_no_source_are_left_to_python(self, masking):
        assert inspect.getfile(masking) == masking.__file__
        for value in (int, 3):
            with pytest.raises(TypeError):
                inspect.getfile(value)
