# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""What a streaming session is given, as arrays and numbers.

Each check raises a ValueError that names the argument, its value, shape or type, and what is allowed. `arrays` are the
functions of `tensors.py`, or the same of NumPy."""

import numbers
from typing import Any

ArrayLike = Any  # a tensor of torch, an array of NumPy, or nested sequences of numbers


def as_samples(arrays: Any, samples: ArrayLike, batch_size: int) -> Any:
    """Samples (B, N), in float32."""
    x = _as_array(arrays, "samples", samples)
    if not arrays.is_floating_point(x):
        raise ValueError(f"samples of dtype {x.dtype}: must be floats, from -1 to 1; divide int16 by 32768")
    if x.ndim != 2 or x.shape[0] != batch_size:
        raise ValueError(_shape("samples", x, "(batch_size, N)", batch_size))
    return arrays.cast(x, arrays.float32)


def as_features(arrays: Any, feats: ArrayLike, batch_size: int, num_features: int) -> Any:
    """Features (B, D, F), of the dtype that they have."""
    x = _as_array(arrays, "feats", feats)
    if not arrays.is_floating_point(x):
        raise ValueError(f"feats of dtype {x.dtype}: must be floats, as the model's preprocessor makes them")
    if x.ndim != 3 or tuple(x.shape[:2]) != (batch_size, num_features):
        raise ValueError(_shape("feats", x, "(batch_size, features, F)", batch_size) + f" and {num_features} features")
    return x


def as_counts(arrays: Any, lengths: ArrayLike | None, batch_size: int, most: int, what: str) -> list[int]:
    """How many of `most` samples or feature frames (`what`) each of the streams has; None: all."""
    if lengths is None:
        return [most] * batch_size
    x = _one_per_stream(arrays, "lengths", lengths, batch_size)
    counts = x.tolist()
    if not all(isinstance(count, numbers.Real) and not isinstance(count, bool) for count in counts):
        raise ValueError(f"lengths of dtype {x.dtype}: must be integers")
    if not all(0 <= count <= most and count == int(count) for count in counts):
        raise ValueError(f"lengths={counts}: must be integers from 0 to {most}, the {what} that there are")
    return [int(count) for count in counts]


def as_rows(arrays: Any, mask: ArrayLike | None, batch_size: int) -> list[int]:
    """The indices of the streams that a mask names (0 and 1 are flags too); None: all streams."""
    if mask is None:
        return list(range(batch_size))
    flags = _one_per_stream(arrays, "mask", mask, batch_size).tolist()
    if not all(flag in (0, 1) for flag in flags):
        raise ValueError(f"mask={flags}: must be true or false for each stream")
    return [row for row, flag in enumerate(flags) if flag]


def check_integer(name: str, value: Any, minimum: int) -> int:
    """Returns `value` if it is an integer >= minimum (a bool is none)."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < minimum:
        raise ValueError(f"{name}={value!r}: must be an integer >= {minimum}")
    return int(value)


def _one_per_stream(arrays: Any, name: str, value: ArrayLike, batch_size: int) -> Any:
    x = _as_array(arrays, name, value)
    if tuple(x.shape) != (batch_size,):
        raise ValueError(_shape(name, x, "(batch_size,)", batch_size))
    return x


def _as_array(arrays: Any, name: str, value: ArrayLike) -> Any:
    try:
        return arrays.as_array(value)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f"{name} is a {type(value).__name__} that cannot be made {arrays.KIND}: {error}") from error


def _shape(name: str, x: Any, allowed: str, batch_size: int) -> str:
    return f"{name} of shape {tuple(x.shape)}: must be of shape {allowed} with batch_size={batch_size}"
