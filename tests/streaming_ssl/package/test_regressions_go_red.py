# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

import importlib.util
from pathlib import Path
from types import SimpleNamespace

import pytest
from packaging.version import Version

SCRIPT = Path(__file__).resolve().parents[2] / "regressions_go_red.py"


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("regressions_go_red", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def marker(**kwargs):
    return SimpleNamespace(kwargs=kwargs)


STATED = marker(fails_with=IndexError, match="shape of the mask")
NOT_REFUSED = marker(fails_with=pytest.fail.Exception, match="DID NOT RAISE")


class TestVerdict:
    def test_as_stated(self, script):
        assert script.verdict(STATED, IndexError("The shape of the mask [2, 5] does not match")) == ""
        assert script.verdict(NOT_REFUSED, pytest.fail.Exception("DID NOT RAISE ValueError")) == ""
        assert script.verdict(None, None) == ""  # another release, on which NeMo is right

    @pytest.mark.parametrize(
        "stated, error, problem",
        [
            (STATED, None, "green, but states IndexError: shape of the mask"),
            (STATED, IndexError("index 7 is out of bounds"), "another reason than IndexError: shape of the mask"),
            (STATED, RuntimeError("shape of the mask"), "another reason than IndexError"),
            (marker(), IndexError("x"), "does not state how it fails"),
            (None, IndexError("x"), "should be green on this release, but: IndexError: x"),
        ],
    )
    def test_otherwise(self, script, stated, error, problem):
        assert problem in script.verdict(stated, error)

    def test_what_is_absent_proves_nothing_even_if_it_is_stated(self, script):
        for error in (
            ModuleNotFoundError("No module named 'nemo.utils.ours'"),
            AttributeError("'ConformerLayer' object has no attribute 'ours'"),
            NameError("name 'ours' is not defined"),
            TypeError("forward() got an unexpected keyword argument 'current_frame'"),
            TypeError("Input argument current_frame has no corresponding input_type match"),
        ):
            stated = marker(fails_with=type(error), match=".")
            assert "because something of ours is absent" in script.verdict(stated, error)

    def test_a_marker_holds_for_its_releases(self, script):
        old, new = marker(before="3.0.0"), marker(since="3.0.0")
        for release, expected in (("2.5.3", old), ("2.7.3", old), ("3.0.0", new), ("3.1.0rc0", new)):
            assert script.expectation([new, old], Version(release)) is expected
        assert script.expectation([old], Version("3.0.0")) is None  # NeMo has mended it
        assert script.expectation([STATED], Version("3.0.0")) is STATED
