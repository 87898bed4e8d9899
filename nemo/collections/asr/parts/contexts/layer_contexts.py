# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""What an encoder remembers about the attention contexts of its layers.

A layer's own context is at `layer.self_attn.att_context_size`, and nowhere else. `LayerContexts` is what was made of
these contexts (to notice those that were set by hand since), the encoder's cap on them, and what the encoder was
before its layers had any.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from torch import nn

from nemo.collections.asr.parts.contexts.context import (
    STYLES,
    WHOLE_UTTERANCE,
    AttentionContext,
    check_layer_contexts,
    widest,
)


@dataclass(frozen=True)
class OneContext:
    """An encoder whose layers have no contexts of their own: what NeMo keeps there.

    Args:
        size: `encoder.att_context_size`
        sizes: `encoder.att_context_size_all`; of several, NeMo draws one at each training step
        local_pos_enc: the positional encoding of `rel_pos_local_attn`, None for other kinds of attention
    """

    size: list[int]
    sizes: list[list[int]]
    local_pos_enc: nn.Module | None = None


@dataclass(frozen=True)
class LayerContexts:
    """An encoder replaces it as a whole: copies of an encoder share one until one of them is changed.

    Args:
        cap: no layer sees more than this on either side
        in_force: the layers' own contexts that the encoder was last set up for; None if they have none
        before: what the encoder goes back to when the contexts are taken away
    """

    cap: AttentionContext = WHOLE_UTTERANCE
    in_force: tuple[AttentionContext, ...] | None = None
    before: OneContext | None = None

    def is_of(self, given: list[Any]) -> bool:
        """True if the encoder was set up for these contexts, None where a layer has nothing."""
        if self.in_force is None:
            return given == [None] * len(given)
        return given == [context.as_list() for context in self.in_force]

    def seen(self, own: Sequence[AttentionContext], style: str) -> list[AttentionContext]:
        """What layers with these contexts see within the cap."""
        return [context.capped(self.cap, style) for context in own]


