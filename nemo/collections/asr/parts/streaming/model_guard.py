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

"""Whether a model is still what a session was made of."""

from typing import Any, List, Optional, Tuple

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
        parts: List[nn.Module] = [model.encoder, *model.encoder.layers, *model.children()]
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


def _first_weight(part: nn.Module) -> Optional[Tuple[nn.Module, str, torch.dtype, torch.device]]:
    """Where a part's first parameter is found, its type and device; None if it has none."""
    for module in part.modules():
        for name, weight in module.named_parameters(recurse=False):
            return module, name, weight.dtype, weight.device
    return None
