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

"""Links to the docs of Python and of the libraries, as far as the network reaches them."""

import urllib.request
from pathlib import Path
from typing import Optional

FOLDER = Path(__file__).resolve().parents[2] / 'build' / 'inventories'
ADDRESSES = {
    'python': 'https://docs.python.org/3/',
    'torch': 'https://docs.pytorch.org/docs/stable/',
    'lightning': 'https://lightning.ai/docs/pytorch/stable/',
    'nemo': 'https://docs.nvidia.com/nemo-framework/user-guide/latest/',
}
SECONDS = 5
# Sphinx's own first words in such a file.
BEGINNING = b'# Sphinx inventory version'


def inventory(name: str) -> Optional[Path]:
    """The list of what a library's docs describe, fetched once; None if the network does not reach it."""
    file = FOLDER / f'{name}.inv'
    if not file.is_file():
        try:
            with urllib.request.urlopen(f'{ADDRESSES[name]}objects.inv', timeout=SECONDS) as response:
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
