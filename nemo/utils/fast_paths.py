# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""When a faster path of ours may be taken: it is switched on, and PyTorch is just running.

A faster path is an autograd function, or it looks at a tensor's values to leave out work. A tracer cannot record the
first and freezes the second. In such surroundings a patch steps aside for NeMo's own code.
"""

import os

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.utils import _python_dispatch

# Each of them computes what NeMo's code computes. `NEMO_STREAMING_SSL_WITHOUT=subsampling,quantizer` in the
# environment leaves these to NeMo's own.
FAST_PATHS = ("attention", "decoding", "quantizer", "subsampling")
SWITCH = "NEMO_STREAMING_SSL_WITHOUT"
HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


def is_on(fast_path: str) -> bool:
    """False for one of `FAST_PATHS` that is switched off."""
    return fast_path not in _SWITCHED_OFF


def _switched_off() -> frozenset:
    names = frozenset(name.strip() for name in os.environ.get(SWITCH, "").split(",") if name.strip())
    if unknown := ", ".join(sorted(names.difference(FAST_PATHS))):
        raise ValueError(f"{SWITCH}={unknown}: allowed are {', '.join(FAST_PATHS)}, with commas between them")
    return names


_SWITCHED_OFF = _switched_off()


def runs_eagerly(*tensors: Tensor) -> bool:
    """
    True if PyTorch is just running on these tensors.

    False while something traces, scripts, exports or compiles; under a transform of `torch.func` or forward-mode
    differentiation; in a dispatch mode (fake tensors, `make_fx`, counters of operations); or if one of the tensors is
    of a subclass (`DTensor`, a fake tensor).
    """
    # in this order: the compiler follows this function, and knows only the first line
    if torch.compiler.is_compiling() or is_recorded() or torch._C._are_functorch_transforms_active():
        return False
    if forward_ad._current_level >= 0 or _python_dispatch.is_in_torch_dispatch_mode():
        return False
    return all(type(x) in (Tensor, nn.Parameter) for x in tensors)


def is_recorded() -> bool:
    """True while a graph is made that will run elsewhere: TorchScript, ONNX, `torch.export`."""
    # PyTorch before 2.7 does not tell an export from a compilation
    is_exporting = getattr(torch.compiler, "is_exporting", torch.compiler.is_compiling)
    return torch.jit.is_tracing() or torch.jit.is_scripting() or is_exporting()


def is_as_made(layer: nn.Module) -> bool:
    """True if nothing watches or replaces a layer's forward, and its parameters are ordinary ones."""
    watched = any(getattr(layer, hooks) for hooks in HOOKS) or "forward" in vars(layer)
    return not watched and all(type(parameter) is nn.Parameter for parameter in layer.parameters())
