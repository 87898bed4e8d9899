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

"""Makes the pictures of README and docs, from code and from the CSVs that are there; nothing is measured.

    python -m benchmarks.figures                      # all, in their places
    python -m benchmarks.figures leak_probe masking   # some
    python -m benchmarks.figures --output FOLDER      # side by side in a folder
"""

import argparse
import sys
from pathlib import Path
from typing import Optional, Sequence

from benchmarks.figures.catalogue import PICTURES, ROOT


def main(arguments: Optional[Sequence[str]] = None) -> int:
    """Draws what is asked for and prints the path of each; returns the exit status."""
    options = read_options(arguments)
    for name in options.names or PICTURES:
        path = ROOT / PICTURES[name].path
        if options.output is not None:
            path = options.output / path.name
        path.parent.mkdir(parents=True, exist_ok=True)
        PICTURES[name].draw(path)
        print(path)
    return 0


def read_options(arguments: Optional[Sequence[str]]) -> argparse.Namespace:
    """The names of pictures, none for all, and the folder."""
    parser = argparse.ArgumentParser(
        prog='python -m benchmarks.figures', description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('names', nargs='*', metavar='name', help=f"of {', '.join(PICTURES)}; default: all")
    parser.add_argument('--output', type=Path, help='a folder for all of them; default: where docs show them')
    options = parser.parse_args(arguments)
    unknown = [name for name in options.names if name not in PICTURES]
    if unknown:
        parser.error(f"{', '.join(unknown)}: no such picture; there are {', '.join(PICTURES)}")
    return options


if __name__ == '__main__':
    sys.exit(main())
