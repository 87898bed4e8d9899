# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""What a streaming session asks of arrays, by NumPy; `parts/streaming/tensors.py` of the overlay says what each does."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
from numpy import argwhere, concatenate, finfo, float32, isfinite, log, where

from nemo_streaming_ssl.onnx_session.rows import slices_from

__all__ = ["argwhere", "concatenate", "finfo", "float32", "isfinite", "log", "slices_from", "where"]

KIND = "an array"


def as_array(value: Any) -> np.ndarray:
    """See tensors.py."""
    array = np.asarray(value)
    if array.dtype == object:
        raise TypeError("what it holds are no numbers")
    return array


def is_floating(x: np.ndarray) -> bool:
    """See tensors.py."""
    return np.issubdtype(x.dtype, np.floating)


def cast(x: np.ndarray, dtype: Any) -> np.ndarray:
    """See tensors.py."""
    return x.astype(dtype)


def moved(x: np.ndarray, like: np.ndarray) -> np.ndarray:
    """See tensors.py."""
    return x


def integers(values: Sequence[int], like: np.ndarray) -> np.ndarray:
    """See tensors.py."""
    return np.array(values, np.int64)


def steps(x: np.ndarray) -> np.ndarray:
    """See tensors.py."""
    return np.arange(x.shape[-1])


def zeros(shape: Sequence[int], like: np.ndarray) -> np.ndarray:
    """See tensors.py."""
    return np.zeros(shape, like.dtype)


def followed_by_zeros(x: np.ndarray, count: int) -> np.ndarray:
    """See tensors.py."""
    return np.pad(x, ((0, 0), (0, count)))


def windows(x: np.ndarray, size: int, hop: int) -> np.ndarray:
    """See tensors.py."""
    return np.lib.stride_tricks.sliding_window_view(x, size, axis=1)[:, ::hop]


def power_spectrum(x: np.ndarray, n_fft: int) -> np.ndarray:
    """See tensors.py."""
    spectrum = np.fft.rfft(x, n=n_fft)
    return (spectrum.real**2 + spectrum.imag**2).astype(np.float32)


def own_precision(x: np.ndarray) -> AbstractContextManager[Any]:
    """See tensors.py."""
    return nullcontext()
