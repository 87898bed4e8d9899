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

"""What a stream makes is the same in whatever mode its caller is: ordinary tensors, no graph, and a known type."""

from contextlib import nullcontext
from typing import Any, Callable, ContextManager, TypeVar

import torch

Method = TypeVar("Method", bound=Callable[..., Any])


def without_gradients(method: Method) -> Method:
    """Makes ordinary tensors in whatever mode the caller is, but no graph. Inference tensors could not be trained on
    later, nor a session be used outside the mode that it was made in."""
    return torch.inference_mode(False)(torch.no_grad()(method))


def without_autocast(device: torch.device) -> ContextManager[Any]:
    """A context in which numbers keep their type, where the device has autocast at all."""
    if torch.amp.is_autocast_available(device.type):
        return torch.amp.autocast(device.type, enabled=False)
    return nullcontext()
