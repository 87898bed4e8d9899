# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Makes the pictures of README and docs, from code and from the CSVs that are there; nothing is measured.

    python -m benchmarks.figures                      # all, in their places
    python -m benchmarks.figures leak_probe masking   # some
    python -m benchmarks.figures --output FOLDER      # side by side in a folder
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.figures.catalogue import PICTURES
from benchmarks.shipped import ROOT


def main(arguments: Sequence[str] | None = None) -> int:
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


def read_options(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The names of pictures, none for all, and the folder."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.figures", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="name", help=f"of {', '.join(PICTURES)}; default: all")
    parser.add_argument("--output", type=Path, help="a folder for all of them; default: where docs show them")
    options = parser.parse_args(arguments)
    unknown = [name for name in options.names if name not in PICTURES]
    if unknown:
        parser.error(f"{', '.join(unknown)}: no such picture; there are {', '.join(PICTURES)}")
    return options


if __name__ == "__main__":
    sys.exit(main())
