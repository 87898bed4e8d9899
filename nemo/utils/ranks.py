# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""What the ranks of a training run tell each other."""

from typing import Any

import torch.distributed as dist
from torch import Tensor


def has_ranks() -> bool:
    """Whether this process is one of a process group."""
    return dist.is_available() and dist.is_initialized()


def largest_of_all_ranks(values: Tensor) -> Tensor:
    """The largest of each value over all ranks, each of which must call this; in place, the host does not wait."""
    if has_ranks():
        dist.all_reduce(values, dist.ReduceOp.MAX)
    return values


def from_all_ranks(value: Any) -> list[Any]:
    """The values of all ranks, each of which must call this; `[value]` where there is one process."""
    if not has_ranks():
        return [value]
    values: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(values, value)
    return values
