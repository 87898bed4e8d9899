# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Links to the docs of Python and of the libraries, as far as the network reaches them."""

import urllib.request
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[2] / "build" / "inventories"
ADDRESSES = {
    "python": "https://docs.python.org/3/",
    "torch": "https://docs.pytorch.org/docs/stable/",
    "lightning": "https://lightning.ai/docs/pytorch/stable/",
    "nemo": "https://docs.nvidia.com/nemo-framework/user-guide/latest/",
}
SECONDS = 5
# Sphinx's own first words in such a file.
BEGINNING = b"# Sphinx inventory version"


def inventory(name: str) -> Path | None:
    """The list of what a library's docs describe, fetched once; None if the network does not reach it."""
    file = FOLDER / f"{name}.inv"
    if not file.is_file():
        try:
            with urllib.request.urlopen(f"{ADDRESSES[name]}objects.inv", timeout=SECONDS) as response:
                content = response.read()
        except (OSError, ValueError):
            return None
        if not content.startswith(BEGINNING):
            return None
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    return file


def add_inventories(app, config) -> None:
    """Sphinx calls this when its settings are read. A library that is not reached is left out, and a line says so."""
    found = {name: inventory(name) for name in ADDRESSES}
    missing = [name for name, file in found.items() if file is None]
    if missing:
        print(f'No network to the docs of {", ".join(missing)}: their classes are shown without links')
    config.intersphinx_mapping.update({name: (ADDRESSES[name], str(file)) for name, file in found.items() if file})
