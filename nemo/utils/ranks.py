# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""What the ranks of a training run tell each other."""

from typing import Any

import torch.distributed as dist


def has_ranks() -> bool:
    """Whether this process is one of a process group."""
    return dist.is_available() and dist.is_initialized()


def from_all_ranks(value: Any) -> list[Any]:
    """The values of all ranks, each of which must call this; `[value]` where there is one process."""
    if not has_ranks():
        return [value]
    values: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(values, value)
    return values
