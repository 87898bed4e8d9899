# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0


import torch
from torch import Tensor, nn

from nemo.collections.asr.parts.submodules import _multi_head_attention_base as base
from nemo.collections.asr.parts.submodules.attention_windows import Band, padding_mask
from nemo.collections.asr.parts.submodules.banded_attention import banded_attention
from nemo.utils import avoid_float16_autocast_context
from nemo.utils.shadowing import inherit_module

inherit_module(
    base,
    globals(),
    replacing=("MultiHeadAttention", "RelPositionMultiHeadAttention", "RelPositionMultiHeadAttentionLongformer"),
)


class MultiHeadAttention(base.MultiHeadAttention):
    """NeMo's attention, which attends in blocks where its mask is a `Band`: the same values, faster if the window
    is short. With any other mask, and with a cache, it is NeMo's to the bit."""

    def forward(self, query, key, value, mask, pos_emb=None, cache=None):
        """Attends under a mask, or in blocks under a band.

        Args:
            query, key, value: (B, T, D)
            mask: True where a query must not see a key, (B, T, T_cache + T); or a `Band`
            pos_emb: positional embeddings (1, 2 * T - 1, D), for attention with relative positions
            cache: earlier inputs, (B, T_cache, D); not with a `Band`
        Returns:
            output (B, T, D), with a cache also the next cache
        """
        if isinstance(mask, Band):
            return self._attend_in_blocks(query, key, value, mask, pos_emb)
        return super().forward(query, key, value, mask=mask, pos_emb=pos_emb, cache=cache)

    def _attend_in_blocks(self, query, key, value, band: Band, pos_emb: Tensor | None) -> Tensor:
        """(B, T, D) -> (B, T, D), in the precision that NeMo attends in: under autocast, never in fp16."""
        if torch.is_autocast_enabled():
            query, key, value = (x.to(torch.float32) for x in (query, key, value))
        with avoid_float16_autocast_context():
            # heads first: the positions, the same for all utterances, are then one matrix product for the batch
            q, k, v = (x.transpose(0, 1) for x in self.forward_qkv(query, key, value))
            queries = self._queries(q, pos_emb, band)
            dropout = self.dropout.p if self.training else 0.0
            seen = banded_attention(key=k, value=v, band=band, dropout=dropout, **queries)
            seen = seen.permute(1, 2, 0, 3).flatten(2)
            padding = padding_mask(band.lengths, seen.size(1)).unsqueeze(2)
            return self.linear_out(seen.masked_fill(padding, 0.0))

    def _queries(self, q: Tensor, pos_emb: Tensor | None, band: Band) -> dict:
        """The arguments of `banded_attention` that queries (H, B, T, d) and positions make."""
        return {"query": q / self.s_d_k}


class RelPositionMultiHeadAttention(MultiHeadAttention, base.RelPositionMultiHeadAttention):
    """The same of NeMo's attention with relative positions: `super()` in the `forward` above means that one."""

    def _queries(self, q: Tensor, pos_emb: Tensor | None, band: Band) -> dict:
        last = q.size(2) - 1
        left, right = min(band.left, last), min(band.right, last)
        # relations descend, and relation 0 is in the middle
        pos_emb = pos_emb.narrow(1, pos_emb.size(1) // 2 - left, left + 1 + right)
        positions = self.linear_pos(pos_emb).view(-1, self.h, self.d_k).transpose(0, 1)
        with_u, with_v = (q + bias.view(self.h, 1, 1, self.d_k) for bias in (self.pos_bias_u, self.pos_bias_v))
        # under autocast the biases, in float32, have made float32 of it
        return {
            "query": (with_u / self.s_d_k).to(q.dtype),
            "position_query": (with_v / self.s_d_k).to(q.dtype),
            "positions": positions,
        }


class RelPositionMultiHeadAttentionLongformer(
    base.RelPositionMultiHeadAttentionLongformer, RelPositionMultiHeadAttention
):
    """NeMo's local attention, which is `RelPositionMultiHeadAttention` as soon as it is given a mask.

    It has the same parameters. Its own computation is right for symmetric contexts only: for `[40, 0]` it adds the
    positions of the right side at the end of the window.
    """

    def forward(self, query, key, value, pad_mask=None, pos_emb=None, cache=None, mask=None):
        """Attends locally, or, with `mask`, as relative attention does.

        Args:
            query, key, value: (B, T, D)
            pad_mask: True in padding, (B, T)
            pos_emb: (1, left + right + 1, D), with `mask` the full (1, 2 * T - 1, D)
            cache: earlier inputs, (B, T_cache, D)
            mask: True where a query must not see a key, (B, T, T_cache + T); or a `Band`
        Returns:
            output (B, T, D), with a cache also the next cache
        """
        if mask is None:
            return super().forward(query, key, value, pad_mask=pad_mask, pos_emb=pos_emb, cache=cache)
        return RelPositionMultiHeadAttention.forward(self, query, key, value, mask=mask, pos_emb=pos_emb, cache=cache)


TAKE_BANDS = (MultiHeadAttention, RelPositionMultiHeadAttention, RelPositionMultiHeadAttentionLongformer)


def takes_band(attention: nn.Module) -> bool:
    """Whether an attention module can be given a `Band`: it is one of ours. A subclass may compute otherwise."""
    return type(attention) in TAKE_BANDS and "forward" not in vars(attention)
