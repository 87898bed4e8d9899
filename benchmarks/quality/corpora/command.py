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

"""`python -m benchmarks.quality --plan ...`: error rates on real corpora."""

import sys
from typing import Optional, Sequence

from benchmarks.quality.corpora.options import read_options


def main(arguments: Optional[Sequence[str]] = None) -> int:
    """The whole command; returns its exit status: 2 for what cannot be, 1 if runs failed."""
    options = read_options(arguments)
    # NeMo takes seconds to import: not before the options are known to be good
    from benchmarks.quality.corpora.run import run_plan, set_up, threads_of

    set_up(threads_of(options.jobs))
    try:
        failed = run_plan(options)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    print(f'{options.csv}' + f'; {failed} tasks failed' * bool(failed), flush=True)
    return min(failed, 1)
