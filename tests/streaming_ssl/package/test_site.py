# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""The documentation site, as far as it can be checked without building it: navigation, headings that links name, what
a fork gets of the pages, and how pages and docstrings are read. The step `docs` of the matrix builds it."""

import importlib
import re
import runpy
import urllib.error
import urllib.request
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace

import pytest

from nemo_streaming_ssl.vendoring.contents import vendored_files

pytestmark = pytest.mark.any_release

ROOT = Path(__file__).resolve().parents[3]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.glob("*.md"))
WRITTEN = [*PAGES, *sorted(ROOT.glob("*.md"))]
# Pages that show a file from the top of the repository. On GitHub the README links to the file.
SHOW_A_FILE = {"changelog", "contributing"}
FENCE = re.compile(r"^```.*?^```$", flags=re.MULTILINE | re.DOTALL)
COMMENT = re.compile(r"<!--.*?-->", flags=re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]*)\)")
TOCTREE = re.compile(r"```{toctree}\n:hidden:\n:caption: (.+)\n((?:.+\n)+?)```")
HEADING = re.compile(r"^#{1,4} (.+)$", flags=re.MULTILINE)
SECTION = re.compile(r"^## .+?(?=^## |\Z)", flags=re.MULTILINE | re.DOTALL)


def visible(page: Path) -> str:
    """A page as GitHub shows it, without its code."""
    return FENCE.sub("", COMMENT.sub("", page.read_text(encoding="utf-8")))


def links_of(page: Path) -> list:
    """Links into the repository."""
    return [link for link in LINK.findall(visible(page)) if not re.match(r"[a-z]+:", link)]


def anchors_of(page: Path) -> set:
    """The anchors that GitHub and the site give the headings of a page."""
    kept = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in HEADING.findall(visible(page)))
    return {heading.strip().replace(" ", "-") for heading in kept}


def navigation() -> list:
    """The pages in the toctrees of the landing page, in their order."""
    entries = [entry for _, block in TOCTREE.findall((DOCS / "index.md").read_text()) for entry in block.splitlines()]
    return [re.sub(r"^.*<(.+)>$", r"\1", entry) for entry in entries]


@pytest.fixture
def module(monkeypatch):
    """Imports one of the modules that read pages for the site."""
    monkeypatch.syspath_prepend(str(DOCS / "_site"))
    return importlib.import_module


class TestNavigation:
    def test_every_page_is_there_once(self):
        assert sorted(navigation()) == sorted({page.stem for page in PAGES} - {"index"})

    def test_the_landing_page_links_the_same_pages(self):
        linked = {link.partition("#")[0].removesuffix(".md") for link in links_of(DOCS / "index.md")}
        assert linked == set(navigation()) - SHOW_A_FILE

    @pytest.mark.parametrize("page", WRITTEN, ids=lambda page: page.name)
    def test_every_heading_that_a_link_names_is_there(self, page):
        named = [link.split("#") for link in links_of(page) if ".md#" in link or link.startswith("#")]
        assert not [(path, name) for path, name in named if name not in anchors_of(page.parent / (path or page.name))]


class TestInAFork:
    def test_pages_link_to_what_the_fork_has_too(self):
        files = {source.resolve() for source in vendored_files(ROOT).values()}
        pages = [page for page in PAGES if page in files]
        assert DOCS / "index.md" in pages and DOCS / "conf.py" not in files
        links = [(page.name, link) for page in pages for link in links_of(page) if not link.startswith("#")]
        assert not [(page, link) for page, link in links if (DOCS / link.partition("#")[0]).resolve() not in files]


class TestReference:
    @pytest.mark.parametrize("section", SECTION.findall((DOCS / "api.md").read_text()), ids=lambda text: text[3:15])
    def test_tables_name_what_the_packages_export(self, section):
        names = {name for row in re.findall(r"^\| (`.+?) \|", section, re.MULTILINE) for name in row.split("`")[1::2]}
        packages = re.findall(r"automodule:: (\S+)", section)
        exported = {name for package in packages for name in exported_by(package)}
        assert not packages or names == exported

    def test_every_command_is_listed(self):
        code = "".join(file.read_text() for file in (ROOT / "nemo_streaming_ssl").rglob("*.py"))
        listed = re.findall(r"^\| `nemo-streaming-ssl (\w+)", (DOCS / "api.md").read_text(), re.MULTILINE)
        assert sorted(listed) == sorted(re.findall(r"add_parser\(\"(\w+)\"", code))


def exported_by(package: str) -> list:
    text = (ROOT / package.replace(".", "/") / "__init__.py").read_text()
    return re.findall(r'["\'](\w+)["\']', text.partition("__all__ = [")[2])


class TestReading:
    def test_the_settings_can_be_read(self, monkeypatch):
        monkeypatch.syspath_prepend(str(ROOT))
        settings = runpy.run_path(str(DOCS / "conf.py"))
        assert settings["html_theme"] == "furo" and callable(settings["setup"])

    def test_lines_for_the_site_come_out_of_their_comment(self, module):
        read = module("site_pages").for_the_site
        assert read("a\n<!-- site:\nb\n-->\n<!-- c -->", None) == "a\nb\n<!-- c -->"

    def test_a_file_from_the_top_has_links_that_hold_in_docs(self, module, monkeypatch, tmp_path):
        pages = module("site_pages")
        monkeypatch.setattr(pages, "ROOT", tmp_path)
        (tmp_path / "A.md").write_text("# A\n[b](docs/b.md#c) [d](LICENSE) [e](https://e) [f](#f)")
        read = pages.for_the_site("<!-- site: file A.md -->", None)
        assert read == "[b](b.md#c) [d](path:../LICENSE) [e](https://e) [f](#f)"

    @pytest.mark.parametrize(
        "address, link, read",
        [
            (None, "[a](../README.md#b)", "[a](path:../README.md)"),
            (None, "[a](../docs/)", "a"),
            (None, "![a](../benchmarks/results/speed.png)", "![a](../benchmarks/results/speed.png)"),
            ("https://x/blob/1", "[a](../README.md#b)", "[a](https://x/blob/1/README.md#b)"),
        ],
    )
    def test_a_link_to_a_file_that_is_no_page(self, module, address, link, read):
        assert module("site_pages").for_the_site(link, address) == read

    def test_the_address_is_known_on_github_only(self, module):
        known = {"GITHUB_SERVER_URL": "https://x", "GITHUB_REPOSITORY": "a/b", "GITHUB_SHA": "1"}
        assert module("site_pages").repository_address(known) == "https://x/a/b/blob/1"
        assert module("site_pages").repository_address({}) is None

    def test_the_reference_links_to_lines_of_our_code(self, module):
        line_of = module("site_sources").line_of
        link = line_of("https://x", "nemo_streaming_ssl.vendoring.contents", "vendored_files")
        assert re.fullmatch(r"https://x/nemo_streaming_ssl/vendoring/contents\.py#L\d+", link)
        assert line_of("https://x", "pathlib", "Path") is None
        assert line_of("https://x", "nemo_streaming_ssl.vendoring.contents", "LEFT_OUT") is None

    @pytest.mark.parametrize(
        "docstring, read",
        [
            ("of `Config`s", "of ``Config``\\ s"),
            ("*args, **kwargs: x", "args, kwargs: x"),
            ("Returns:\n    what: `it` is\nRaises:", "\n:returns:\n    - what: ``it`` is\n\nRaises:"),
            ("Returns:\n    all of it,\n    and more\n", "\n:returns:\n    all of it,\n    and more\n\n"),
            ("Returns:\n    a: b\n      c\n    d: e\n", "\n:returns:\n    - a: b\n        c\n    - d: e\n\n"),
        ],
    )
    def test_docstrings_become_restructured_text(self, module, docstring, read):
        assert module("site_docstrings").as_rst(docstring) == read


class TestInventories:
    @pytest.mark.parametrize(
        "answer", [urllib.error.URLError("no network"), b"<html>", b"# Sphinx inventory version 2"]
    )
    def test_one_that_is_not_fetched_is_left_out(self, module, monkeypatch, tmp_path, capsys, answer):
        inventories = module("site_inventories")
        monkeypatch.setattr(inventories, "FOLDER", tmp_path)
        monkeypatch.setattr(inventories, "ADDRESSES", {"torch": "https://torch/"})
        monkeypatch.setattr(urllib.request, "urlopen", lambda *args, **kwargs: answered(answer))
        config = SimpleNamespace(intersphinx_mapping={})
        inventories.add_inventories(None, config)
        fetched = isinstance(answer, bytes) and answer.startswith(inventories.BEGINNING)
        assert config.intersphinx_mapping == (
            {"torch": ("https://torch/", str(tmp_path / "torch.inv"))} if fetched else {}
        )
        assert ("torch" in capsys.readouterr().out) != fetched


def answered(answer) -> BytesIO:
    if isinstance(answer, Exception):
        raise answer
    return BytesIO(answer)
