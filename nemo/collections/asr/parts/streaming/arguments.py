# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""What a streaming session is given, as tensors and numbers.

Each check raises a ValueError that names the argument, its value, shape or type, and what is allowed."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

ArrayLike = Tensor | np.ndarray | Sequence[Any]


def as_samples(samples: ArrayLike, batch_size: int) -> Tensor:
    """Samples (B, N) as a tensor of floats, of the dtype that they have.

    Args:
        samples: a tensor, an array, or a sequence of B equally long sequences of floats
    """
    x = _as_tensor("samples", samples)
    if not x.is_floating_point():
        raise ValueError(f"samples of dtype {x.dtype}: must be floats, from -1 to 1; divide int16 by 32768")
    if x.dim() != 2 or x.size(0) != batch_size:
        raise ValueError(
            f"samples of shape {tuple(x.shape)}: must be of shape (batch_size, N) with batch_size={batch_size}"
        )
    return x


def as_features(feats: ArrayLike, batch_size: int, num_features: int) -> Tensor:
    """Features (B, D, F) as a tensor of floats, of the dtype that they have.

    Args:
        feats: a tensor, an array, or nested sequences of floats
    """
    x = _as_tensor("feats", feats)
    if not x.is_floating_point():
        raise ValueError(f"feats of dtype {x.dtype}: must be floats, as the model's preprocessor makes them")
    if x.dim() != 3 or x.shape[:2] != (batch_size, num_features):
        raise ValueError(
            f"feats of shape {tuple(x.shape)}: must be of shape (batch_size, features, F) with "
            f"batch_size={batch_size} and {num_features} features"
        )
    return x


def as_counts(lengths: ArrayLike | None, batch_size: int, most: int, what: str) -> list[int]:
    """How many of `most` samples or feature frames (`what`) each stream has.

    Args:
        lengths: a tensor, an array or a sequence of batch_size whole numbers; None: `most` for each
    """
    if lengths is None:
        return [most] * batch_size
    x = _one_per_stream("lengths", lengths, batch_size)
    if x.dtype == torch.bool or x.is_complex():
        raise ValueError(f"lengths of dtype {x.dtype}: must be integers")
    counts = x.tolist()
    if not all(0 <= count <= most and count == int(count) for count in counts):
        raise ValueError(f"lengths={counts}: must be integers from 0 to {most}, the {what} that there are")
    return [int(count) for count in counts]


def as_rows(mask: ArrayLike | None, batch_size: int) -> list[int]:
    """The indices of the streams that a mask names.

    Args:
        mask: a tensor, an array or a sequence of batch_size flags (0 and 1 are flags too); None: all streams
    """
    if mask is None:
        return list(range(batch_size))
    flags = _one_per_stream("mask", mask, batch_size).tolist()
    if not all(flag in (0, 1) for flag in flags):
        raise ValueError(f"mask={flags}: must be true or false for each stream")
    return [row for row, flag in enumerate(flags) if flag]


def _one_per_stream(name: str, value: ArrayLike, batch_size: int) -> Tensor:
    x = _as_tensor(name, value)
    if x.shape != (batch_size,):
        raise ValueError(
            f"{name} of shape {tuple(x.shape)}: must be of shape (batch_size,) with batch_size={batch_size}"
        )
    return x


def _as_tensor(name: str, value: ArrayLike) -> Tensor:
    if isinstance(value, Tensor):
        return value
    try:
        array = np.array(value)  # a copy: torch takes neither arrays that go backwards nor ones that are read only
        return torch.as_tensor(array.astype(array.dtype.newbyteorder("="), copy=False))
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f"{name} is a {type(value).__name__} that cannot be made a tensor: {error}") from error
