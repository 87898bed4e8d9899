# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""The package is installed and uninstalled for real, with a stub in place of NeMo, and a stub overlay."""

import re
import shutil
import zipfile
from pathlib import Path

import pytest
from builds import ROOT, build, environment_in, pip, put_into

from nemo_streaming_ssl import __version__

pytestmark = pytest.mark.any_release

NAME = "from nemo.collections.toy.masking import Masking; print(Masking.name)"
FORK_SETUP = 'from setuptools import find_packages, setup\nsetup(name="fork", packages=find_packages())\n'
# What `spawn` needs: a module that can be imported, and a fresh interpreter per worker.
SPAWN = """
import multiprocessing
from nemo.collections.toy.masking import Masking

def name(cls):
    return cls.name

if __name__ == '__main__':
    with multiprocessing.get_context('spawn').Pool(1) as pool:
        print(pool.map(name, [Masking, Masking.__bases__[0]]))
"""


def listing(folder: Path) -> list:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


@pytest.fixture(scope="module")
def checkout(tmp_path_factory, stub):
    """A checkout with a stub overlay, and with folders that must not become importable."""
    folder = tmp_path_factory.mktemp("it's a projéct")
    for name in ("setup.py", "pyproject.toml", "MANIFEST.in"):
        shutil.copy(ROOT / name, folder)
    without = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "nemo_streaming_ssl", folder / "nemo_streaming_ssl", ignore=without)
    for name in ("tests/test_it.py", "examples/__init__.py", "examples/run.py"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).touch()
    return stub.overlay(folder)


@pytest.fixture(scope="module")
def wheels(checkout, release, tmp_path_factory):
    """The wheel of the release, with its own overlay, and the editable wheel of the checkout."""
    return {"ordinary": release.wheel, "editable": build(checkout, "editable", tmp_path_factory.mktemp("editable"))}


@pytest.fixture(scope="module", params=["ordinary", "editable"])
def installed(request, wheels, checkout, tmp_path_factory, stub):
    """An environment with the package, in its two ways, a stub NeMo in site-packages, and the stub overlay."""
    environment = environment_in(tmp_path_factory.mktemp(request.param) / "venv")
    stub.nemo(environment.site_packages)
    put_into(environment, wheels[request.param])
    if request.param == "ordinary":
        overlay = environment.site_packages / "nemo_streaming_ssl/_overlay"
        shutil.rmtree(overlay / "nemo")
        stub.overlay(overlay)
    environment.checkout = checkout
    return environment