class LayerContextsMixin:
    """Contexts for each layer of an encoder, and a cap on them.

    Reading never changes anything. What was set at a layer by hand is put in force when the encoder is used next.
    """

    # what NeMo's encoder has
    layers: Sequence[Any]
    att_context_size: list[int]
    att_context_size_all: list[list[int]]
    att_context_style: str
    self_attention_model: str
    global_tokens: int
    training: bool

    # what is remembered about the layers' contexts; here, that they have none
    _layer_contexts = LayerContexts()
    # `att_context_size_all` as the constructor or `change_attention_model` left it
    _known_sizes: list[list[int]] | None = None

    @property
    def layer_contexts(self) -> list[list[int]]:
        """The context `[left, right]` within which each layer attends now: its own one within `context_cap`, or the
        encoder's where no layer has one of its own. Empty for NeMo 3's styles with contexts of three numbers.

        An encoder that draws one of several contexts at each training step lets a layer see what its own and the one
        drawn both see. Outside training that is the encoder's default, and this takes it into account.
        """
        if self.att_context_style not in STYLES:
            return []
        seen = self._layer_contexts.seen(self._own_contexts(), self.att_context_style)
        if self._default_counts():
            default = AttentionContext.parse(self.att_context_size)
            seen = [context.capped(default, self.att_context_style) for context in seen]
        return [context.as_list() for context in seen]

    @property
    def own_layer_contexts(self) -> list[list[int]]:
        """What each layer has been given, as in `layer_contexts`, whatever the cap and the encoder's default are."""
        if self.att_context_style not in STYLES:
            return []
        return [context.as_list() for context in self._own_contexts()]

    @property
    def has_layer_contexts(self) -> bool:
        """Whether the layers have contexts of their own."""
        return self._layer_contexts.in_force is not None or not self._layer_contexts.is_of(self._given_contexts())

    @property
    def context_cap(self) -> list[int]:
        """`[left, right]`, encoder frames: no layer sees more than this, whatever its own context; -1 is no limit.

        Setting it gives every layer a context of its own (the encoder's, the widest of several), and the encoder the
        widest that is left. It is kept by copies and pickles, and is in no state dict.
        `set_layer_contexts(None)` takes it away.

        Raises:
            ValueError: when set to what is no context, or the encoder's kind of attention has no contexts for layers
        """
        return self._layer_contexts.cap.as_list()

    @context_cap.setter
    def context_cap(self, cap: Any) -> None:
        cap = AttentionContext.parse(cap, "context_cap")
        self._check_kind()
        own = self._own_contexts()
        if not self.has_layer_contexts:
            own = [widest(map(AttentionContext.parse, self.att_context_size_all))] * len(own)
        self._put_in_force(check_layer_contexts(own, self.att_context_style), cap)

    @property
    def changed_att_context_sizes(self) -> list[list[int]] | None:
        """The contexts of the encoder itself, one of which counts where layers have none, if they are other ones than
        it was built with (`set_dynamic_context`); otherwise None."""
        now = self._layer_contexts.before or OneContext(self.att_context_size, self.att_context_size_all)
        if self._known_sizes is None or now.sizes == self._known_sizes:
            return None
        return [list(size) for size in (now.sizes if len(now.sizes) > 1 else [now.size])]

    def set_layer_contexts(self, contexts: Sequence[Any] | None) -> None:
        """Gives each layer its context; what it sees of it stays within `context_cap`.

        Args:
            contexts: one `[left, right]` or `AttentionContext` for each layer; None takes them all away again, and
                the cap with them

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
        self._check_kind()
        self._put_in_force(check_layer_contexts(contexts, self.att_context_style), self._layer_contexts.cap)

    def _remember_sizes(self) -> None:
        self._known_sizes = [list(size) for size in self.att_context_size_all]

    def _draws_contexts(self) -> bool:
        """Whether NeMo draws one of several contexts at each training step."""
        return len(self.att_context_size_all) > 1

    def _default_counts(self) -> bool:
        """Whether the encoder's own context limits the layers: not if another is drawn, or if it is going to follow
        contexts that were set by hand."""
        return not self.training if self._draws_contexts() else self._layer_contexts.is_of(self._given_contexts())

    def _given_contexts(self) -> list[Any]:
        """What each layer has been given, None where it has nothing."""
        given = [getattr(layer.self_attn, "att_context_size", None) for layer in self.layers]
        if self.self_attention_model == "rel_pos_local_attn" and self._layer_contexts.in_force is None:
            # NeMo's local attention has the encoder's context there from the start
            return [None if own is None or list(own) == list(self.att_context_size) else own for own in given]
        return given

    def _own_contexts(self) -> list[AttentionContext]:
        """The same, with the encoder's own context where a layer has nothing."""
        before = self._layer_contexts.before
        encoders = self.att_context_size if before is None else before.size
        given = (encoders if own is None else own for own in self._given_contexts())
        return [AttentionContext.parse(own, f"context of layer {i}") for i, own in enumerate(given)]

    def _follow_layers(self) -> None:
        """Puts in force what was set at the layers by hand."""
        if not self._layer_contexts.is_of(self._given_contexts()):
            self._check_kind()
            self._put_in_force(
                check_layer_contexts(self._own_contexts(), self.att_context_style), self._layer_contexts.cap
            )

    def _check_kind(self) -> None:
        """Raises a ValueError if this kind of attention cannot have contexts for each layer."""
        if self.att_context_style not in STYLES:
            allowed = ", ".join(STYLES)
            raise ValueError(f"att_context_style={self.att_context_style!r}: must be one of {allowed} for contexts")
        if self.self_attention_model == "rel_pos_local_attn" and self.global_tokens > 0:
            raise ValueError(f"global_tokens={self.global_tokens}: must be 0 with contexts for each layer")

    def _put_in_force(self, own: Sequence[AttentionContext], cap: AttentionContext) -> None:
        """Gives layers their contexts, which have been checked, and the encoder the widest of what they see."""
        before = self._layer_contexts.before or OneContext(self.att_context_size, self.att_context_size_all)
        local_pos_enc = self._leave_local_attention()
        if local_pos_enc is not None:
            before = replace(before, local_pos_enc=local_pos_enc)
        for layer, context in zip(self.layers, own):
            layer.self_attn.att_context_size = context.as_list()
        self._layer_contexts = LayerContexts(cap, tuple(own), before)
        if len(before.sizes) == 1:  # with several, NeMo draws one for each training step
            self.att_context_size = widest(self._layer_contexts.seen(own, self.att_context_style)).as_list()
            self.att_context_size_all = [self.att_context_size]
        self._refresh_streaming_params()

    def _drop_layer_contexts(self) -> None:
        """Takes the layers' contexts and the cap away: the encoder is what it was before."""
        before = self._layer_contexts.before
        if before is None:
            return
        self.att_context_size, self.att_context_size_all = before.size, before.sizes
        for layer in self.layers:
            if before.local_pos_enc is None:
                del layer.self_attn.att_context_size
            else:
                layer.self_attn.att_context_size = self.att_context_size
        if before.local_pos_enc is not None:
            self._return_to_local_attention(before.local_pos_enc)
        self._layer_contexts = LayerContexts()
        self._refresh_streaming_params()

    def _refresh_streaming_params(self) -> None:
        """Makes the streaming parameters for the encoder's context."""
        raise NotImplementedError

    def _leave_local_attention(self) -> nn.Module | None:
        """Makes an encoder with local attention attend under masks; its positional encoding, None if it does so."""
        raise NotImplementedError

    def _return_to_local_attention(self, local: nn.Module) -> None:
        """The way back, with the positional encoding that `_leave_local_attention` gave."""
        raise NotImplementedError
