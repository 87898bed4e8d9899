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

import sys
import time

import pytest

from nemo_streaming_ssl import cli, finder

VALUES = 'VERSION = (2, 5)\n__version__ = ".".join(["2", "5"])\n'


@pytest.fixture
def status(tmp_path, monkeypatch, no_nemo, stub):
    """Puts a stub overlay and, unless `version` is None, a stub NeMo in effect; returns the exit code of `status`."""

    def run(version=(2, 5, 3, ''), remove=()):
        overlay = stub.overlay(tmp_path / 'overlay')
        monkeypatch.setattr(sys, 'path', [])
        if version:
            sys.path.append(str(stub.nemo(tmp_path / 'real', version)))
        for name in remove:
            (tmp_path / 'real/nemo' / name).unlink()
        sys.meta_path[:] = [found for found in sys.meta_path if 'ditable' not in repr(found)]
        monkeypatch.setattr(finder, 'overlay_root', lambda: str(overlay))
        finder.install()
        return cli.main(['status'])

    return run


def rows(capsys) -> list:
    return [line.split(None, 1) for line in capsys.readouterr().out.splitlines() if not line.startswith(' ')]


@pytest.mark.unit
class TestStatus:
    def test_report_when_all_is_well(self, status, capsys, tmp_path):
        assert status() == 0
        out = capsys.readouterr().out
        assert out.splitlines() == [
            'patches   on',
            f'overlay   {tmp_path}/overlay/nemo',
            f'NeMo      {tmp_path}/real/nemo',
            'version   2.5.3, supported (2.5.3 to 3.0.0)',
            'shadowed  1 file',
            '          nemo/collections/toy/masking.py',
            'new       2 files',
            '          nemo/collections/toy/extra.py',
            '          nemo/utils/shadowing.py',
        ]

    def test_switched_off_is_no_error_and_says_why(self, status, capsys, monkeypatch):
        monkeypatch.setenv(finder.SWITCH, 'Off')
        assert status() == 0
        assert ['patches', 'off (NEMO_STREAMING_SSL=Off)'] in rows(capsys)

    def test_not_installed_says_how_to_install(self, status, capsys, monkeypatch):
        monkeypatch.setattr(finder, 'install', lambda: None)
        assert status() == 0
        assert rows(capsys)[0] == ['patches', 'off (not installed in this Python: pip install -e .)']

    def test_nemo_missing(self, status, capsys):
        assert status(version=None) == 1
        assert ['NeMo', "not found: pip install 'nemo_toolkit[asr]'"] in rows(capsys)

    def test_overlay_missing(self, no_nemo, monkeypatch, capsys, tmp_path, stub):
        monkeypatch.setattr(sys, 'path', [str(stub.nemo(tmp_path))])
        monkeypatch.setattr(finder, 'overlay_root', lambda: None)
        assert cli.main(['status']) == 1
        out = rows(capsys)
        assert ['overlay', 'not found'] in out and ['version', '2.5.3, supported (2.5.3 to 3.0.0)'] in out

    @pytest.mark.parametrize('version', [(2, 5, 2, ''), (3, 0, 1, ''), (3, 1, 0, 'rc0')])
    def test_unsupported_version(self, status, capsys, version):
        assert status(version) == 1
        name = '{}.{}.{}{}'.format(*version)
        assert ['version', f'{name}, NOT supported (2.5.3 to 3.0.0)'] in rows(capsys)

    @pytest.mark.parametrize('version', [(2, 5, 3, 'rc1'), (2, 6, 0, ''), (2, 7, 0, 'rc0'), (3, 0, 0, '.dev1')])
    def test_supported_versions_and_their_pre_releases(self, status, version):
        assert status(version) == 0

    def test_original_missing(self, status, capsys, tmp_path):
        assert status(remove=['collections/toy/masking.py']) == 1
        expected = tmp_path / 'real/nemo/collections/toy/masking.py'
        out = rows(capsys)
        assert ['missing', f'{expected}, shadowed but not in this NeMo'] in out and ['shadowed', '0 files'] in out

    def test_status_does_not_import_nemo_and_is_fast(self, stub, tmp_path):
        real = stub.nemo(tmp_path)
        (real / 'nemo/__init__.py').write_text('raise SystemExit("imported")')
        started = time.perf_counter()
        path = f'{real}:{stub.repository}'
        done = stub.run(sys.executable, ['-S', '-m', 'nemo_streaming_ssl', 'status'], tmp_path, PYTHONPATH=path)
        assert 'NeMo      ' + str(real / 'nemo') in done.stdout and done.returncode in (0, 1), done.stderr
        assert time.perf_counter() - started < 2  # about 0.1 s; a NeMo or torch import takes several


@pytest.mark.unit
class TestVersion:
    @pytest.mark.parametrize(
        'text, version',
        [
            ("MAJOR = 2\nMINOR = 6  # minor\nPATCH = 0\nPRE_RELEASE = 'rc0'\n" + VALUES, '2.6.0rc0'),
            ('MAJOR = 3\nMINOR = 0\nPATCH = 0\nPRE_RELEASE = ""\n', '3.0.0'),
            ('__version__ = "2.5.3"\n', '2.5.3'),
            (VALUES, 'the installed one'),
        ],
    )
    def test_is_read_from_package_info(self, tmp_path, monkeypatch, text, version):
        monkeypatch.setattr(cli, '_installed_version', lambda: 'the installed one')
        (tmp_path / 'package_info.py').write_text(text)
        assert cli._version(tmp_path) == version

    def test_without_package_info_the_installed_distribution_says(self, tmp_path, monkeypatch):
        monkeypatch.setattr(cli, '_installed_version', lambda: '2.5.3')
        assert cli._version(tmp_path) == '2.5.3'

    @pytest.mark.parametrize('version', [None, '', 'unknown', '1.23.0', '10.0.0'])
    def test_anything_else_is_not_supported(self, version):
        assert not cli.is_supported(version)

    @pytest.mark.parametrize('version', ['2.6', '3', '3.0.0+abc', '2.10.0'])
    def test_short_and_local_versions(self, version):
        assert cli.is_supported(version)


@pytest.mark.unit
class TestShadowingOrNew:
    @pytest.mark.parametrize(
        'text, shadowing',
        [
            ('from nemo.a import _x_base as base', True),
            ('from nemo.a._x_base import Thing', True),
            ('import nemo.a._x_base as base', True),
            ('from nemo.a import (\n    _x_base as base,\n)', True),
            ('"""Builds on `_x_base`."""\nfrom nemo.a import _y_base, x', False),
            ('', False),
        ],
    )
    def test_a_shadowing_file_imports_its_base(self, tmp_path, text, shadowing):
        file = tmp_path / 'x.py'
        file.write_text(text)
        assert cli.imports_its_base(file) is shadowing


@pytest.mark.unit
class TestCommandLine:
    def test_a_command_is_required(self, capsys):
        with pytest.raises(SystemExit) as caught:
            cli.main([])
        assert caught.value.code == 2 and 'status' in capsys.readouterr().err

    def test_a_command_is_one_function(self, monkeypatch):
        def add(commands):
            commands.add_parser('answer').set_defaults(run=lambda args: 42)

        monkeypatch.setattr(cli, 'COMMANDS', [*cli.COMMANDS, add])
        assert cli.main(['answer']) == 42
