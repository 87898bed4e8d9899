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

"""What the ranks of a training run tell each other."""

from typing import Any, List

import torch.distributed as dist


def has_ranks() -> bool:
    """Whether this process is one of a process group."""
    return dist.is_available() and dist.is_initialized()


def from_all_ranks(value: Any) -> List[Any]:
    """The values of all ranks, each of which must call this; `[value]` where there is one process."""
    if not has_ranks():
        return [value]
    values: List[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(values, value)
    return values
