# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

import os
import subprocess
import sys
from pathlib import Path

import packaging
import pytest

from nemo_streaming_ssl import TESTED_NEMO, cli, finder, nemo_tree

pytestmark = pytest.mark.any_release

VALUES = 'VERSION = (2, 5)\n__version__ = ".".join(["2", "5"])\n'


@pytest.fixture
def status(tmp_path, monkeypatch, no_nemo, stub):
    """Puts a stub overlay and, unless `version` is None, a stub NeMo in effect; returns the exit code of `status`."""

    def run(version=(2, 5, 3, ""), remove=(), words=("--no-import",), files=None):
        overlay = stub.overlay(tmp_path / "overlay")
        monkeypatch.setattr(sys, "path", [])
        if version:
            sys.path.append(str(stub.nemo(tmp_path / "real", version)))
        for name in remove:
            (tmp_path / "real/nemo" / name).unlink()
        stub.files(tmp_path, files or {})
        sys.meta_path[:] = [found for found in sys.meta_path if "ditable" not in repr(found)]
        monkeypatch.setattr(finder, "overlay_root", lambda: str(overlay))
        finder.install()
        return cli.main(["status", *words])

    return run


def rows(capsys) -> list:
    return [line.split(None, 1) for line in capsys.readouterr().out.splitlines() if not line.startswith(" ")]


class TestStatus:
    def test_report_when_all_is_well(self, status, capsys, tmp_path):
        assert status() == 0
        out = capsys.readouterr().out
        assert out.splitlines() == [
            "patches   on",
            f"overlay   {tmp_path}/overlay/nemo",
            f"NeMo      {tmp_path}/real/nemo",
            "version   2.5.3, tested",
            "shadowed  1 file",
            "          nemo/collections/toy/masking.py",
            "new       2 files",
            "          nemo/collections/toy/extra.py",
            "          nemo/utils/shadowing.py",
        ]

    def test_switched_off_is_no_error_and_says_why(self, status, capsys, monkeypatch):
        monkeypatch.setenv(finder.SWITCH, "Off")
        assert status() == 0
        assert ["patches", "off (NEMO_STREAMING_SSL=Off)"] in rows(capsys)

    def test_not_installed_says_how_to_install(self, status, capsys, monkeypatch):
        monkeypatch.setattr(finder, "install", lambda: None)
        assert status() == 0
        assert rows(capsys)[0] == ["patches", "off (not installed in this Python: pip install -e .)"]

    def test_nemo_missing(self, status, capsys):
        assert status(version=None) == 1
        assert ["NeMo", "not found: pip install 'nemo_toolkit[asr]'"] in rows(capsys)

    def test_overlay_missing(self, no_nemo, monkeypatch, capsys, tmp_path, stub):
        monkeypatch.setattr(sys, "path", [str(stub.nemo(tmp_path))])
        monkeypatch.setattr(finder, "overlay_root", lambda: None)
        assert cli.main(["status"]) == 1
        out = rows(capsys)
        assert ["overlay", "not found"] in out and ["version", "2.5.3, tested"] in out

    @pytest.mark.parametrize("version", [(2, 5, 2, ""), (3, 0, 1, ""), (3, 1, 0, "rc0")])
    def test_unsupported_version(self, status, capsys, version):
        assert status(version) == 1
        name = "{}.{}.{}{}".format(*version)
        assert ["version", f"{name}, NOT supported (2.5.3 to 3.0.0)"] in rows(capsys)

    @pytest.mark.parametrize("version", [(2, 5, 3, "rc1"), (2, 6, 0, ""), (2, 7, 0, "rc0"), (3, 0, 0, ".dev1")])
    def test_supported_versions_and_their_pre_releases_say_what_was_tested(self, status, capsys, version):
        assert status(version) == 0
        name = "{}.{}.{}{}".format(*version)
        tested = "tested are 2.5.3, 2.6.2, 2.7.3, 3.0.0"
        assert ["version", f"{name}, supported (2.5.3 to 3.0.0), not tested: {tested}"] in rows(capsys)

    @pytest.mark.parametrize("version", [(2, 6, 2, ""), (2, 7, 3, ""), (3, 0, 0, "")])
    def test_tested_versions(self, status, capsys, version):
        assert status(version) == 0
        assert ["version", "{}.{}.{}, tested".format(*version)] in rows(capsys)

    def test_original_missing(self, status, capsys, tmp_path):
        assert status(remove=["collections/toy/masking.py"]) == 1
        expected = tmp_path / "real/nemo/collections/toy/masking.py"
        out = rows(capsys)
        assert ["missing", f"{expected}, shadowed but not in this NeMo"] in out and ["shadowed", "0 files"] in out

    @pytest.mark.parametrize("words", [(), ("--no-import",)])
    @pytest.mark.parametrize(
        "text, reason",
        [("x = (\n", "line 1: '(' was never closed"), ("\n\nclass:\n", "line 3: invalid syntax"), ("x = 1\0", "null")],
    )
    def test_a_file_that_is_no_python_is_one_line(self, status, capfd, text, reason, words):
        assert status(words=words, files={"overlay/nemo/collections/toy/extra.py": text}) == 1
        (line,) = [line for line in capfd.readouterr().out.splitlines() if line.startswith("broken")]
        assert line.startswith("broken    nemo/collections/toy/extra.py: ") and reason in line

    def test_without_the_imports_nemo_is_not_imported(self, stub, tmp_path):
        real = stub.nemo(tmp_path)
        (real / "nemo/__init__.py").write_text('raise SystemExit("imported")')
        words = ["status", "--no-import"]
        path = f"{real}:{stub.repository}:{Path(packaging.__file__).parents[1]}"
        done = stub.run(sys.executable, ["-S", "-m", "nemo_streaming_ssl", *words], tmp_path, PYTHONPATH=path)
        assert "NeMo      " + str(real / "nemo") in done.stdout and done.returncode in (0, 1), done.stderr


