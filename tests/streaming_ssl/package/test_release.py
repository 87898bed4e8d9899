# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""What would be released: sdist and wheel of this repository, and the command in a clean environment.

`test_install.py` says how the package behaves where it is installed; `builds.py` builds and installs.
"""

import email
import importlib.util
import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from builds import LEFT_BEHIND, OLD_BUILD, ROOT, environment_in, put_into
from packaging.metadata import Metadata

from nemo_streaming_ssl import NEWEST_NEMO, OLDEST_NEMO, __version__, nemo_tree

pytestmark = pytest.mark.any_release

KINDS = {".py", ".pyi", ".md", ".yaml", ".csv", ".png", ".svg", ".html", ".css", ".js", ".txt"}


@pytest.fixture(scope="module")
def shipped(release):
    """What `vendor` writes into a fork, as paths of this repository."""
    return release.shipped


@pytest.fixture(scope="module")
def names(release):
    """The files of the sdist, relative to its folder, and those of the wheel."""
    with tarfile.open(release.sdist) as archive:
        files = {file.name.partition("/")[2] for file in archive if file.isfile()}
    with zipfile.ZipFile(release.wheel) as archive:
        return files, set(archive.namelist())


@pytest.fixture(scope="module")
def metadata(release):
    """The text of METADATA in the wheel."""
    with zipfile.ZipFile(release.wheel) as wheel:
        return wheel.read(f"nemo_streaming_ssl-{__version__}.dist-info/METADATA").decode()


class TestContents:
    def test_the_wheel_has_what_is_vendored_and_nothing_else_besides_the_package(self, names, shipped):
        overlay = "nemo_streaming_ssl/_overlay/"
        found = {name.removeprefix(overlay) for name in names[1] if name.startswith(overlay)}
        assert found == shipped | {"commit.txt"}
        assert len([name for name in shipped if name.startswith("nemo/")]) > 100
        rest = {name for name in names[1] if not name.startswith(overlay) and ".dist-info/" not in name}
        assert {name for name in rest if not re.fullmatch(r"nemo_streaming_ssl/.*\.py", name)} == {
            "nemo_streaming_ssl.pth",
            "nemo_streaming_ssl/replaced_methods.csv",
        }

    def test_the_wheel_has_every_module_of_the_package(self, names):
        modules = {file.relative_to(ROOT).as_posix() for file in (ROOT / "nemo_streaming_ssl").rglob("*.py")}
        assert len(modules) > 20 and modules <= names[1]

    def test_a_file_that_left_the_overlay_is_not_in_the_next_wheel(self, release, names):
        overlay = OLD_BUILD.partition("/nemo/")[0]
        assert (release.unpacked / overlay / "commit.txt").is_file()  # the build did work in that folder
        assert not [name for name in names[1] if name.endswith(OLD_BUILD.rpartition("/")[2])]

    def test_the_sdist_has_the_same_and_what_a_reader_asks_for(self, names, shipped):
        assert shipped <= names[0]
        assert {"LICENSE", "README.md", "CHANGELOG.md", "CONTRIBUTING.md", "CITATION.cff"} <= names[0]

    def test_the_wheel_has_the_licence(self, names):
        assert f"nemo_streaming_ssl-{__version__}.dist-info/licenses/LICENSE" in names[1]

    def test_nothing_is_in_them_that_running_things_leaves_behind(self, names):
        for found in names:
            assert not [name for name in found for left in LEFT_BEHIND if name.endswith(left)]
            assert not [name for name in found if re.search(r"(^|/)(__pycache__|\.hypothesis|\.pytest_cache)/", name)]

    def test_all_files_below_the_overlay_are_of_known_kinds(self, shipped):
        assert {Path(name).suffix for name in shipped} <= KINDS


class TestMetadata:
    def test_is_valid_and_says_what_the_package_says(self, metadata):
        read = Metadata.from_email(metadata)
        assert (read.name, str(read.version), read.license) == ("nemo-streaming-ssl", __version__, "Apache-2.0")
        assert read.description_content_type == "text/markdown" and "3.10" in read.requires_python
        needed = next(str(one) for one in read.requires_dist if one.name.replace("-", "_") == "nemo_toolkit")
        assert f">={OLDEST_NEMO}" in needed and f"<={NEWEST_NEMO}" in needed

    def test_the_readme_has_no_link_that_a_package_index_cannot_follow(self, metadata):
        text = email.message_from_string(metadata).get_payload()
        assert text.startswith("# ")
        assert [link for link in re.findall(r"\]\(([^)]*)\)|src=\"([^\"]*)\"", prose(text)) if is_relative(link)] == []

    def test_the_code_in_the_readme_is_as_it_was(self, metadata):
        text = email.message_from_string(metadata).get_payload()
        assert code(text) == code((ROOT / "README.md").read_text()) != []

    def test_twine_finds_nothing(self, release):
        pytest.importorskip("twine", reason="`make release` runs it in an environment of its own")
        done = subprocess.run(
            [sys.executable, "-m", "twine", "check", "--strict", str(release.sdist), str(release.wheel)],
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr


def code(markdown: str) -> list:
    return re.findall(r"^```.*?^```$", markdown, re.MULTILINE | re.DOTALL)


def prose(markdown: str) -> str:
    return re.sub(r"^```.*?^```$", "", markdown, flags=re.MULTILINE | re.DOTALL)


def is_relative(link: tuple) -> bool:
    return not "".join(link).startswith(("http://", "https://", "#"))


class TestInACleanEnvironment:
    def test_the_command_runs_from_the_wheel(self, release, stub, tmp_path):
        environment = environment_in(tmp_path / "venv")
        put_into(environment, release.wheel)
        # the NeMo of the environment that runs this test, with nothing else of ours
        nemo = Path(importlib.util.find_spec("nemo").submodule_search_locations[0])
        (environment.site_packages / "nemo_of_the_tests.pth").write_text(f"{nemo.parent}\n")
        command = ["-m", "nemo_streaming_ssl", "status", "--no-import"]
        done = stub.run(environment.python, command, tmp_path)
        assert done.returncode == 0, done.stdout + done.stderr
        rows = dict(re.findall(r"^(\S+) +(.*)$", done.stdout, re.MULTILINE))
        assert rows["patches"] == "on" and rows["NeMo"] == str(nemo)
        assert rows["overlay"] == str(environment.site_packages / "nemo_streaming_ssl/_overlay/nemo")
        assert rows["version"] == f"{nemo_tree.version_in(nemo)}, tested"
