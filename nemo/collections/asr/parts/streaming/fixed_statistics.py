# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Features normalised by constants, `preprocessor.normalize: {fixed_mean: [...], fixed_std: [...]}`."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

NAMES = ("fixed_mean", "fixed_std")


def statistics_problem(normalize: Mapping, num_features: int) -> str | None:
    """What is wrong with a preprocessor's constants for `num_features` features per frame, None if nothing is."""
    for name in NAMES:
        values = normalize.get(name)
        count = len(values) if isinstance(values, Sequence) else 0
        if count != num_features:
            return f"preprocessor.normalize.{name} has {count} numbers, must have {num_features}, one for each feature"
    if any(value == 0 for value in normalize["fixed_std"]):
        return "preprocessor.normalize.fixed_std has a 0, must have none"
    return None


def fixed_statistics(normalize: Any, like: Tensor) -> tuple[Tensor, Tensor] | None:
    """Mean and standard deviation of each feature, (D,) each, of the dtype and device of `like`; None without them."""
    if not isinstance(normalize, Mapping):
        return None
    mean, std = (like.new_tensor(_numbers(normalize[name])) for name in NAMES)
    return mean, std


def _numbers(values: Any) -> list[float]:
    return [float(value) for value in values]
