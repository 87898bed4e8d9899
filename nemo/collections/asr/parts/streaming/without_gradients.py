# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""What a stream makes is the same in whatever mode its caller is: ordinary tensors, no graph, and a known type."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TypeVar

import torch

Method = TypeVar("Method", bound=Callable[..., Any])


def without_gradients(method: Method) -> Method:
    """Makes ordinary tensors in whatever mode the caller is, but no graph. Inference tensors could not be trained on
    later, nor a session be used outside the mode that it was made in."""
    return torch.inference_mode(False)(torch.no_grad()(method))


def without_autocast(device: torch.device) -> AbstractContextManager[Any]:
    """A context in which numbers keep their type, where the device has autocast at all."""
    if torch.amp.is_autocast_available(device.type):
        return torch.amp.autocast(device.type, enabled=False)
    return nullcontext()
