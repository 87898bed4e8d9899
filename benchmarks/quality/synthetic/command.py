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

"""`python -m benchmarks.quality` without a plan: linear phone probes on features of synthetic speech."""

import sys
from typing import Optional, Sequence

from benchmarks.quality.device import missing
from benchmarks.quality.synthetic.options import read_options


def main(arguments: Optional[Sequence[str]] = None) -> int:
    """The whole command; returns its exit status, 2 for options that cannot be."""
    options = read_options(arguments)
    if missing(options.device):
        print(f'device={options.device}: is not on this machine', file=sys.stderr)
        sys.exit(2)
    # NeMo takes seconds to import: not before the options are known to be good
    from benchmarks.quality.synthetic.experiment import run
    from benchmarks.quality.synthetic.plot import draw
    from benchmarks.quality.synthetic.report import table, write_csv

    rows = run(options)
    options.output.mkdir(parents=True, exist_ok=True)
    write_csv(options.output / 'quality.csv', rows, options)
    draw(options.output / 'quality.png', rows)
    print(f"\n{table(rows)}\n\n{options.output / 'quality.csv'}\n{options.output / 'quality.png'}")
    return 0
