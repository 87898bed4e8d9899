# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""`python -m benchmarks.quality --plan ...`: error rates on real corpora; `--report CSV`: tables and plots of them."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.quality.corpora.options import read_options
from benchmarks.quality.device import missing

FLAGS = ("--plan", "--report")


def is_meant(arguments: Sequence[str]) -> bool:
    """True for a command line of this command."""
    return any(argument.partition("=")[0] in FLAGS for argument in arguments)


def main(arguments: Sequence[str]) -> int:
    """The whole command; returns its exit status: 2 for what cannot be, 1 if runs failed."""
    try:
        if any(argument.partition("=")[0] == "--report" for argument in arguments):
            return report(arguments)
        return run(arguments)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2


def run(arguments: Sequence[str]) -> int:
    """Does the runs of a plan."""
    options = read_options(arguments)
    if missing(options.device):
        raise ValueError(f"device={options.device}: is not on this machine")
    from benchmarks.quality.corpora.run import run_plan

    failed = run_plan(options)
    print(f"{options.csv}" + f"; {failed} tasks failed" * bool(failed), flush=True)
    return min(failed, 1)


def report(arguments: Sequence[str]) -> int:
    """Writes what a CSV says, and prints it."""
    from benchmarks.quality.corpora.report import write_report

    flags = argparse.ArgumentParser(prog="python -m benchmarks.quality", description="Tables and plots of a CSV.")
    flags.add_argument("--report", type=Path, required=True, metavar="CSV")
    flags.add_argument("--output", type=Path, help="default: the CSV's folder")
    options = flags.parse_args(arguments)
    print(write_report(options.report, options.output or options.report.parent))
    return 0
