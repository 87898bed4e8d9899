# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""What a streaming session asks of arrays, by torch. `nemo_streaming_ssl/onnx_session/arrays.py` has it by NumPy.

Some functions, and the methods that are called on arrays, are the same in both: here they are only named."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import torch
from torch import Tensor, argwhere, concatenate, finfo, float32, isfinite, log, where

from nemo.collections.asr.parts.streaming.batch_rows import slices_from
from nemo.collections.asr.parts.streaming.without_gradients import without_autocast

__all__ = ["argwhere", "concatenate", "finfo", "float32", "isfinite", "log", "slices_from", "where"]

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


def is_floating(x: Tensor) -> bool:
    """Whether it has floats, complex numbers not among them."""
    return x.is_floating_point()


def cast(x: Tensor, dtype: torch.dtype) -> Tensor:
    """The same numbers in another type."""
    return x.to(dtype)


def moved(x: Tensor, like: Tensor) -> Tensor:
    """The same numbers on the device of `like`."""
    return x.to(like.device)


def integers(values: Sequence[int], like: Tensor) -> Tensor:
    """Numbers, (len(values),), on the device of `like`."""
    return torch.tensor(values, device=like.device)


def steps(x: Tensor) -> Tensor:
    """The indices of the last dimension of x."""
    return torch.arange(x.size(-1), device=x.device)


def zeros(shape: Sequence[int], like: Tensor) -> Tensor:
    """Zeros of the type and on the device of `like`."""
    return like.new_zeros(shape)


def followed_by_zeros(x: Tensor, count: int) -> Tensor:
    """(B, N) -> (B, N + count)"""
    return torch.nn.functional.pad(x, (0, count))


def windows(x: Tensor, size: int, hop: int) -> Tensor:
    """The windows that begin every `hop` samples, (B, N) -> (B, windows, size): a view."""
    return x.unfold(1, size, hop)


def power_spectrum(x: Tensor, n_fft: int) -> Tensor:
    """(B, F, N) -> (B, F, n_fft / 2 + 1)"""
    return torch.view_as_real(torch.fft.rfft(x, n=n_fft)).square().sum(-1)


def own_precision(x: Tensor) -> AbstractContextManager[Any]:
    """A context in which numbers keep their type, also under autocast."""
    return without_autocast(x.device)
