# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Whether a model is still what a session was made of."""

from collections.abc import Hashable
from typing import Any

import torch
from torch import nn

from nemo.collections.asr.parts.streaming.requirements import require_eval_mode


class ModelGuard:
    """Remembers type and device of a model's weights: of the first one of each of its parts and of each encoder layer.

    Args:
        model: with an `encoder` that has `layers`
    """

    def __init__(self, model: Any):
        self.model = model
        parts: list[nn.Module] = [model.encoder, *model.encoder.layers, *model.children()]
        # by their names: where a move makes new parameters, the old ones stay where they were
        self._weights = [first for first in map(_first_weight, parts) if first is not None]

    def require_unchanged(self) -> None:
        """Raises a ValueError if the model is in train mode, or has been cast or moved."""
        require_eval_mode(self.model)
        for module, name, dtype, device in self._weights:
            weight = getattr(module, name, None)
            if weight is not None and (weight.dtype, weight.device) != (dtype, device):
                raise ValueError(
                    f"the model has been cast or moved since this session was made, from {dtype} on {device} to "
                    f"{weight.dtype} on {weight.device}: cast or move it first, then make the session"
                )


def _first_weight(part: nn.Module) -> tuple[nn.Module, str, torch.dtype, torch.device] | None:
    """Where a part's first parameter is found, its type and device; None if it has none."""
    for module in part.modules():
        for name, weight in module.named_parameters(recurse=False):
            return module, name, weight.dtype, weight.device
    return None


def structure(module: nn.Module) -> Hashable:
    """Classes, methods and hooks of all parts: what can change without the weights."""
    return tuple(
        (type(part), type(part).forward, id(vars(part).get("forward")))
        + (*part._forward_hooks, *part._forward_pre_hooks)  # each has a number of its own
        for part in module.modules()
    )
