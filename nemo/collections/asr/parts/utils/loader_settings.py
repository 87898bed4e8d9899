# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""How a data loader was made, for one that takes its place."""

from typing import Any

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


def loader_settings(loader: DataLoader) -> dict[str, Any]:
    """Arguments of `DataLoader` that say how data is loaded; not which data, in which order, in what batches."""
    return {name: getattr(loader, name) for name in SETTINGS}