class TestImports:
    def test_all_is_well(self, status, capfd):
        assert status(words=()) == 0
        assert capfd.readouterr().out.splitlines()[-1] == "imports   3 of 3 shadowed and new modules can be imported"

    @pytest.mark.parametrize(
        "line, reason",
        [
            ("import absent_library", "ModuleNotFoundError: No module named 'absent_library'"),
            ('raise ValueError("first line\\nsecond")', "ValueError: first line"),
            ('print("NeMo says"); raise SystemExit(3)', "SystemExit: 3"),
            ("import nemo.collections.toy.masking.absent", "'nemo.collections.toy.masking' is not a package"),
        ],
    )
    def test_a_module_that_fails_is_named_in_one_line_with_its_reason(self, status, capfd, line, reason):
        assert status(words=(), files={"overlay/nemo/collections/toy/extra.py": line}) == 1
        text = capfd.readouterr()
        summary, failed = text.out.splitlines()[-2:]
        assert summary.split(None, 1) == ["imports", "2 of 3 shadowed and new modules can be imported"]
        assert failed.startswith("failed    nemo.collections.toy.extra: ") and failed.endswith(reason)
        assert "NeMo says" not in text.out + text.err

    def test_an_error_that_many_modules_meet_is_said_once(self, status, capfd, tmp_path):
        files = {"real/nemo/collections/toy/other.py": "x = 1\n\nclass (\n"}
        files.update({f"overlay/nemo/collections/toy/{name}.py": "from . import other" for name in "abc"})
        assert status(words=(), files=files) == 1
        failed = [line for line in capfd.readouterr().out.splitlines() if line.startswith("failed")]
        other = tmp_path / "real/nemo/collections/toy/other.py"
        reason = f"SyntaxError: invalid syntax ({other}, line 3)"
        assert failed == [f"failed    nemo.collections.toy.a and 2 more: {reason}"]

    def test_a_crash_takes_nothing_with_it(self, status, capfd):
        crash = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
        assert status(words=(), files={"overlay/nemo/collections/toy/extra.py": crash}) == 1
        failed = [line for line in capfd.readouterr().out.splitlines() if line.startswith("failed")]
        assert failed == [
            "failed    nemo.collections.toy.extra: Python ended with exit code -9",
            "failed    nemo.utils.shadowing: not tried after nemo.collections.toy.extra",
        ]

    def test_switched_off_there_is_nothing_to_try(self, status, capfd, monkeypatch):
        monkeypatch.setenv(finder.SWITCH, "off")
        assert status(words=(), files={"overlay/nemo/collections/toy/extra.py": "import absent"}) == 0
        assert "imports" not in capfd.readouterr().out


