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

from typing import Callable, Sequence

from torch import Tensor


class LayerMasks:
    """One attention mask for each context that a layer has, in the place of the one mask that NeMo has for all layers.

    The encoder's forward hands it down to the layers as it would hand a tensor; all that it does to it is to cut off
    the rows of cached frames, `masks[:, cache_len:]`. Layers with the same context share a mask.

    Args:
        make: makes the mask of a context `(left, right)`: True where a query must not see a key, (B, T, T)
    """

    def __init__(self, make: Callable[[tuple], Tensor], rows=slice(None)):
        self._make = make
        self._rows = rows
        self._made = {}

    def __getitem__(self, rows) -> "LayerMasks":
        return LayerMasks(self._make, rows)

    def of(self, context: Sequence[int]) -> Tensor:
        """The mask of a layer's context `[left, right]`."""
        context = tuple(context)
        if context not in self._made:
            self._made[context] = self._make(context)[self._rows]
        return self._made[context]
