# Copyright (c) 2026, the streaming-ssl authors.
#
# Licensed under the Apache License, Version 2.0 (the "License");
# you may not use this file except in compliance with the License.
# You may obtain a copy of the License at
#
#     http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS,
# WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
# See the License for the specific language governing permissions and
# limitations under the License.

"""The package is built, installed and uninstalled for real, with a stub in place of NeMo."""

import re
import shutil
import subprocess
import sys
import venv
import zipfile
from pathlib import Path
from types import SimpleNamespace

import packaging
import pytest

pytestmark = pytest.mark.any_release

BUILD = 'import sys, setuptools.build_meta as b; print(getattr(b, "build_" + sys.argv[1])(sys.argv[2]))'
NAME = 'from nemo.collections.toy.masking import Masking; print(Masking.name)'
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


def build(project: Path, kind: str, out: Path) -> Path:
    """Builds an 'sdist', a 'wheel' or an 'editable' of a project folder, as pip does."""
    out.mkdir(parents=True, exist_ok=True)
    done = subprocess.run([sys.executable, '-c', BUILD, kind, str(out)], cwd=project, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return out / done.stdout.splitlines()[-1]


def pip(environment, *args):
    command = [sys.executable, '-m', 'pip', '--disable-pip-version-check', '--python', str(environment.python), *args]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def pip_install(environment, wheel):
    pip(environment, 'install', '--no-deps', '--no-index', wheel)


def environment_in(folder: Path):
    """A virtual environment with nothing but what every NeMo brings and we use."""
    venv.create(folder, with_pip=False, symlinks=True)
    site_packages = next(folder.glob('lib/python*/site-packages'))
    shutil.copytree(Path(packaging.__file__).parent, site_packages / 'packaging')
    return SimpleNamespace(folder=folder, python=folder / 'bin/python', site_packages=site_packages)


def listing(folder: Path) -> list:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob('*'))


@pytest.fixture(scope='module')
def project(tmp_path_factory, stub):
    """A copy of what the build needs, with a stub overlay, and with folders that must not be shipped."""
    folder = tmp_path_factory.mktemp("it's a projéct")
    for name in ('setup.py', 'pyproject.toml', 'MANIFEST.in'):
        shutil.copy(stub.repository / name, folder)
    shutil.copytree(
        stub.repository / 'nemo_streaming_ssl',
        folder / 'nemo_streaming_ssl',
        ignore=shutil.ignore_patterns('__pycache__'),
    )
    for name in ('tests/test_it.py', 'examples/__init__.py', 'examples/run.py'):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).touch()
    return stub.overlay(folder)


@pytest.fixture(scope='module')
def wheels(project, tmp_path_factory):
    """The ordinary wheel (by way of the sdist) and the editable wheel."""
    out = tmp_path_factory.mktemp('wheels')
    sdist = build(project, 'sdist', out)
    shutil.unpack_archive(sdist, out / 'unpacked')
    ordinary = build(next((out / 'unpacked').iterdir()), 'wheel', out / 'ordinary')
    return {'ordinary': ordinary, 'editable': build(project, 'editable', out / 'editable')}


@pytest.fixture(scope='module', params=['ordinary', 'editable'])
def installed(request, wheels, project, tmp_path_factory, stub):
    """An environment with the package, in its two ways, and a stub NeMo in site-packages."""
    environment = environment_in(tmp_path_factory.mktemp(request.param) / 'venv')
    stub.nemo(environment.site_packages)
    pip_install(environment, wheels[request.param])
    environment.kind, environment.project = request.param, project
    return environment


@pytest.mark.unit
def test_the_wheel_has_every_module_of_the_package(wheels, project):
    with zipfile.ZipFile(wheels['ordinary']) as wheel:
        there = set(wheel.namelist())
    modules = {path.relative_to(project).as_posix() for path in (project / 'nemo_streaming_ssl').rglob('*.py')}
    assert len(modules) > 20 and modules <= there