class TestInstalled:
    def test_patches_are_on_in_every_working_folder(self, installed, stub, tmp_path):
        for cwd in (tmp_path, installed.checkout, installed.site_packages):
            assert stub.run(installed.python, NAME, cwd).stdout == "patched\n"

    def test_switched_off_it_is_plain_nemo(self, installed, stub, tmp_path):
        for cwd in (tmp_path, installed.checkout):
            assert stub.run(installed.python, NAME, cwd, NEMO_STREAMING_SSL="off").stdout == "original\n"
            code = 'import importlib.util; print(importlib.util.find_spec("nemo.collections.toy.extra"))'
            assert stub.run(installed.python, code, cwd, NEMO_STREAMING_SSL="off").stdout == "None\n"

    def test_spawned_workers_are_patched_too(self, installed, stub, tmp_path):
        (tmp_path / "script.py").write_text(SPAWN)
        done = stub.run(installed.python, ["script.py"], tmp_path)
        assert done.stdout == "['patched', 'original']\n", done.stderr

    def test_nothing_is_written_into_nemo(self, installed):
        paths = [p for p in listing(installed.site_packages / "nemo") if "__pycache__" not in p]
        assert "collections/toy/masking.py" in paths and "collections/toy/extra.py" not in paths
        assert "name = 'original'" in (installed.site_packages / "nemo/collections/toy/masking.py").read_text()

    def test_a_plain_start_costs_no_other_imports(self, installed, stub, tmp_path):
        done = stub.run(installed.python, ["-X", "importtime", "-c", "pass"], tmp_path)
        imported = re.findall(r"\| +(nemo\S*)", done.stderr)
        assert imported == ["nemo_streaming_ssl", "nemo_streaming_ssl.finder"]
        # What makes setuptools' own way of an editable install slow.
        assert not re.search(r"\| +(pathlib|re|urllib|importlib\.util)$", done.stderr, re.M)

    def test_the_checkout_is_not_left_on_the_path(self, installed, stub, tmp_path):
        code = 'import sys; from importlib.util import find_spec as find; print(find("examples"), find("tests"))'
        code += '; print(*sys.path, sep="\\n")'
        lines = stub.run(installed.python, code, tmp_path).stdout.splitlines()
        assert lines[0] == "None None" and str(installed.checkout) not in lines

    def test_a_fork_on_pythonpath_is_the_nemo_that_is_patched(self, installed, stub, tmp_path):
        fork = stub.nemo(tmp_path / "fork")
        code = NAME + "; import nemo; print(nemo.__file__)"
        for cwd in (tmp_path, installed.checkout):
            done = stub.run(installed.python, code, cwd, PYTHONPATH=str(fork))
            assert done.stdout.split() == ["patched", str(fork / "nemo/__init__.py")]

    def test_a_vendored_fork_is_left_alone(self, installed, stub, tmp_path):
        fork = stub.nemo(tmp_path / "fork")
        toy = fork / "nemo/collections/toy"
        toy.joinpath("masking.py").rename(toy / "_masking_base.py")
        stub.overlay(fork)
        (toy / "extra.py").write_text('WHERE = "fork"\n')
        code = NAME + "; from nemo.collections.toy.masking import base; print(base.__file__)"
        code += "; from nemo.collections.toy import extra; print(extra.WHERE)"
        for switch in ("on", "off"):
            done = stub.run(installed.python, code, tmp_path, PYTHONPATH=str(fork), NEMO_STREAMING_SSL=switch)
            assert done.stdout.split() == ["patched", str(toy / "_masking_base.py"), "fork"], done.stderr


class TestStatusCommand:
    STATUS = ["-m", "nemo_streaming_ssl", "status"]

    def test_on_and_off(self, installed, stub, tmp_path):
        for env, first in (({}, "on"), ({"NEMO_STREAMING_SSL": "off"}, "off (NEMO_STREAMING_SSL=off)")):
            done = stub.run(installed.python, self.STATUS, tmp_path, **env)
            assert done.returncode == 0, done.stdout + done.stderr
            assert done.stdout.startswith(f"patches   {first}\n")
            assert f"NeMo      {installed.site_packages}/nemo\n" in done.stdout
            assert re.findall(r"^(?:shadowed|new) +\d", done.stdout, re.M) == ["shadowed  1", "new       2"]

    def test_as_a_module_from_the_checkout(self, installed, stub):
        done = stub.run(installed.python, self.STATUS, installed.checkout)
        assert done.returncode == 0 and done.stdout.startswith("patches   on\n")

    def test_unsupported_version_and_missing_original(self, installed, stub, tmp_path):
        fork = stub.nemo(tmp_path / "fork", version=(1, 23, 0, ""))
        (fork / "nemo/collections/toy/masking.py").unlink()
        done = stub.run(installed.python, self.STATUS, tmp_path, PYTHONPATH=str(fork))
        assert done.returncode == 1
        assert "1.23.0, NOT supported" in done.stdout and "\nmissing   " in done.stdout
        done = stub.run(installed.python, NAME, tmp_path, PYTHONPATH=str(fork))
        assert f"{fork}/nemo/collections/toy/masking.py, which NeMo 1.23.0 does not have" in done.stderr


