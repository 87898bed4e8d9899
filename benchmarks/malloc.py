# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""The settings of glibc's malloc under which a training on a CPU is fast; they are read when a process starts.

By default glibc gives large blocks back to the system at once and asks for them again at the next step, which costs a
training step on a CPU a large part of its time.
"""

import os

# bytes
TUNED = {
    "MALLOC_MMAP_THRESHOLD_": str(2**32),
    "MALLOC_TRIM_THRESHOLD_": str(2**34),
    "MALLOC_TOP_PAD_": str(2**28),
}


def kind() -> str:
    """How this process allocates: `tuned` or `default`."""
    return "tuned" if all(os.environ.get(name) == value for name, value in TUNED.items()) else "default"


def is_set() -> bool:
    """True if one of the variables is in the environment already."""
    return any(name in os.environ for name in TUNED)


def environment(wanted: str) -> dict:
    """The environment of a new process that allocates as `wanted` says: `tuned` or `default`."""
    others = {name: value for name, value in os.environ.items() if name not in TUNED}
    return {**others, **TUNED} if wanted == "tuned" else others
