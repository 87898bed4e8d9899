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

import os
import sys
from collections.abc import Sequence

from benchmarks import malloc
from benchmarks.quality.corpora import command as corpora
from benchmarks.quality.synthetic import command as synthetic


def main(arguments: Sequence[str] | None = None) -> int:
    """The command that is meant; returns its exit status."""
    arguments = sys.argv[1:] if arguments is None else arguments
    meant = corpora if corpora.is_meant(arguments) else synthetic
    return meant.main(arguments)


def start_again_with_malloc_settings():
    """Replaces this process by the same command with the settings; does nothing if one of them is there already."""
    if sys.platform == "linux" and not malloc.is_set():
        command = [sys.executable, "-m", "benchmarks.quality", *sys.argv[1:]]
        os.execve(sys.executable, command, malloc.environment("tuned"))


if __name__ == "__main__":
    start_again_with_malloc_settings()
    sys.exit(main())
