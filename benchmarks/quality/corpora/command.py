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

"""`python -m benchmarks.quality --plan ...`: error rates on real corpora; `--report CSV`: tables and plots of them."""

import argparse
import sys
from pathlib import Path
from typing import Sequence

from benchmarks.quality.corpora.options import read_options
from benchmarks.quality.device import missing

FLAGS = ('--plan', '--report')


def is_meant(arguments: Sequence[str]) -> bool:
    """True for a command line of this command."""
    return any(argument.partition('=')[0] in FLAGS for argument in arguments)


def main(arguments: Sequence[str]) -> int:
    """The whole command; returns its exit status: 2 for what cannot be, 1 if runs failed."""
    try:
        if any(argument.partition('=')[0] == '--report' for argument in arguments):
            return report(arguments)
        return run(arguments)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2


def run(arguments: Sequence[str]) -> int:
    """Does the runs of a plan."""
    options = read_options(arguments)
    if missing(options.device):
        raise ValueError(f'device={options.device}: is not on this machine')
    from benchmarks.quality.corpora.run import run_plan

    failed = run_plan(options)
    print(f'{options.csv}' + f'; {failed} tasks failed' * bool(failed), flush=True)
    return min(failed, 1)


def report(arguments: Sequence[str]) -> int:
    """Writes what a CSV says, and prints it."""
    from benchmarks.quality.corpora.report import write_report

    flags = argparse.ArgumentParser(prog='python -m benchmarks.quality', description='Tables and plots of a CSV.')
    flags.add_argument('--report', type=Path, required=True, metavar='CSV')
    flags.add_argument('--output', type=Path, help="default: the CSV's folder")
    options = flags.parse_args(arguments)
    print(write_report(options.report, options.output or options.report.parent))
    return 0
