# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

from nemo.collections.asr.parts.submodules import _conformer_modules_base as base
from nemo.collections.asr.parts.submodules.attention_windows import resolve
from nemo.collections.asr.parts.submodules.multi_head_attention import takes_band
from nemo.utils.shadowing import inherit_module

inherit_module(base, globals(), replacing=("ConformerLayer",))


class ConformerLayer(base.ConformerLayer):
    """NeMo's Conformer layer, which attends within its own context if the encoder has contexts for each layer.

    The context is `layer.self_attn.att_context_size`, `[left, right]` in encoder frames.
    """

    @property
    def self_attention(self):
        """Another name for `self_attn`."""
        return self.self_attn

    def forward(self, x, att_mask=None, pos_emb=None, pad_mask=None, cache_last_channel=None, cache_last_time=None):
        """One layer, under a mask or under windows of its own.

        Args:
            x: (B, T, D)
            att_mask: True where a query must not see a key, (B, T, T_cache + T); or `AttentionWindows`
            pos_emb: (1, L, D)
            pad_mask: True in padding, (B, T)
            cache_last_channel, cache_last_time: caches of attention (B, T_cache, D) and convolution (B, D, T_cache)
        Returns:
            output (B, T, D), with caches also the next caches
        """
        att_mask = resolve(att_mask, self.self_attn, takes_band(self.self_attn))
        return super().forward(x, att_mask, pos_emb, pad_mask, cache_last_channel, cache_last_time)