@pytest.mark.unit
class TestInstalled:
    def test_patches_are_on_in_every_working_folder(self, installed, stub, tmp_path):
        for cwd in (tmp_path, installed.project, installed.site_packages):
            assert stub.run(installed.python, NAME, cwd).stdout == 'patched\n'

    def test_switched_off_it_is_plain_nemo(self, installed, stub, tmp_path):
        for cwd in (tmp_path, installed.project):
            assert stub.run(installed.python, NAME, cwd, NEMO_STREAMING_SSL='off').stdout == 'original\n'
            code = 'import importlib.util; print(importlib.util.find_spec("nemo.collections.toy.extra"))'
            assert stub.run(installed.python, code, cwd, NEMO_STREAMING_SSL='off').stdout == 'None\n'

    def test_spawned_workers_are_patched_too(self, installed, stub, tmp_path):
        (tmp_path / 'script.py').write_text(SPAWN)
        done = stub.run(installed.python, ['script.py'], tmp_path)
        assert done.stdout == "['patched', 'original']\n", done.stderr

    def test_nothing_is_written_into_nemo(self, installed):
        paths = [p for p in listing(installed.site_packages / 'nemo') if '__pycache__' not in p]
        assert 'collections/toy/masking.py' in paths and 'collections/toy/extra.py' not in paths
        assert "name = 'original'" in (installed.site_packages / 'nemo/collections/toy/masking.py').read_text()

    def test_a_plain_start_costs_no_other_imports(self, installed, stub, tmp_path):
        done = stub.run(installed.python, ['-X', 'importtime', '-c', 'pass'], tmp_path)
        imported = re.findall(r'\| +(nemo\S*)', done.stderr)
        assert imported == ['nemo_streaming_ssl', 'nemo_streaming_ssl.finder']
        # What makes setuptools' own way of an editable install slow.
        assert not re.search(r'\| +(pathlib|re|urllib|importlib\.util)$', done.stderr, re.M)

    def test_the_checkout_is_not_left_on_the_path(self, installed, stub, tmp_path):
        code = 'import sys; from importlib.util import find_spec as find; print(find("examples"), find("tests"))'
        code += '; print(*sys.path, sep="\\n")'
        lines = stub.run(installed.python, code, tmp_path).stdout.splitlines()
        assert lines[0] == 'None None' and str(installed.project) not in lines

    def test_a_fork_on_pythonpath_is_the_nemo_that_is_patched(self, installed, stub, tmp_path):
        fork = stub.nemo(tmp_path / 'fork')
        code = NAME + '; import nemo; print(nemo.__file__)'
        for cwd in (tmp_path, installed.project):
            done = stub.run(installed.python, code, cwd, PYTHONPATH=str(fork))
            assert done.stdout.split() == ['patched', str(fork / 'nemo/__init__.py')]

    def test_a_vendored_fork_is_left_alone(self, installed, stub, tmp_path):
        fork = stub.nemo(tmp_path / 'fork')
        toy = fork / 'nemo/collections/toy'
        toy.joinpath('masking.py').rename(toy / '_masking_base.py')
        stub.overlay(fork)
        (toy / 'extra.py').write_text('WHERE = "fork"\n')
        code = NAME + '; from nemo.collections.toy.masking import base; print(base.__file__)'
        code += '; from nemo.collections.toy import extra; print(extra.WHERE)'
        for switch in ('on', 'off'):
            done = stub.run(installed.python, code, tmp_path, PYTHONPATH=str(fork), NEMO_STREAMING_SSL=switch)
            assert done.stdout.split() == ['patched', str(toy / '_masking_base.py'), 'fork'], done.stderr


@pytest.mark.unit
class TestStatusCommand:
    def test_on_and_off(self, installed, stub, tmp_path):
        script = installed.folder / 'bin/nemo-streaming-ssl'
        for env, first in (({}, 'on'), ({'NEMO_STREAMING_SSL': 'off'}, 'off (NEMO_STREAMING_SSL=off)')):
            done = stub.run(installed.python, [script, 'status'], tmp_path, **env)
            assert done.returncode == 0, done.stdout + done.stderr
            assert done.stdout.startswith(f'patches   {first}\n')
            assert f'NeMo      {installed.site_packages}/nemo\n' in done.stdout
            assert re.findall(r'^(?:shadowed|new) +\d', done.stdout, re.M) == ['shadowed  1', 'new       2']

    def test_as_a_module_from_the_checkout(self, installed, stub):
        done = stub.run(installed.python, ['-m', 'nemo_streaming_ssl', 'status'], installed.project)
        assert done.returncode == 0 and done.stdout.startswith('patches   on\n')

    def test_unsupported_version_and_missing_original(self, installed, stub, tmp_path):
        fork = stub.nemo(tmp_path / 'fork', version=(1, 23, 0, ''))
        (fork / 'nemo/collections/toy/masking.py').unlink()
        args = [installed.folder / 'bin/nemo-streaming-ssl', 'status']
        done = stub.run(installed.python, args, tmp_path, PYTHONPATH=str(fork))
        assert done.returncode == 1
        assert '1.23.0, NOT supported' in done.stdout and '\nmissing   ' in done.stdout
        done = stub.run(installed.python, NAME, tmp_path, PYTHONPATH=str(fork))
        assert f'{fork}/nemo/collections/toy/masking.py, which NeMo 1.23.0 does not have' in done.stderr


