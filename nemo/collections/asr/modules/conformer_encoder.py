# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

import math
from collections.abc import Mapping, Sequence
from functools import partial

import torch
from torch import Tensor, nn

from nemo.collections.asr.modules import _conformer_encoder_base as base
from nemo.collections.asr.parts.contexts import AttentionContext, ContextSchedule
from nemo.collections.asr.parts.contexts.context import STYLES
from nemo.collections.asr.parts.contexts.layer_contexts import LayerContextsMixin
from nemo.collections.asr.parts.submodules.attention_windows import AttentionWindows, band_where_chosen, padding_mask
from nemo.collections.asr.parts.submodules.multi_head_attention import RelPositionalEncoding
from nemo.collections.asr.parts.submodules.subsampling import unwrap_subsampling
from nemo.core.classes.mixins import adapter_mixins
from nemo.utils.fast_paths import is_on, is_recorded, runs_eagerly
from nemo.utils.option_checks import check_option, read_option
from nemo.utils.shadowing import inherit_module

inherit_module(base, globals(), replacing=("ConformerEncoder", "ConformerEncoderAdapter"))


class ConformerEncoder(LayerContextsMixin, base.ConformerEncoder):
    """NeMo's Conformer encoder, in which every layer can have an attention context of its own.

    A layer's context is `layer.self_attn.att_context_size`, `[left, right]` in encoder frames, -1 for unlimited; set
    it with `set_layer_contexts`, with the argument `hierarchical_context`, or by hand. As soon as one layer has a
    context, all have (the others the encoder's), and the encoder's own `att_context_size` and streaming parameters
    follow the widest. `context_cap` bounds what all layers see. Without any, the encoder is NeMo's to the bit.

    Args:
        hierarchical_context: `{enabled, interpolation, schedule}`, see `ContextSchedule.from_config`; None leaves the
            layers without contexts of their own
        banded_attention: which layers with a limited window attend in blocks of neighbouring frames, which computes
            what the full matrix computes, in another order. None: by size, in encoders whose layers have contexts of
            their own; an encoder without stays NeMo's to the bit. `auto`: by size, in every encoder. `always`,
            `never`: whatever the size. Layers that see everything, a cache and an export take the full matrix.
        context_cap: `[left, right]`, no layer sees more than this; None, the default, is no cap. It is in the config
            of a model that was saved while there was one.
        *args, **kwargs: NeMo's arguments. `att_context_probs` may sum to 1 within rounding.

    Raises:
        ValueError: a context, the cap or the schedule is not valid, see `ContextSchedule`; `banded_attention` is none
            of the choices
    """

    def __init__(self, *args, hierarchical_context=None, banded_attention=None, context_cap=None, **kwargs):
        super().__init__(*args, **kwargs)
        self.banded_attention = banded_attention
        self._remember_sizes()
        schedule = ContextSchedule.from_config(hierarchical_context)
        if schedule is not None:
            self.set_layer_contexts(schedule.for_layers(self.n_layers, self.att_context_style))
        if context_cap is not None:
            self.context_cap = context_cap

    @staticmethod
    def check_options(options: Mapping):
        """Raises a ValueError if an option of ours, in the encoder's section of a config, is out of its range."""
        read_option("model.encoder.banded_attention", options)

    @property
    def banded_attention(self) -> str | None:
        """None, `auto`, `always` or `never`; can be set at any time."""
        return self._banded_attention

    @banded_attention.setter
    def banded_attention(self, choice: str | None):
        self._banded_attention = check_option("model.encoder.banded_attention", choice, "banded_attention")

    def set_default_att_context_size(self, att_context_size: Sequence[int] | None):
        """NeMo's; where layers have contexts of their own, it sets `context_cap`, and `[-1, -1]` takes the cap away.

        Args:
            att_context_size: `[left, right]` in encoder frames, -1 is unlimited; None leaves it as it is

        Raises:
            ValueError: layers have contexts of their own, and this is none
        """
        if att_context_size is None or self._draws_contexts() or not self.has_layer_contexts:
            super().set_default_att_context_size(att_context_size)
        else:
            self.context_cap = AttentionContext.parse(att_context_size)

    def setup_streaming_params(self, *args, **kwargs):
        """NeMo's, for the contexts that the layers have now."""
        self._follow_layers()
        super().setup_streaming_params(*args, **kwargs)

    def _refresh_streaming_params(self):
        super().setup_streaming_params()

    def forward_internal(self, audio_signal, length, cache_last_channel=None, *args, **kwargs):
        """NeMo's, for the contexts that the layers have now, and with positions for all of a cache.

        Raises:
            ValueError: a cache for `abs_pos`, where NeMo fails as well
        """
        self._follow_layers()
        if cache_last_channel is not None:
            if self.self_attention_model == "abs_pos":
                raise ValueError(
                    "self_attention_model=abs_pos: a cache does not know absolute positions; take rel_pos"
                )
            frames = cache_last_channel.size(2) + max(audio_signal.size(1), audio_signal.size(2))
            if frames > self.max_audio_length:
                self.set_max_audio_length(frames)
        return super().forward_internal(audio_signal, length, cache_last_channel, *args, **kwargs)

    def _load_from_state_dict(self, state_dict, prefix, *args, **kwargs):
        """PyTorch's; also takes the weights of an encoder that was pretrained with `mask_position: post_conv`."""
        if not hasattr(self.pre_encode, "pre_encode"):
            unwrap_subsampling(state_dict, prefix)
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)

    def change_attention_model(self, *args, **kwargs):
        """NeMo's; the layers keep their contexts."""
        self._follow_layers()
        kept = self._layer_contexts
        self._drop_layer_contexts()
        super().change_attention_model(*args, **kwargs)
        self._remember_sizes()
        if kept.in_force is not None:
            self._check_kind()
            self._put_in_force(kept.in_force, kept.cap)

    def _leave_local_attention(self) -> nn.Module | None:
        """Turns local attention into `rel_pos` attention, whose masks can be different for each layer; returns the
        positional encoding that it had.

        Both have the same parameters, and positional encodings have none, so the state dict stays what it is.
        """
        if self.self_attention_model != "rel_pos_local_attn":
            return None
        local = self.pos_enc
        self.pos_enc = RelPositionalEncoding(
            d_model=self.d_model,
            dropout_rate=local.dropout.p,
            max_len=self.pos_emb_max_len,
            xscale=self.xscale,
            dropout_rate_emb=local.dropout_emb.p if local.dropout_emb else 0.0,
        ).train(self.training)
        self._set_attention_model("rel_pos")
        self.set_max_audio_length(max(self.pos_emb_max_len, self.max_audio_length))
        return local

    def _return_to_local_attention(self, local: nn.Module):
        self.pos_enc = local.to(next(self.parameters()).device)
        self._set_attention_model("rel_pos_local_attn")

    def _set_attention_model(self, name: str):
        for module in (self, *self.layers):
            module.self_attention_model = name

    def _create_masks(self, att_context_size, padding_length, max_audio_length, offset, device):
        """NeMo's masks, or `AttentionWindows` where layers have contexts of their own or attend in blocks."""
        sizes = dict(padding_length=padding_length, max_audio_length=max_audio_length, offset=offset, device=device)
        make, style = partial(super()._create_masks, **sizes), self.att_context_style
        if style not in STYLES:
            return make(att_context_size)
        drawn, choice = AttentionContext(*att_context_size), self._choice_of_blocks(padding_length, offset)

        def make_band(context):
            return band_where_chosen(context, style, choice, padding_length, max_audio_length)

        def make_mask(context):
            return make(context.as_list())[1]

        if self._layer_contexts.in_force is None and make_band(drawn) is None:
            return make(att_context_size)
        windows = AttentionWindows(make_mask, make_band, drawn, self._layer_contexts.cap, style)
        return padding_mask(padding_length, max_audio_length, offset), windows

    def _choice_of_blocks(self, lengths: Tensor, offset: Tensor | None) -> str:
        """Whether layers attend in blocks: `always`, `never`, or `auto`, by size."""
        choice = self.banded_attention or ("never" if self._layer_contexts.in_force is None else "auto")
        has_cache, is_local = offset is not None, self.self_attention_model == "rel_pos_local_attn"
        # PyTorch is just running, or compiling what it will run itself
        runs = runs_eagerly(lengths) or (torch.compiler.is_compiling() and not is_recorded())
        return choice if is_on("attention") and runs and not has_cache and not is_local else "never"

    def _calc_context_sizes(self, att_context_size, att_context_probs, *args, **kwargs):
        """NeMo's, which compares the sum of the probabilities with 1 exactly."""
        if not att_context_probs or not math.isclose(sum(att_context_probs), 1.0, abs_tol=1e-6):
            return super()._calc_context_sizes(att_context_size, att_context_probs, *args, **kwargs)
        sizes, size, uniform, conv = super()._calc_context_sizes(att_context_size, None, *args, **kwargs)
        if len(att_context_probs) != len(uniform):
            raise ValueError(f"att_context_probs={list(att_context_probs)}: must be one for each of {sizes}")
        return sizes, size, list(att_context_probs), conv


class ConformerEncoderAdapter(base.ConformerEncoderAdapter, ConformerEncoder):
    """`ConformerEncoder` with NeMo's adapters."""


if adapter_mixins.get_registered_adapter(ConformerEncoder) is None:
    adapter_mixins.register_adapter(base_class=ConformerEncoder, adapter_class=ConformerEncoderAdapter)
