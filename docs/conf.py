# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Settings of the documentation site, which `make docs` builds into build/docs."""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "_site"))

from site_docstrings import rewrite_docstring  # noqa: E402
from site_inventories import add_inventories  # noqa: E402
from site_pages import rewrite_page  # noqa: E402
from site_sources import linkcode_resolve  # noqa: E402, F401  Sphinx looks for it here

from nemo_streaming_ssl import __version__  # noqa: E402

project = "Streaming SSL for NeMo"
author = "the streaming-ssl authors"
copyright = f"2026, {author}"
version = release = __version__
exclude_patterns = ["requirements.txt", "_site"]

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.intersphinx",
    "sphinx.ext.linkcode",
    "sphinx_copybutton",
]
# Headings have the anchors that GitHub gives them.
myst_heading_anchors = 4
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
# The import at the top of each section says where a name is.
add_module_names = False
toc_object_entries_show_parents = "hide"
napoleon_numpy_docstring = False
# Types in signatures that belong to others; without a network there is nothing to link them to.
OURS = "nemo_streaming_ssl|nemo.collections.asr.parts"
# And of ours that have no entry in the reference.
nitpick_ignore_regex = [("py:.*", f"(?!{OURS}).*"), ("py:.*", r".*\.streaming\.step\..*|.*\.host\.Output")]
# A prompt is not copied.
copybutton_prompt_text = "$ "

html_theme = "furo"
html_title = f"{project} {release}"
html_copy_source = False
html_static_path = ["_site/static"]
html_css_files = ["site.css"]


def setup(app):
    """Sphinx calls this with the application."""
    app.connect("config-inited", add_inventories, priority=1)
    app.connect("source-read", rewrite_page)
    app.connect("autodoc-process-docstring", rewrite_docstring, priority=1)
    # Hooks that Lightning calls are of no use to a reader.
    app.connect("autodoc-skip-member", lambda app, what, name, *_: True if name.startswith("on_") else None)