@pytest.mark.unit
class TestFreshEnvironments:
    @pytest.mark.parametrize('kind', ['ordinary', 'editable'])
    def test_uninstalling_leaves_nothing(self, wheels, kind, stub, tmp_path):
        environment = environment_in(tmp_path / 'venv')
        stub.nemo(environment.site_packages)
        run_nemo = 'import nemo.collections.toy.masking'
        stub.run(environment.python, run_nemo, tmp_path)  # NeMo's bytecode caches
        before = listing(environment.folder)
        pip_install(environment, wheels[kind])
        assert stub.run(environment.python, NAME, tmp_path).stdout == 'patched\n'
        stub.run(environment.python, ['-m', 'nemo_streaming_ssl', 'status'], tmp_path)
        assert listing(environment.folder) != before
        pip(environment, 'uninstall', '--yes', 'nemo-streaming-ssl')
        assert listing(environment.folder) == before
        assert stub.run(environment.python, NAME, tmp_path).stdout == 'original\n'

    def test_a_fork_installed_editable_is_found_in_every_working_folder(self, wheels, project, stub, tmp_path):
        environment, fork = environment_in(tmp_path / 'venv'), stub.nemo(tmp_path / 'fork')
        (fork / 'setup.py').write_text(FORK_SETUP)
        pip_install(environment, build(fork, 'editable', tmp_path / 'wheel'))
        pip_install(environment, wheels['editable'])
        last = 'import sys; print(sys.meta_path[-1])'
        assert 'EditableFinder' in stub.run(environment.python, last, tmp_path).stdout  # the case that matters
        code = NAME + '; import nemo; print(nemo.__file__)'
        for cwd in (project, tmp_path):
            for switch, name in (('on', 'patched'), ('off', 'original')):
                done = stub.run(environment.python, code, cwd, NEMO_STREAMING_SSL=switch)
                assert done.stdout.split() == [name, str(fork / 'nemo/__init__.py')], done.stderr

    def test_without_nemo_and_with_the_checkout_gone(self, project, stub, tmp_path):
        checkout, environment = tmp_path / 'checkout', environment_in(tmp_path / 'venv')
        shutil.copytree(project, checkout)
        pip_install(environment, build(checkout, 'editable', tmp_path / 'wheel'))
        done = stub.run(environment.python, ['-m', 'nemo_streaming_ssl', 'status'], checkout)
        assert done.returncode == 1 and 'NeMo      not found' in done.stdout
        assert 'ModuleNotFoundError: ' in (error := stub.run(environment.python, NAME, checkout).stderr)
        assert 'NeMo is not installed' in error
        shutil.rmtree(checkout)
        done = stub.run(environment.python, 'print("started")', tmp_path)
        assert (done.stdout, done.stderr) == ('started\n', '')

    @pytest.mark.parametrize('error, said', [('SyntaxError()', True), ('PermissionError()', False)])
    def test_a_broken_checkout_costs_one_line_and_an_unreadable_one_none(self, project, stub, tmp_path, error, said):
        checkout, environment = tmp_path / 'checkout', environment_in(tmp_path / 'venv')
        shutil.copytree(project, checkout)
        pip_install(environment, build(checkout, 'editable', tmp_path / 'wheel'))
        (checkout / 'nemo_streaming_ssl/finder.py').write_text(f'raise {error}')
        done = stub.run(environment.python, 'print("started")', tmp_path)
        assert done.stdout == 'started\n' and 'Traceback' not in done.stderr
        # A set: in a virtual environment Python reads every .pth file twice.
        assert set(done.stderr.splitlines()) == ({f'nemo_streaming_ssl is not in effect: {error}'} if said else set())


@pytest.mark.unit
class TestWheels:
    def test_the_ordinary_wheel_holds_the_package_the_overlay_and_the_pth_file(self, wheels):
        with zipfile.ZipFile(wheels['ordinary']) as wheel:
            names = [name for name in wheel.namelist() if '.dist-info/' not in name]
        assert {name.split('/')[0] for name in names} == {'nemo_streaming_ssl', 'nemo_streaming_ssl.pth'}
        overlay = [name.split('/', 2)[2] for name in names if '/_overlay/' in name]
        toy = 'nemo/collections/toy/'
        modules = [toy + 'extra.py', toy + 'masking.py', 'nemo/utils/shadowing.py']
        # what `vendor` writes into a fork, beside the overlay; nothing of it can be imported
        assert sorted(overlay) == ['commit.txt', 'examples/__init__.py', 'examples/run.py', *modules]

    def test_the_editable_wheel_holds_the_pth_file_alone_and_its_record_is_complete(self, wheels):
        with zipfile.ZipFile(wheels['editable']) as wheel:
            names = wheel.namelist()
            record = next(name for name in names if name.endswith('RECORD'))
            listed = [line.split(',')[0] for line in wheel.read(record).decode().splitlines()]
        assert [name for name in names if '.dist-info/' not in name] == ['nemo_streaming_ssl.pth']
        assert sorted(listed) == sorted(names)

    def test_a_file_that_left_the_overlay_is_not_in_the_next_wheel(self, project, tmp_path):
        copy = tmp_path / 'copy'
        shutil.copytree(project, copy)
        build(copy, 'wheel', tmp_path / 'first')
        (copy / 'nemo/collections/toy/extra.py').unlink()
        assert (copy / 'build').is_dir()  # the left-over that the build has to distrust
        with zipfile.ZipFile(build(copy, 'wheel', tmp_path / 'second')) as wheel:
            assert not any('extra.py' in name for name in wheel.namelist())
