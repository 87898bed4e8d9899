# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""What a streaming session asks of arrays, by NumPy; see `parts/streaming/tensors.py` of the overlay."""

from typing import Any

import numpy as np
from numpy import arange, argwhere, concatenate, fft, finfo, float32, isfinite, log, where, zeros

from nemo_streaming_ssl.onnx_session.rows import slices_from

__all__ = ["arange", "argwhere", "concatenate", "fft", "finfo", "float32", "isfinite", "log", "slices_from", "where"]
__all__ += ["zeros"]

KIND = "an array"


def as_array(value: Any) -> np.ndarray:
    """See tensors.py."""
    array = np.asarray(value)
    if array.dtype == object:
        raise TypeError("what it holds are no numbers")
    return array


def is_floating_point(x: np.ndarray) -> bool:
    """Whether it has floats, complex numbers not among them."""
    return np.issubdtype(x.dtype, np.floating)


def cast(x: np.ndarray, dtype: Any) -> np.ndarray:
    """See tensors.py."""
    return x.astype(dtype)


def moved(x: np.ndarray, like: np.ndarray) -> np.ndarray:
    """See tensors.py."""
    return x


def windows(x: np.ndarray, size: int, hop: int) -> np.ndarray:
    """See tensors.py."""
    return np.lib.stride_tricks.sliding_window_view(x, size, axis=1)[:, ::hop]
