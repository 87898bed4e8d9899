# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""What a session is given, as arrays and numbers.

Each check raises a ValueError that names the argument, its value, shape or type, and what is allowed.
"""

import numbers
from collections.abc import Sequence
from typing import Any

import numpy as np

ArrayLike = np.ndarray | Sequence[Any]


def as_samples(samples: ArrayLike, batch_size: int) -> np.ndarray:
    """Samples (B, N) as float32."""
    x = _as_array("samples", samples)
    if not np.issubdtype(x.dtype, np.floating):
        raise ValueError(f"samples of dtype {x.dtype}: must be floats, from -1 to 1; divide int16 by 32768")
    if x.ndim != 2 or x.shape[0] != batch_size:
        raise ValueError(f"samples of shape {x.shape}: must be of shape (batch_size, N) with batch_size={batch_size}")
    return x.astype(np.float32)


def as_features(feats: ArrayLike, batch_size: int, num_features: int) -> np.ndarray:
    """Features (B, D, F) as float32."""
    x = _as_array("feats", feats)
    if not np.issubdtype(x.dtype, np.floating):
        raise ValueError(f"feats of dtype {x.dtype}: must be floats, as the model's preprocessor makes them")
    if x.ndim != 3 or x.shape[:2] != (batch_size, num_features):
        raise ValueError(
            f"feats of shape {x.shape}: must be of shape (batch_size, features, F) with batch_size={batch_size} and "
            f"{num_features} features"
        )
    return x.astype(np.float32)


def as_counts(lengths: ArrayLike | None, batch_size: int, most: int, what: str) -> list[int]:
    """How many of `most` samples or feature frames (`what`) each stream has; None: all."""
    if lengths is None:
        return [most] * batch_size
    x = _one_per_stream("lengths", lengths, batch_size)
    if x.dtype == bool or not np.issubdtype(x.dtype, np.number) or np.iscomplexobj(x):
        raise ValueError(f"lengths of dtype {x.dtype}: must be integers")
    counts = x.tolist()
    if not all(0 <= count <= most and count == int(count) for count in counts):
        raise ValueError(f"lengths={counts}: must be integers from 0 to {most}, the {what} that there are")
    return [int(count) for count in counts]


def as_rows(mask: ArrayLike | None, batch_size: int) -> list[int]:
    """The indices of the streams that a mask names; None: all streams."""
    if mask is None:
        return list(range(batch_size))
    flags = _one_per_stream("mask", mask, batch_size).tolist()
    if not all(flag in (0, 1) for flag in flags):
        raise ValueError(f"mask={flags}: must be true or false for each stream")
    return [row for row, flag in enumerate(flags) if flag]


def as_left_contexts(value: None | int | Sequence[int], trained: Sequence[int], chunk: int) -> list[int]:
    """The left context of each layer, in encoder frames.

    Args:
        value: one for all layers (a layer that was trained with less keeps that), one for each; None: the trained ones
        trained: the longest that each layer may have
        chunk: encoder frames of a chunk
    """
    if value is None:
        return list(trained)
    if isinstance(value, numbers.Integral) and not isinstance(value, bool):
        value = [min(check_integer("left_contexts", value, 0), most) for most in trained]
    given: list[Any] = list(value) if isinstance(value, (list, tuple, np.ndarray)) else [value]
    if len(given) != len(trained):
        raise ValueError(f"left_contexts={value!r}: must be an integer, or {len(trained)}, one for each layer")
    for layer, (left, most) in enumerate(zip(given, trained)):
        if check_integer(f"left_contexts[{layer}]", left, 0) > most or left % chunk:
            raise ValueError(f"left_contexts[{layer}]={left}: must be a multiple of {chunk} from 0 to {most}")
    return [int(left) for left in given]


def check_integer(name: str, value: Any, minimum: int) -> int:
    """Returns `value` if it is an integer >= minimum (a bool is none)."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < minimum:
        raise ValueError(f"{name}={value!r}: must be an integer >= {minimum}")
    return int(value)


def _one_per_stream(name: str, value: ArrayLike, batch_size: int) -> np.ndarray:
    x = _as_array(name, value)
    if x.shape != (batch_size,):
        raise ValueError(f"{name} of shape {x.shape}: must be of shape (batch_size,) with batch_size={batch_size}")
    return x


def _as_array(name: str, value: ArrayLike) -> np.ndarray:
    try:
        array = np.asarray(value)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f"{name} is a {type(value).__name__} that cannot be made an array: {error}") from error
    if array.dtype == object:
        raise ValueError(f"{name} is a {type(value).__name__} that cannot be made an array of numbers")
    return array
