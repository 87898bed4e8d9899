# Copyright (c) 2026, the streaming-ssl authors.
#
# Licensed under the Apache License, Version 2.0 (the "License");
# you may not use this file except in compliance with the License.
# You may obtain a copy of the License at
#
#     http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS,
# WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
# See the License for the specific language governing permissions and
# limitations under the License.

"""Pieces of the rows of an array that begin at different places."""

from typing import Sequence

import numpy as np


def slices_from(x: np.ndarray, starts: Sequence[int], length: int) -> np.ndarray:
    """`length` steps of each row, (B, T, ...) -> (B, length, ...), from `starts[row]` on; past either end the step
    there is repeated. A copy."""
    if all(start == starts[0] for start in starts) and 0 <= starts[0] <= x.shape[1] - length:
        return x[:, starts[0] : starts[0] + length].copy()
    index = (np.asarray(starts)[:, None] + np.arange(length)).clip(0, x.shape[1] - 1)
    return x[np.arange(len(x))[:, None], index]
