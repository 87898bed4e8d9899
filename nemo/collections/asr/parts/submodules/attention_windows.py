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

from typing import Callable, Optional, Sequence, Union

from torch import Tensor

from nemo.collections.asr.parts.submodules.banded_attention import BandMask


class LayerMasks:
    """One attention mask for each context that a layer has, in the place of the one mask that NeMo has for all layers.

    The encoder's forward hands it down to the layers as it would hand a tensor; all that it does to it is to cut off
    the rows of cached frames, `masks[:, cache_len:]`. Layers with the same context share a mask.

    Args:
        make: makes the mask of a context `(left, right)`: True where a query must not see a key, (B, T, T); or, where
            its second argument allows it, what makes the layer attend in blocks
        default: the context of a layer that has none of its own
    """

    def __init__(
        self,
        make: Callable[[tuple, bool], Union[Tensor, BandMask]],
        default: Sequence[int],
        rows: tuple = (slice(None),),
    ):
        self._make = make
        self._default = tuple(default)
        self._rows = rows
        self._made = {}

    def __getitem__(self, rows: tuple) -> "LayerMasks":
        return LayerMasks(self._make, self._default, rows)

    def of(self, context: Optional[Sequence[int]], may_be_in_blocks: bool = True) -> Union[Tensor, BandMask]:
        """The mask of a layer's context `[left, right]`; None if it has none of its own.

        Args:
            context: encoder frames, -1 is unlimited
            may_be_in_blocks: False for a layer that knows tensors only
        """
        key = (self._default if context is None else tuple(context), may_be_in_blocks)
        if key not in self._made:
            mask = self._make(*key)
            self._made[key] = mask if isinstance(mask, BandMask) else mask[self._rows]
        return self._made[key]
