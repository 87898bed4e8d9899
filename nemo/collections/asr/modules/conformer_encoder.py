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

import math
from functools import partial
from typing import List, Optional, Sequence

import torch
from torch import Tensor

from nemo.collections.asr.modules import _conformer_encoder_base as base
from nemo.collections.asr.parts.contexts.context import (
    STYLES,
    UNLIMITED,
    AttentionContext,
    check_layer_contexts,
    widest,
)
from nemo.collections.asr.parts.contexts.runtime import limit_layer_contexts
from nemo.collections.asr.parts.contexts.schedule import ContextSchedule
from nemo.collections.asr.parts.submodules.attention_windows import LayerMasks
from nemo.collections.asr.parts.submodules.banded_attention import Band, BandMask, is_faster
from nemo.collections.asr.parts.submodules.multi_head_attention import RelPositionalEncoding
from nemo.core.classes.mixins import adapter_mixins
from nemo.utils.fast_paths import is_on, is_recorded, runs_eagerly
from nemo.utils.option_checks import check_choice
from nemo.utils.shadowing import inherit_module

inherit_module(base, globals(), replacing=("ConformerEncoder", "ConformerEncoderAdapter"))

# Attention in blocks computes what the full matrix computes, in another order. None: by size, in encoders whose layers
# have contexts of their own; an encoder without stays NeMo's to the bit. auto: by size, in every encoder. always,
# never: whatever the size. Layers that see everything, a cache and an export take the full matrix.
BANDED_ATTENTION = (None, "auto", "always", "never")


