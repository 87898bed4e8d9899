# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Pieces of the rows of an array that begin at different places."""

from collections.abc import Sequence

import numpy as np


def slices_from(x: np.ndarray, starts: Sequence[int], length: int) -> np.ndarray:
    """`length` steps of each row, (B, T, ...) -> (B, length, ...), from `starts[row]` on; past either end the step
    there is repeated. A copy."""
    if all(start == starts[0] for start in starts) and 0 <= starts[0] <= x.shape[1] - length:
        return x[:, starts[0] : starts[0] + length].copy()
    index = (np.asarray(starts)[:, None] + np.arange(length)).clip(0, x.shape[1] - 1)
    return x[np.arange(len(x))[:, None], index]
