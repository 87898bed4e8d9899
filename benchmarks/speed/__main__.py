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

"""Every part of the benchmark of speed, then its plot: `make benchmark` or `python -m benchmarks.speed [flags]`."""

import subprocess
import sys

from benchmarks.speed.harness import ROOT, parse_arguments
from benchmarks.speed.plot import draw

PARTS = ("masking", "quantizer", "attention", "decoding", "subsampling", "training_step", "streaming_step")


def main() -> int:
    args = parse_arguments(__doc__, sys.argv[1:])
    for part in PARTS:
        # a process for each, so that none finds the memory of another
        command = [sys.executable, "-m", f"benchmarks.speed.{part}", *sys.argv[1:]]
        subprocess.run(command, check=True, cwd=ROOT)
    draw(args.output)
    return 0


if __name__ == "__main__":
    sys.exit(main())
