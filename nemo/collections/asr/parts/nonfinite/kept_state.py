# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""What a forward pass changes, so that it can be taken back: statistics of batch norms, counts of metrics."""


import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torchmetrics import Metric


class KeptBuffers:
    """Running statistics of a model's batch norms before a step. A model without batch norms has none."""

    def __init__(self, model: nn.Module):
        norms = [m for m in model.modules() if isinstance(m, _BatchNorm) and m.track_running_stats]
        self.buffers: list[Tensor] = [b for norm in norms for b in norm.buffers(recurse=False)]
        self.kept: list[Tensor] = []

    def keep(self) -> None:
        """Remembers them as they are."""
        self.kept = [buffer.clone() for buffer in self.buffers]

    @torch.no_grad()
    def put_back(self) -> None:
        """Makes them what they were."""
        for buffer, kept in zip(self.buffers, self.kept):
            buffer.copy_(kept)


class KeptCounts:
    """A metric's counts before a batch."""

    def __init__(self, metric: Metric | None):
        self.metric = metric
        self.before: dict[str, Tensor] = {}
        if metric is not None:
            self.before = {name: value.clone() for name, value in metric.metric_state.items()}

    def put_back_unless(self, is_fine: Tensor) -> None:
        """Takes the batch back if it is not fine, a boolean on the device: the host does not wait for it."""
        for name, before in self.before.items():
            now = getattr(self.metric, name)
            setattr(self.metric, name, torch.where(is_fine.to(now.device), now, before.to(now.device)))
