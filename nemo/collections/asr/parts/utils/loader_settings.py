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

"""How a data loader was made, for one that takes its place."""

from typing import Any, Dict

from torch.utils.data import DataLoader

SETTINGS = (
    "num_workers",
    "pin_memory",
    "timeout",
    "worker_init_fn",
    "multiprocessing_context",
    "persistent_workers",
    "prefetch_factor",
)


def loader_settings(loader: DataLoader) -> Dict[str, Any]:
    """Arguments of `DataLoader` that say how data is loaded; not which data, in which order, in what batches."""
    return {name: getattr(loader, name) for name in SETTINGS}
