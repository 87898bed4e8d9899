# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""The base of a step's modules."""

from typing import Any

import torch
from torch import nn


class Part(nn.Module):
    """A module that is made once and then only called: a step of one frame calls some hundred of them, and looking for
    hooks and for parts would be a twentieth of its time."""

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        if isinstance(value, (nn.Module, nn.Parameter)):
            self.__dict__[name] = value  # found without `nn.Module.__getattr__`

    def __call__(self, *args: Any) -> Any:
        return super().__call__(*args) if torch.jit.is_tracing() else self.forward(*args)