class TestPip:
    @pytest.mark.representative("editable")
    @pytest.mark.parametrize("kind", ["ordinary", "editable"])
    def test_installs_a_command_that_runs_and_uninstalling_leaves_nothing(self, wheels, kind, stub, tmp_path):
        environment = environment_in(tmp_path / "venv")
        stub.nemo(environment.site_packages)
        # a module of both overlays that NeMo does not have
        patched = 'import nemo.utils; from nemo.utils import shadowing; print("patched")'
        stub.run(environment.python, patched, tmp_path)  # NeMo's bytecode caches
        before = listing(environment.folder)
        pip(environment, "install", "--no-deps", "--no-index", "--no-compile", wheels[kind])
        command = environment.folder / "bin/nemo-streaming-ssl"
        assert stub.run(environment.python, [command, "--version"], tmp_path).stdout == f"{__version__}\n"
        assert stub.run(environment.python, patched, tmp_path).stdout == "patched\n"
        pip(environment, "uninstall", "--yes", "nemo-streaming-ssl")
        assert listing(environment.folder) == before
        assert "ImportError" in stub.run(environment.python, patched, tmp_path).stderr


class TestEditable:
    def test_a_fork_installed_editable_is_found_in_every_working_folder(self, wheels, checkout, stub, tmp_path):
        environment, fork = environment_in(tmp_path / "venv"), stub.nemo(tmp_path / "fork")
        (fork / "setup.py").write_text(FORK_SETUP)
        put_into(environment, build(fork, "editable", tmp_path / "wheel"))
        put_into(environment, wheels["editable"])
        last = "import sys; print(sys.meta_path[-1])"
        assert "EditableFinder" in stub.run(environment.python, last, tmp_path).stdout  # the case that matters
        code = NAME + "; import nemo; print(nemo.__file__)"
        for cwd in (checkout, tmp_path):
            for switch, name in (("on", "patched"), ("off", "original")):
                done = stub.run(environment.python, code, cwd, NEMO_STREAMING_SSL=switch)
                assert done.stdout.split() == [name, str(fork / "nemo/__init__.py")], done.stderr

    @pytest.fixture
    def without_nemo(self, wheels, tmp_path):
        """An environment with the checkout and no NeMo."""
        environment = environment_in(tmp_path / "venv")
        put_into(environment, wheels["editable"])
        return environment

    def test_without_nemo_the_error_says_so(self, without_nemo, checkout, stub):
        done = stub.run(without_nemo.python, ["-m", "nemo_streaming_ssl", "status"], checkout)
        assert done.returncode == 1 and "NeMo      not found" in done.stdout
        assert "ModuleNotFoundError: " in (error := stub.run(without_nemo.python, NAME, checkout).stderr)
        assert "NeMo is not installed" in error

    def test_a_checkout_that_is_gone_costs_nothing(self, without_nemo, checkout, stub, tmp_path):
        checkout.rename(tmp_path / "gone")
        try:
            done = stub.run(without_nemo.python, 'print("started")', tmp_path)
        finally:
            (tmp_path / "gone").rename(checkout)
        assert (done.stdout, done.stderr) == ("started\n", "")

    @pytest.mark.parametrize("error, said", [("SyntaxError()", True), ("PermissionError()", False)])
    def test_a_broken_one_costs_one_line_and_an_unreadable_one_none(
        self, without_nemo, checkout, stub, tmp_path, error, said
    ):
        finder = checkout / "nemo_streaming_ssl/finder.py"
        text = finder.read_text()
        finder.write_text(f"raise {error}")
        try:
            done = stub.run(without_nemo.python, 'print("started")', tmp_path)
        finally:
            finder.write_text(text)
        assert done.stdout == "started\n" and "Traceback" not in done.stderr
        # A set: in a virtual environment Python reads every .pth file twice.
        assert set(done.stderr.splitlines()) == ({f"nemo_streaming_ssl is not in effect: {error}"} if said else set())

    def test_the_wheel_holds_the_pth_file_alone_and_its_record_is_complete(self, wheels):
        with zipfile.ZipFile(wheels["editable"]) as wheel:
            names = wheel.namelist()
            record = next(name for name in names if name.endswith("RECORD"))
            listed = [line.split(",")[0] for line in wheel.read(record).decode().splitlines()]
        assert [name for name in names if ".dist-info/" not in name] == ["nemo_streaming_ssl.pth"]
        assert sorted(listed) == sorted(names)
