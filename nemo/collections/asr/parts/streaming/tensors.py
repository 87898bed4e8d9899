# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""What a streaming session asks of arrays, by torch; `nemo_streaming_ssl/onnx_session/arrays.py` has it by NumPy.

Most functions, and the methods that are called on arrays, are the same in both libraries: these are only named."""

from typing import Any

import numpy as np
import torch
from torch import (
    Tensor,
    arange,
    argwhere,
    concatenate,
    fft,
    finfo,
    float32,
    is_floating_point,
    isfinite,
    log,
    where,
    zeros,
)

from nemo.collections.asr.parts.streaming.batch_rows import slices_from

__all__ = ["arange", "argwhere", "concatenate", "fft", "finfo", "float32", "is_floating_point", "isfinite", "log"]
__all__ += ["slices_from", "where", "zeros"]

KIND = "a tensor"


def as_array(value: Any) -> Tensor:
    """A tensor of what may be one already, an array or nested sequences of numbers.

    Raises:
        TypeError, ValueError, RuntimeError: it cannot be made one
    """
    if isinstance(value, Tensor):
        return value
    array = np.array(value)  # a copy: torch takes neither arrays that go backwards nor ones that are read only
    return torch.as_tensor(array.astype(array.dtype.newbyteorder("="), copy=False))


def cast(x: Tensor, dtype: torch.dtype) -> Tensor:
    """The same numbers in another type."""
    return x.to(dtype)


def moved(x: Tensor, like: Tensor) -> Tensor:
    """The same numbers on the device of `like`."""
    return x.to(like.device)


def windows(x: Tensor, size: int, hop: int) -> Tensor:
    """The windows that begin every `hop` samples, (B, N) -> (B, windows, size): a view."""
    return x.unfold(1, size, hop)
