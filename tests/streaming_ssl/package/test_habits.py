# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""What a contributor relies on agrees with itself: versions, lists of releases, hooks, workflows, issue forms."""

import configparser
import re
from datetime import date
from pathlib import Path

import pytest
import yaml

from nemo_streaming_ssl import NEWEST_NEMO, OLDEST_NEMO, TESTED_NEMO, __version__

pytestmark = pytest.mark.any_release

ROOT = Path(__file__).resolve().parents[3]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
FORMS = [file for file in sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml")) if file.name != "config.yml"]
MAKEFILE = (ROOT / "Makefile").read_text()
TARGETS = set(re.findall(r"^([\w-]+):(?!=)", MAKEFILE, re.MULTILINE))
HEADINGS = re.findall(r"^## (.*)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)


def loaded(path) -> dict:
    return yaml.safe_load((ROOT / path).read_text(encoding="utf-8"))


def variable(name: str) -> str:
    """A variable of the Makefile as it is written there."""
    return re.search(rf"^{name} :?= (.*)$", MAKEFILE, re.MULTILINE).group(1)


class TestVersion:
    def test_is_the_same_in_package_citation_and_changelog(self):
        assert loaded("CITATION.cff")["version"] == __version__
        assert HEADINGS[0].split(" - ")[0] == __version__

    def test_each_heading_of_the_changelog_has_a_version_and_a_date(self):
        versions, days = zip(*(heading.split(" - ") for heading in HEADINGS))
        assert all(re.fullmatch(r"\d+\.\d+\.\d+", version) for version in versions)
        # only the newest may still be without a date
        assert all(date.fromisoformat(day) for day in days[days[0] == "unreleased" :])

    def test_kinds_of_changes_are_those_of_keep_a_changelog(self):
        kinds = set(re.findall(r"^### (.*)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE))
        assert kinds <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}

    def test_the_citation_says_what_is_cited_and_when_it_was_released(self):
        citation = loaded("CITATION.cff")
        assert {"cff-version", "message", "title", "authors"} <= citation.keys()
        day = HEADINGS[0].partition(" - ")[2]
        assert str(citation.get("date-released", "unreleased")) == day


class TestReleasesOfNemo:
    @pytest.mark.parametrize("file", ["requirements.txt", "setup.py"])
    def test_the_requirement_has_the_tested_range(self, file):
        assert f"nemo_toolkit[asr]>={OLDEST_NEMO},<={NEWEST_NEMO}" in (ROOT / file).read_text()

    def test_errors_name_the_tested_range(self):
        text = (ROOT / "nemo/utils/shadowing.py").read_text()
        assert f'SUPPORTED = "supported are NeMo {OLDEST_NEMO} to {NEWEST_NEMO}"' in text

    @pytest.mark.parametrize("page", ["README.md", "docs/getting_started.md", "docs/compatibility.md"])
    def test_a_page_that_lists_them_lists_all(self, page):
        text = (ROOT / page).read_text()
        assert [release for release in TESTED_NEMO if release not in text] == []

    def test_the_default_of_the_makefile_is_the_oldest(self):
        assert variable("RELEASE") == OLDEST_NEMO

    def test_the_matrix_of_github_has_a_job_for_each(self):
        job = loaded(".github/workflows/matrix.yml")["jobs"]["release"]
        assert tuple(job["strategy"]["matrix"]["release"]) == TESTED_NEMO


class TestHooks:
    HOOKS = loaded(".pre-commit-config.yaml")["repos"][0]["hooks"]

    def test_are_the_commands_of_make_lint(self):
        recipe = re.search(r"^lint:.*\n((?:\t.*\n)+)", MAKEFILE, re.MULTILINE).group(1)
        commands = recipe.replace("$(PY)", variable("PY").replace("$(VENV)", variable("VENV")))
        of_make = [line.replace("$(SOURCES)", "").strip() for line in commands.splitlines()]
        assert [hook["entry"] for hook in self.HOOKS] == of_make

    def test_look_at_the_files_of_make_lint(self):
        sources = variable("SOURCES").split()
        files = [name if name.endswith(".py") else f"{name}/folder/file.py" for name in sources]
        others = ["docs/file.py", "other/setup.py", "examples.py", "build/lib/nemo/file.py"]
        patterns = [hook["files"] for hook in self.HOOKS if hook.get("pass_filenames", True)]
        assert len(patterns) == 3
        for pattern in patterns:
            assert [file for file in files + others if re.search(pattern, file)] == files

    def test_an_editor_gets_the_width_that_black_has(self):
        editor = configparser.ConfigParser()
        editor.read_string("[top]\n" + (ROOT / ".editorconfig").read_text())
        width = re.search(r"^line-length = (\d+)$", (ROOT / "pyproject.toml").read_text(), re.MULTILINE).group(1)
        assert editor["*.py"]["max_line_length"] == width


def jobs() -> list:
    return [(file.name, name, job) for file in WORKFLOWS for name, job in loaded(file)["jobs"].items()]


@pytest.mark.parametrize("file, name, job", jobs(), ids=lambda value: value if isinstance(value, str) else "")
class TestWorkflows:
    def test_a_job_calls_targets_of_the_makefile_and_nothing_else(self, file, name, job):
        commands = [step["run"].split() for step in job["steps"] if "run" in step]
        assert commands and {words[0] for words in commands} == {"make"}
        assert [words[1] for words in commands if words[1] not in TARGETS] == []

    def test_a_job_has_a_time_limit_and_a_cache(self, file, name, job):
        assert 0 < job["timeout-minutes"] <= 360
        python = next(step["with"] for step in job["steps"] if "setup-python" in step.get("uses", ""))
        assert (python["python-version"], python["cache"]) == ("3.11", "pip")
        for path in python["cache-dependency-path"].splitlines():
            for release in TESTED_NEMO:
                assert (ROOT / path.replace("${{ matrix.release }}", release)).is_file(), path


class TestGithub:
    def test_lint_tests_docs_matrix_and_release_are_run(self):
        run = {step["run"].split()[1] for _, _, job in jobs() for step in job["steps"] if "run" in step}
        assert run == {"lint", "test", "docs", "test-all", "release"}

    @pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
    def test_an_issue_comes_with_the_status(self, form):
        labels = {field["attributes"]["label"]: field for field in loaded(form)["body"]}
        assert labels["Output of `nemo-streaming-ssl status`"]["validations"]["required"] is True

    def test_contributing_names_targets_that_exist(self):
        named = set(re.findall(r"`?make ([a-z-]+)", (ROOT / "CONTRIBUTING.md").read_text()))
        assert {"lint", "test", "test-all", "docs", "release"} <= named <= TARGETS