class TestReleases:
    def test_each_tested_release_has_its_constraints(self, stub):
        files = (stub.repository / "constraints").glob("*.txt")
        assert sorted(TESTED_NEMO) == sorted(file.stem for file in files)

    def test_the_constraints_of_a_release_name_it(self, stub):
        for release in TESTED_NEMO:
            lines = (stub.repository / f"constraints/{release}.txt").read_text().splitlines()
            assert f"nemo-toolkit=={release}" in lines and "torch==2.13.0" in lines


class TestClosedPipe:
    @pytest.mark.parametrize("words", [["status", "--no-import"], ["--help"]])
    def test_a_reader_that_leaves_early_is_no_traceback(self, stub, tmp_path, words):
        command = [sys.executable, "-m", "nemo_streaming_ssl", *words]
        options = {"cwd": stub.repository, "env": {**os.environ, "PYTHONPATH": str(stub.nemo(tmp_path))}}
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)
        process.stdout.close()  # before the first word, as `| head -0` does
        assert process.stderr.read() == b"" and process.wait() in (0, 1)


class TestVersion:
    @pytest.mark.parametrize(
        "text, version",
        [
            ("MAJOR = 2\nMINOR = 6  # minor\nPATCH = 0\nPRE_RELEASE = 'rc0'\n" + VALUES, "2.6.0rc0"),
            ('MAJOR = 3\nMINOR = 0\nPATCH = 0\nPRE_RELEASE = ""\n', "3.0.0"),
            ('__version__ = "2.5.3"\n', "2.5.3"),
            (VALUES, "the installed one"),
        ],
    )
    def test_is_read_from_package_info(self, tmp_path, monkeypatch, text, version):
        monkeypatch.setattr(nemo_tree, "_installed_version", lambda: "the installed one")
        (tmp_path / "package_info.py").write_text(text)
        assert nemo_tree.version_in(tmp_path) == version

    def test_without_package_info_the_installed_distribution_says(self, tmp_path, monkeypatch):
        monkeypatch.setattr(nemo_tree, "_installed_version", lambda: "2.5.3")
        assert nemo_tree.version_in(tmp_path) == "2.5.3"

    @pytest.mark.parametrize("version", [None, "", "unknown", "1.23.0", "10.0.0", "3.0.0.1"])
    def test_anything_else_is_not_supported(self, version):
        assert not nemo_tree.is_supported(version)

    @pytest.mark.parametrize("version", ["2.6", "3", "3.0.0+abc", "2.10.0", "3.0.0.0", "v2.7.1", "2.5.3.post1"])
    def test_short_and_local_versions(self, version):
        assert nemo_tree.is_supported(version)


class TestShadowingOrNew:
    @pytest.mark.parametrize(
        "text, shadowing",
        [
            ("from nemo.a import _x_base as base", True),
            ("from nemo.a._x_base import Thing", True),
            ("import nemo.a._x_base as base", True),
            ("from nemo.a import (\n    _x_base as base,\n)", True),
            ('"""Builds on `_x_base`."""\nfrom nemo.a import _y_base, x', False),
            ("", False),
        ],
    )
    def test_a_shadowing_file_imports_its_base(self, tmp_path, text, shadowing):
        file = tmp_path / "x.py"
        file.write_text(text)
        assert nemo_tree.imports_its_base(file) is shadowing


class TestCommandLine:
    def test_a_command_is_required(self, capsys):
        with pytest.raises(SystemExit) as caught:
            cli.main([])
        assert caught.value.code == 2 and "status" in capsys.readouterr().err

    def test_a_command_is_one_function(self, monkeypatch):
        def add(commands):
            commands.add_parser("answer").set_defaults(run=lambda args: 42)

        monkeypatch.setattr(cli, "COMMANDS", [*cli.COMMANDS, add])
        assert cli.main(["answer"]) == 42
