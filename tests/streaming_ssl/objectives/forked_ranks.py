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

"""Runs of `rank_runs.py` as two ranks that are forked from one process: NeMo is imported once.

python forked_ranks.py RUNS.pt FOLDER
"""

import os
import sys
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS), str(TESTS / "distributed")]
import rank_runs  # noqa: E402
from rank_processes import free_port  # noqa: E402

RANKS = 2


def fork(rank: int, port: int, *arguments: str) -> int:
    """Starts a rank; returns its process id."""
    child = os.fork()
    if child:
        return child
    try:
        os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank), NODE_RANK="0", WORLD_SIZE=str(RANKS))
        os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
        rank_runs.main(*arguments)  # it ends the process
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stderr.flush()
        os._exit(1)


if __name__ == "__main__":
    port = free_port()
    for child in [fork(rank, port, *sys.argv[1:]) for rank in range(RANKS)]:
        os.waitpid(child, 0)
