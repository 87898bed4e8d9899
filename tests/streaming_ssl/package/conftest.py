# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""A stub of NeMo and of an overlay, so that these tests take milliseconds and need no NeMo."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
sys.path += map(str, (HERE, HERE / "export"))

import builds  # noqa: E402
from children import Children  # noqa: E402
from vendoring_stub import write_files  # noqa: E402

from nemo_streaming_ssl import finder  # noqa: E402

REPOSITORY = Path(__file__).resolve().parents[3]
SHADOWING_MODULE = REPOSITORY / "nemo/utils/shadowing.py"

PACKAGE_INFO = """
MAJOR = {0}
MINOR = {1}
PATCH = {2}
PRE_RELEASE = '{3}'

VERSION = (MAJOR, MINOR, PATCH, PRE_RELEASE)
__version__ = '.'.join(map(str, VERSION[:3])) + PRE_RELEASE
"""

ORIGINAL = """
import collections

__all__ = ['Masking', 'Untouched']
LIMIT = 3


class Masking:
    name = 'original'


class Untouched:
    class Inner:
        pass


def helper():
    return 'original helper'
"""

SHADOWING = """
from nemo.collections.toy import _masking_base as base
from nemo.utils.shadowing import inherit_module

inherit_module(base, globals(), replacing=('Masking',))


class Masking(base.Masking):
    name = 'patched'
"""


def write_nemo(folder: Path, version=(2, 5, 3, "")) -> Path:
    """A NeMo of five modules, in `folder/nemo`."""
    return write_files(
        folder,
        {
            "nemo/__init__.py": "from nemo.package_info import __version__\n",
            "nemo/package_info.py": PACKAGE_INFO.format(*version),
            "nemo/utils/__init__.py": "",
            "nemo/collections/__init__.py": "",
            "nemo/collections/toy/__init__.py": "",
            "nemo/collections/toy/masking.py": ORIGINAL,
            "nemo/collections/toy/other.py": 'WHERE = "NeMo"\n',
        },
    )


def write_overlay(folder: Path) -> Path:
    """An overlay of one shadowing file and two new ones, in `folder/nemo`."""
    write_files(
        folder, {"nemo/collections/toy/masking.py": SHADOWING, "nemo/collections/toy/extra.py": 'WHERE = "overlay"\n'}
    )
    (folder / "nemo/utils").mkdir(exist_ok=True)
    shutil.copy(SHADOWING_MODULE, folder / "nemo/utils")
    return folder


def run_python(python, code_or_args, cwd, **env):
    """Runs Python code, or Python with a list of arguments, and returns the finished process."""
    args = ["-c", code_or_args] if isinstance(code_or_args, str) else code_or_args
    clean = {key: value for key, value in os.environ.items() if key not in (finder.SWITCH, "PYTHONPATH")}
    return subprocess.run(
        [str(python), *map(str, args)], cwd=cwd, env={**clean, **env}, capture_output=True, text=True, timeout=120
    )


@pytest.fixture(scope="session")
def stub():
    """The functions above, for tests and for fixtures of any scope."""

    class Stub:
        repository = REPOSITORY
        files = staticmethod(write_files)
        nemo = staticmethod(write_nemo)
        overlay = staticmethod(write_overlay)
        run = staticmethod(run_python)

    return Stub


@pytest.fixture(scope="session")
def release(made_once):
    """sdist and wheel of this repository, built once in a run."""
    return builds.read_release(made_once("release", builds.write_release))


@pytest.fixture(scope="session")
def plain_children(run_folder):
    """Starts processes that have plain NeMo, see `children`."""
    return Children(*run_folder, name="fork-server-of-plain-nemo", **{finder.SWITCH: "off"})


@pytest.fixture
def no_nemo(monkeypatch):
    """Takes every `nemo` module and finder of ours out of this process, and brings them back afterwards."""

    def taken():
        return [name for name in sys.modules if name.partition(".")[0] == "nemo"]

    before = {name: sys.modules.pop(name) for name in taken()}
    monkeypatch.setattr(sys, "meta_path", [f for f in sys.meta_path if not hasattr(f, "is_nemo_overlay")])
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delenv(finder.SWITCH, raising=False)
    yield
    for name in taken():
        del sys.modules[name]
    sys.modules.update(before)


@pytest.fixture
def patched(tmp_path, no_nemo):
    """(folder of a stub NeMo, folder of a stub overlay), both in effect in this process."""
    real, overlay = write_nemo(tmp_path / "real"), write_overlay(tmp_path / "overlay")
    sys.path.insert(0, str(real))
    sys.meta_path.insert(0, finder.OverlayFinder(str(overlay)))
    return real, overlay
