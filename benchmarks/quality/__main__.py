# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""
How good is an encoder that was pretrained here?

    python -m benchmarks.quality [--seeds 0 1 2] ...   phone probes on synthetic speech: benchmarks/quality/synthetic/
    python -m benchmarks.quality --plan PLAN ...       error rates on real corpora: benchmarks/quality/corpora/
    python -m benchmarks.quality --report CSV          tables and plots of these

The command starts itself once more with the settings of benchmarks/malloc.py in its environment, if none of them is
set: they make training on a CPU faster.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks import malloc


def main(arguments: Sequence[str] | None = None) -> int:
    """The command that is meant; returns its exit status: 2 for what cannot be, 1 if runs failed."""
    arguments = sys.argv[1:] if arguments is None else arguments
    flags = {argument.partition("=")[0] for argument in arguments}
    meant = report if "--report" in flags else run_plan if "--plan" in flags else run_probes
    try:
        return meant(arguments)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2


def run_plan(arguments: Sequence[str]) -> int:
    """Error rates on real corpora: does the runs of a plan."""
    from benchmarks.quality.corpora.options import read_options

    options = read_options(arguments)
    require_present(options.device)
    from benchmarks.quality.corpora import run

    failed = run.run_plan(options)
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


def run_probes(arguments: Sequence[str]) -> int:
    """Linear phone probes on features of synthetic speech."""
    from benchmarks.quality.synthetic.options import read_options

    options = read_options(arguments)
    require_present(options.device)
    # NeMo takes seconds to import: not before the options are known to be good
    from benchmarks.quality.synthetic.experiment import run
    from benchmarks.quality.synthetic.report import write_report

    print(write_report(run(options), options))
    return 0


def require_present(device: str) -> None:
    """Raises a ValueError if this machine has no such device."""
    import torch

    try:
        torch.zeros(1, device=device)
    except (AssertionError, RuntimeError) as error:
        raise ValueError(f"device={device}: is not on this machine") from error


def start_again_with_malloc_settings() -> None:
    """Replaces this process by the same command with the settings; does nothing if one of them is there already."""
    if sys.platform == "linux" and not malloc.is_set():
        command = [sys.executable, "-m", "benchmarks.quality", *sys.argv[1:]]
        os.execve(sys.executable, command, malloc.environment("tuned"))


if __name__ == "__main__":
    start_again_with_malloc_settings()
    sys.exit(main())
