# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Every part of the benchmark of speed, then its plot: `make benchmark` or `python -m benchmarks.speed [flags]`."""

import subprocess
import sys

from benchmarks.shipped import ROOT
from benchmarks.speed.harness import parse_arguments
from benchmarks.speed.plot import draw
from benchmarks.table import read_rows

PARTS = ("masking", "quantizer", "attention", "decoding", "subsampling", "training_step", "streaming_step")


def main() -> int:
    args = parse_arguments(__doc__, sys.argv[1:])
    for part in PARTS:
        # a process for each, so that none finds the memory of another
        command = [sys.executable, "-m", f"benchmarks.speed.{part}", *sys.argv[1:]]
        subprocess.run(command, check=True, cwd=ROOT)
    draw(args.output.with_suffix(".png"), read_rows(args.output))
    return 0


if __name__ == "__main__":
    sys.exit(main())
