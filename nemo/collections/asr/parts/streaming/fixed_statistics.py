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

"""Features normalised by constants, `preprocessor.normalize: {fixed_mean: [...], fixed_std: [...]}`."""

from typing import Any, List, Mapping, Optional, Sequence, Tuple

from torch import Tensor

NAMES = ("fixed_mean", "fixed_std")


def statistics_problem(normalize: Mapping, num_features: int) -> Optional[str]:
    """What is wrong with a preprocessor's constants for `num_features` features per frame, None if nothing is."""
    for name in NAMES:
        values = normalize.get(name)
        count = len(values) if isinstance(values, Sequence) else 0
        if count != num_features:
            return f"preprocessor.normalize.{name} has {count} numbers, must have {num_features}, one for each feature"
    if any(value == 0 for value in normalize["fixed_std"]):
        return "preprocessor.normalize.fixed_std has a 0, must have none"
    return None


def fixed_statistics(normalize: Any, like: Tensor) -> Optional[Tuple[Tensor, Tensor]]:
    """Mean and standard deviation of each feature, (D,) each, of the dtype and device of `like`; None without them."""
    if not isinstance(normalize, Mapping):
        return None
    mean, std = (like.new_tensor(_numbers(normalize[name])) for name in NAMES)
    return mean, std


def _numbers(values: Any) -> List[float]:
    return [float(value) for value in values]
