# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""`python -m benchmarks.quality` without a plan: linear phone probes on features of synthetic speech."""

import sys
from collections.abc import Sequence

from benchmarks.quality.device import missing
from benchmarks.quality.synthetic.options import read_options


def main(arguments: Sequence[str] | None = None) -> int:
    """The whole command; returns its exit status, 2 for options that cannot be."""
    options = read_options(arguments)
    if missing(options.device):
        print(f"device={options.device}: is not on this machine", file=sys.stderr)
        sys.exit(2)
    # NeMo takes seconds to import: not before the options are known to be good
    from benchmarks.quality.synthetic.experiment import run
    from benchmarks.quality.synthetic.plot import draw
    from benchmarks.quality.synthetic.report import table, write_csv

    rows = run(options)
    options.output.mkdir(parents=True, exist_ok=True)
    write_csv(options.output / "quality.csv", rows, options)
    draw(options.output / "quality.png", rows)
    print(f"\n{table(rows)}\n\n{options.output / 'quality.csv'}\n{options.output / 'quality.png'}")
    return 0
