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

"""
Linear phone probes on frozen features: log-mel, a random encoder, and encoders pretrained with three kinds of context.

    python -m benchmarks.quality [--seeds 0 1 2] [--minutes 10] [--steps 500] [--device cpu] ...
    python -m benchmarks.quality --plan PLAN ...       error rates on real corpora instead, see corpora/options.py
    python -m benchmarks.quality --report CSV          tables and plots of these

The first writes a table (CSV) and a plot, and prints the table. The command starts itself once more with the settings
of benchmarks/malloc.py in its environment, if none of them is set: they make training on a CPU faster.
"""

import os
import sys
from typing import Optional, Sequence

from benchmarks import malloc
from benchmarks.quality.corpora import command
from benchmarks.quality.options import read_options


def main(arguments: Optional[Sequence[str]] = None) -> int:
    """The whole command; returns its exit status, 2 for options that cannot be."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if command.is_meant(arguments):
        return command.main(arguments)
    options = read_options(arguments)
    if missing(options.device):
        print(f'device={options.device}: is not on this machine', file=sys.stderr)
        sys.exit(2)
    # NeMo takes seconds to import: not before the options are known to be good
    from benchmarks.quality.experiment import run
    from benchmarks.quality.plot import draw
    from benchmarks.quality.report import table, write_csv

    rows = run(options)
    options.output.mkdir(parents=True, exist_ok=True)
    write_csv(options.output / 'quality.csv', rows, options)
    draw(options.output / 'quality.png', rows)
    print(f"\n{table(rows)}\n\n{options.output / 'quality.csv'}\n{options.output / 'quality.png'}")
    return 0


def missing(device: str) -> bool:
    """Whether torch cannot compute there."""
    import torch

    try:
        return not torch.zeros(1, device=device).isfinite()
    except (AssertionError, RuntimeError):
        return True


def start_again_with_malloc_settings():
    """Replaces this process by the same command with the settings; does nothing if one of them is there already."""
    if sys.platform == 'linux' and not malloc.is_set():
        command = [sys.executable, '-m', 'benchmarks.quality', *sys.argv[1:]]
        os.execve(sys.executable, command, malloc.environment('tuned'))


if __name__ == '__main__':
    start_again_with_malloc_settings()
    sys.exit(main())
