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

from nemo.collections.asr.parts.submodules import _multi_head_attention_base as base
from nemo.utils.shadowing import extend

extend(base, globals(), replaces=("RelPositionMultiHeadAttentionLongformer",))


class RelPositionMultiHeadAttentionLongformer(base.RelPositionMultiHeadAttentionLongformer):
    """NeMo's local attention, which is `RelPositionMultiHeadAttention` as soon as it is given a mask.

    It has the same parameters. Its own computation is right for symmetric contexts only: for `[40, 0]` it adds the
    positions of the right side at the end of the window.
    """

    def forward(self, query, key, value, pad_mask=None, pos_emb=None, cache=None, mask=None):
        """
        Args:
            query, key, value: (B, T, D)
            pad_mask: True in padding, (B, T)
            pos_emb: (1, left + right + 1, D), with `mask` the full (1, 2 * T - 1, D)
            cache: earlier inputs, (B, T_cache, D)
            mask: True where a query must not see a key, (B, T, T_cache + T)
        Returns:
            output (B, T, D), with a cache also the next cache
        """
        if mask is None:
            return super().forward(query, key, value, pad_mask=pad_mask, pos_emb=pos_emb, cache=cache)
        attention = base.RelPositionMultiHeadAttention.forward
        return attention(self, query, key, value, mask=mask, pos_emb=pos_emb, cache=cache)
