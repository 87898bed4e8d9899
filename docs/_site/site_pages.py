# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Pages as Sphinx reads them.

The pages are plain Markdown that reads well by itself. What only the site needs stands in HTML comments, which other
readers do not show:

    <!-- site:
    lines for the site alone, such as a toctree
    -->
    <!-- site: file CHANGELOG.md -->    a file at the top of the repository, without its first heading
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SITE_BLOCK = re.compile(r"<!-- site:\n(.*?)\n-->", flags=re.DOTALL)
SITE_FILE = re.compile(r"<!-- site: file (\S+) -->")
# A link that is no image, to a file outside of docs: what it shows, the path, a heading.
OUTSIDE = re.compile(r"(?<!!)\[([^\]]*)\]\(\.\./([^)#\s]+)(#[^)\s]*)?\)")
WITHIN = re.compile(r"\]\((?!#|[a-z]+:)")


def for_the_site(text: str, address: str | None) -> str:
    """A page with the lines that only the site needs, and with links that hold there.

    Args:
        text: the page
        address: where the repository's files are in the web; None: linked files are copied, for download
    """
    text = SITE_FILE.sub(lambda found: file_at_the_top(found[1]), text)
    text = SITE_BLOCK.sub(lambda found: found[1], text)
    return OUTSIDE.sub(lambda found: link_outside(*found.groups(default=""), address), text)


def file_at_the_top(name: str) -> str:
    """A file of the repository without its first heading; its links begin in docs."""
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    text = "\n".join(lines[1:] if lines[0].startswith("# ") else lines)
    return WITHIN.sub("](../", text).replace("](../docs/", "](")


def link_outside(shown: str, path: str, heading: str, address: str | None) -> str:
    """A link to a file that is no page: into the web, or to a copy of the file."""
    if address:
        return f"[{shown}]({address}/{path}{heading})"
    return shown if (ROOT / path).is_dir() else f"[{shown}](path:../{path})"


def repository_address(environment: Mapping[str, str]) -> str | None:
    """Where the files of this commit are in the web. GitHub Actions says so; anywhere else it is not known."""
    names = ("GITHUB_SERVER_URL", "GITHUB_REPOSITORY", "GITHUB_SHA")
    server, repository, commit = (environment.get(name) for name in names)
    return f"{server}/{repository}/blob/{commit}" if server and repository and commit else None


def rewrite_page(app, docname: str, source: list[str]) -> None:
    """Sphinx calls this with every page that it reads."""
    source[0] = for_the_site(source[0], repository_address(os.environ))