class ConformerEncoder(base.ConformerEncoder):
    """NeMo's Conformer encoder, in which every layer can have an attention context of its own.

    A layer's context is `layer.self_attn.att_context_size`, `[left, right]` in encoder frames, -1 for unlimited; set
    it with `set_layer_contexts`, with the argument `hierarchical_context`, or by hand. As soon as one layer has a
    context, all have (the others the encoder's), and the encoder's own `att_context_size` and streaming parameters
    follow the widest. Without any, the encoder is NeMo's to the bit.

    Args:
        hierarchical_context: `{enabled, interpolation, schedule}`, see `ContextSchedule.from_config`; None leaves the
            layers without contexts of their own
        banded_attention: which layers with a limited window attend in blocks of neighbouring frames, see
            `BANDED_ATTENTION`
        *args, **kwargs: NeMo's arguments. `att_context_probs` may sum to 1 within rounding.

    Raises:
        ValueError: a context or the schedule is not valid, see `ContextSchedule`; `banded_attention` is none of the
            choices
    """

    # the layers' contexts that masks and streaming parameters were last made for; None: there are none
    _contexts_in_force: Optional[List[AttentionContext]] = None
    # what was there before the layers had contexts: [att_context_size, att_context_size_all, positional encoding]
    _without_layer_contexts: Optional[list] = None

    def __init__(self, *args, hierarchical_context=None, banded_attention=None, **kwargs):
        super().__init__(*args, **kwargs)
        self.banded_attention = banded_attention
        schedule = ContextSchedule.from_config(hierarchical_context)
        if schedule is not None:
            self.set_layer_contexts(schedule.for_layers(self.n_layers, self.att_context_style))

    @property
    def banded_attention(self) -> Optional[str]:
        """One of `BANDED_ATTENTION`; can be set at any time."""
        return self._banded_attention

    @banded_attention.setter
    def banded_attention(self, choice: Optional[str]):
        self._banded_attention = check_choice("banded_attention", choice, BANDED_ATTENTION)

    @property
    def layer_contexts(self) -> List[List[int]]:
        """The context `[left, right]` that each layer attends within, the encoder's where no layer has one of its own;
        empty for NeMo 3's styles with contexts of three numbers.

        An encoder that draws one of several contexts at each training step lets a layer see what its own and the one
        drawn both see. Outside training that is the encoder's default, and this takes it into account.
        """
        own = [AttentionContext.parse(context) for context in self.own_layer_contexts]
        if self._contexts_in_force is not None and not self.training:
            default = AttentionContext.parse(self.att_context_size)
            own = [context.within(default).capped(UNLIMITED, self.att_context_style) for context in own]
        return [context.as_list() for context in own]

    @property
    def own_layer_contexts(self) -> List[List[int]]:
        """What each layer has been given, as in `layer_contexts`, whatever the encoder's default is. Contexts set by
        hand are checked and put in force by this."""
        if self.att_context_style not in STYLES:
            return []
        self._follow_layers()
        return [list(context) for context in self._filled_contexts()]

    @property
    def has_layer_contexts(self) -> bool:
        """Whether the layers have contexts of their own."""
        self._follow_layers()
        return self._contexts_in_force is not None

    def set_layer_contexts(self, contexts: Optional[Sequence]):
        """Gives each layer its context.

        Args:
            contexts: one `[left, right]` or `AttentionContext` for each layer; None takes them all away again

        Raises:
            ValueError: their number is not that of the layers, a context is not valid (`check_layer_contexts`), or the
                encoder's kind of attention cannot have contexts for each layer. The encoder is then unchanged.
        """
        if contexts is None:
            self._follow_layers()
            self._drop_layer_contexts()
            return
        if len(contexts) != len(self.layers):
            raise ValueError(
                f"{len(contexts)} contexts for {len(self.layers)} layers: there must be one for each layer"
            )
        self._put_in_force(self._check(contexts))

    def set_default_att_context_size(self, att_context_size):
        """NeMo's; layers that have contexts of their own see no more than this one from then on, as with
        `set_dynamic_context`. `[-1, -1]` gives them their own back.

        Args:
            att_context_size: `[left, right]` in encoder frames, -1 is unlimited; None leaves it as it is

        Raises:
            ValueError: layers have contexts of their own, and this is none
        """
        draws_contexts = len(self.att_context_size_all) > 1
        if att_context_size is None or draws_contexts or not self.has_layer_contexts:
            super().set_default_att_context_size(att_context_size)
        else:
            limit_layer_contexts(self, AttentionContext.parse(att_context_size))

    def setup_streaming_params(self, *args, **kwargs):
        """NeMo's, for the contexts that the layers have now."""
        self._follow_layers()
        super().setup_streaming_params(*args, **kwargs)

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

    def change_attention_model(self, *args, **kwargs):
        """NeMo's; the layers keep their contexts."""
        contexts = self.own_layer_contexts if self.has_layer_contexts else None
        self.set_layer_contexts(None)
        super().change_attention_model(*args, **kwargs)
        self.set_layer_contexts(contexts)

    def _own_contexts(self) -> list:
        """What each layer has at `self_attn.att_context_size`, None where it has nothing there."""
        contexts = [getattr(layer.self_attn, "att_context_size", None) for layer in self.layers]
        if self.self_attention_model == "rel_pos_local_attn" and self._contexts_in_force is None:
            # NeMo's local attention has the encoder's context there from the start
            return [None if own is None or list(own) == list(self.att_context_size) else own for own in contexts]
        return contexts

    def _filled_contexts(self) -> list:
        """What each layer has, the encoder's context where it has nothing."""
        return [self.att_context_size if own is None else own for own in self._own_contexts()]

    def _follow_layers(self):
        """Puts in force what was set at the layers by hand."""
        own = self._own_contexts()
        in_force = self._contexts_in_force
        if own != [None if in_force is None else in_force[i].as_list() for i in range(len(own))]:
            self._put_in_force(self._check(self._filled_contexts()))

    def _check(self, contexts: Sequence) -> List[AttentionContext]:
        if self.att_context_style not in STYLES:
            allowed = ", ".join(STYLES)
            raise ValueError(f"att_context_style={self.att_context_style!r}: must be one of {allowed} for contexts")
        if self.self_attention_model == "rel_pos_local_attn" and self.global_tokens > 0:
            raise ValueError(f"global_tokens={self.global_tokens}: must be 0 with contexts for each layer")
        return check_layer_contexts(contexts, self.att_context_style)

    def _put_in_force(self, contexts: List[AttentionContext]):
        if self._without_layer_contexts is None:
            self._without_layer_contexts = [self.att_context_size, self.att_context_size_all, None]
        if self.self_attention_model == "rel_pos_local_attn":
            self._attend_under_masks()
        for layer, context in zip(self.layers, contexts):
            layer.self_attn.att_context_size = context.as_list()
        self._contexts_in_force = contexts
        if len(self._without_layer_contexts[1]) == 1:  # with several, NeMo draws one for each training step
            self.att_context_size = widest(contexts).as_list()
            self.att_context_size_all = [self.att_context_size]
        super().setup_streaming_params()

    def _drop_layer_contexts(self):
        if self._contexts_in_force is None:
            return
        self.att_context_size, self.att_context_size_all, local_pos_enc = self._without_layer_contexts
        for layer in self.layers:
            if local_pos_enc is None:
                del layer.self_attn.att_context_size
            else:
                layer.self_attn.att_context_size = self.att_context_size
                layer.self_attention_model = "rel_pos_local_attn"
        if local_pos_enc is not None:
            self.pos_enc = local_pos_enc.to(next(self.parameters()).device)
            self.self_attention_model = "rel_pos_local_attn"
        self._contexts_in_force = self._without_layer_contexts = None
        super().setup_streaming_params()

    def _attend_under_masks(self):
        """Turns local attention into `rel_pos` attention, whose masks can be different for each layer.

        Both have the same parameters, and positional encodings have none, so the state dict stays what it is.
        """
        local = self.pos_enc
        self._without_layer_contexts[2] = local
        self.pos_enc = RelPositionalEncoding(
            d_model=self.d_model,
            dropout_rate=local.dropout.p,
            max_len=self.pos_emb_max_len,
            xscale=self.xscale,
            dropout_rate_emb=local.dropout_emb.p if local.dropout_emb else 0.0,
        ).train(self.training)
        self.self_attention_model = "rel_pos"
        for layer in self.layers:
            layer.self_attention_model = "rel_pos"
        self.set_max_audio_length(max(self.pos_emb_max_len, self.max_audio_length))

    def _create_masks(self, att_context_size, padding_length, max_audio_length, offset, device):
        """NeMo's masks, or `LayerMasks` where layers have contexts of their own or attend in blocks."""
        make, sizes = super()._create_masks, dict(padding_length=padding_length, max_audio_length=max_audio_length)
        make = partial(make, **sizes, offset=offset, device=device)
        if self.att_context_style not in STYLES:
            return make(att_context_size)
        sampled = AttentionContext(*att_context_size)
        in_blocks = partial(self._band_mask, lengths=padding_length, num_frames=max_audio_length, offset=offset)
        if self._contexts_in_force is None and in_blocks(sampled) is None:
            return make(att_context_size)

        def mask_of(context, may_be_in_blocks):
            own = AttentionContext(*context)
            if self.att_context_style == "chunked_limited" and own.right != sampled.right:
                # chunks of different sizes: what both masks leave to be seen
                return make(own.as_list())[1] | make(sampled.as_list())[1]
            both = own.within(sampled)
            band = in_blocks(both) if may_be_in_blocks else None
            return make(both.as_list())[1] if band is None else band

        return _pad_mask(padding_length, max_audio_length, offset), LayerMasks(mask_of, default=att_context_size)

    def _band_mask(self, context: AttentionContext, lengths: Tensor, num_frames: int, offset) -> Optional[BandMask]:
        """What makes a layer attend in blocks; None where it takes the full matrix."""
        choice = self.banded_attention or ("never" if self._contexts_in_force is None else "auto")
        if choice == "never" or context == AttentionContext(UNLIMITED, UNLIMITED):
            return None
        has_cache, is_local = offset is not None, self.self_attention_model == "rel_pos_local_attn"
        if has_cache or is_local or not _can_attend_in_blocks(lengths):
            return None
        band = Band.of(context.left, context.right, self.att_context_style, num_frames)
        if choice == "auto" and not is_faster(band, num_frames, lengths.device):
            return None
        return BandMask(band, lengths)

    def _calc_context_sizes(self, att_context_size, att_context_probs, *args, **kwargs):
        """NeMo's, which compares the sum of the probabilities with 1 exactly."""
        if not att_context_probs or not math.isclose(sum(att_context_probs), 1.0, abs_tol=1e-6):
            return super()._calc_context_sizes(att_context_size, att_context_probs, *args, **kwargs)
        sizes, size, uniform, conv = super()._calc_context_sizes(att_context_size, None, *args, **kwargs)
        if len(att_context_probs) != len(uniform):
            raise ValueError(f"att_context_probs={list(att_context_probs)}: must be one for each of {sizes}")
        return sizes, size, list(att_context_probs), conv


def _can_attend_in_blocks(lengths: Tensor) -> bool:
    """Whether attention in blocks is switched on and PyTorch is just running, or compiling what it will run itself."""
    is_compiled = torch.compiler.is_compiling() and not is_recorded()
    return is_on("attention") and (is_compiled or runs_eagerly(lengths))


def _pad_mask(lengths: Tensor, num_frames: int, offset: Optional[Tensor]) -> Tensor:
    """True in padding, (B, T): from `lengths` on, and before `offset`, where a cache is not filled yet."""
    frames = torch.arange(num_frames, device=lengths.device)
    padding = frames >= lengths.unsqueeze(1)
    return padding if offset is None else padding | (frames < offset.unsqueeze(1))


class ConformerEncoderAdapter(base.ConformerEncoderAdapter, ConformerEncoder):
    """`ConformerEncoder` with NeMo's adapters."""


if adapter_mixins.get_registered_adapter(ConformerEncoder) is None:
    adapter_mixins.register_adapter(base_class=ConformerEncoder, adapter_class=ConformerEncoderAdapter)
