# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Changing what an encoder sees while it is in use: caps on its layers' contexts, and the masking kept in step.

All contexts are in encoder frames (80 ms after 8-fold subsampling), -1 is unlimited.
"""

from collections.abc import Sequence
from typing import Any

from nemo.collections.asr.parts.contexts.context import (
    UNLIMITED,
    AttentionContext,
    attention_contexts,
    check_layer_contexts,
    tightest_left,
)
from nemo.utils.option_checks import check_integer

NAMED_LEFT_CONTEXTS = {"very_low": 80, "low": 160, "medium": 240, "high": 320, "unlimited": UNLIMITED}


def cap_layer_contexts(encoder: Any, cap: int) -> None:
    """Limits the left context of every layer to the smaller of its own and `cap`; see `ConformerEncoder.context_cap`.

    A layer keeps its own context: caps do not add up. With style `chunked_limited` a left context is cut to whole
    chunks.

    Args:
        encoder: a `ConformerEncoder`; its global context becomes the widest layer's
        cap: encoder frames, -1 takes the limit away

    Raises:
        ValueError: `cap` is not an integer >= -1, or the encoder's layers cannot have contexts of their own.
    """
    cap = check_integer("cap", cap, UNLIMITED)
    require_layer_contexts(encoder).context_cap = AttentionContext(cap, UNLIMITED)


def sync_masking_context_with_attention(model: Any, att_context: Sequence[int] | None = None) -> int:
    """Sets `model.mask_processor.left_context_size` to the tightest finite left context that the encoder may use.

    Args:
        model: an SSL model with `encoder` and `mask_processor`
        att_context: `[left, right]` in encoder frames, to set `left` instead; the encoder is left alone. When a model
            masks, its encoder's tightest left context goes before: `left` is used where all of these are unlimited,
            and by callers of the masking module itself.

    Returns:
        what was set, in encoder frames (40 for layers with 40, 120 and 320), -1 if all are unlimited

    Raises:
        ValueError: naming what is missing, the encoder, the masking module or its `left_context_size`; an
            `att_context` that is none.
    """
    if att_context is not None:
        left: int | None = AttentionContext.parse(att_context, "att_context").left
    else:
        left = tightest_left(attention_contexts(require_encoder(model)))
    masking = require_masking(model)
    masking.left_context_size = UNLIMITED if left is None else left
    return masking.left_context_size


def set_dynamic_context(model: Any, context: str | Sequence[int], sync_masking: bool = True) -> list[int]:
    """Sets what a model's encoder sees from now on, in training too.

    Where the layers have contexts of their own, this is the encoder's `context_cap`: each layer sees what both
    contexts see, and -1 gives the layers their own back. Otherwise it is the one context of all layers, and no other
    is drawn in training any more; local attention (`rel_pos_local_attn`) cannot change that one.

    Args:
        model: a model with `encoder`
        context: `[left, right]` in encoder frames, or the name of a left context: `very_low` (80 encoder frames),
            `low` (160), `medium` (240), `high` (320), `unlimited` (-1). A name leaves right contexts as they are; with
            style `chunked_limited` it is cut to whole chunks.
        sync_masking: whether to call `sync_masking_context_with_attention` too

    Returns:
        what was set, as `[left, right]` in encoder frames: the encoder's `context_cap` (`[160, -1]` for `low`) where
        the layers have contexts of their own; otherwise the one context of all layers

    Raises:
        ValueError: an unknown name, a context that is none or does not fit the encoder's style; an encoder or, with
            `sync_masking`, a masking module that is missing or has no such setting.
    """
    if not isinstance(context, str):
        limit = AttentionContext.parse(context, "context")
    elif context in NAMED_LEFT_CONTEXTS:
        limit = AttentionContext(NAMED_LEFT_CONTEXTS[context], UNLIMITED)
    else:
        raise ValueError(f"context={context!r}: must be [left, right] or one of {', '.join(NAMED_LEFT_CONTEXTS)}")
    encoder = require_encoder(model)
    if sync_masking:
        require_masking(model)
    if getattr(encoder, "has_layer_contexts", False):
        require_layer_contexts(encoder).context_cap = limit
    else:
        limit = _set_global_context(encoder, limit, keep_right=isinstance(context, str))
    if sync_masking:
        sync_masking_context_with_attention(model)
    return limit.as_list()


def require_layer_contexts(encoder: Any) -> Any:
    """Returns the encoder.

    Raises:
        ValueError: naming its class, if its layers cannot have contexts of their own.
    """
    for name in ("set_layer_contexts", "layer_contexts", "context_cap"):
        if not hasattr(encoder, name):
            raise ValueError(f"encoder={type(encoder).__name__}: has no `{name}`; its layers have no contexts to set")
    if not encoder.layer_contexts:
        style = getattr(encoder, "att_context_style", None)
        raise ValueError(f"encoder={type(encoder).__name__}: with att_context_style={style!r} layers have no contexts")
    return encoder


def require_encoder(model: Any) -> Any:
    """Returns `model.encoder`; a ValueError if there is none."""
    return _require(model, "encoder")


def require_masking(model: Any) -> Any:
    """Returns `model.mask_processor`; a ValueError if there is none, or one without `left_context_size`."""
    masking = _require(model, "mask_processor")
    if not hasattr(masking, "left_context_size"):
        raise ValueError(f"mask_processor={type(masking).__name__}: has no `left_context_size` to set")
    return masking


def _require(model: Any, name: str) -> Any:
    if getattr(model, name, None) is None:
        raise ValueError(f"model={type(model).__name__}: has no `{name}`")
    return getattr(model, name)


def _set_global_context(encoder: Any, context: AttentionContext, keep_right: bool) -> AttentionContext:
    """Gives all layers one context: `context`, or its left side and the right context that the encoder has."""
    if not hasattr(encoder, "set_default_att_context_size"):
        raise ValueError(f"encoder={type(encoder).__name__}: has no `set_default_att_context_size`")
    if getattr(encoder, "self_attention_model", None) == "rel_pos_local_attn":
        # its layers and its positional encoding keep the context that they were made for
        raise ValueError(
            "self_attention_model='rel_pos_local_attn': its one context cannot be changed; use "
            "`change_attention_model`, or give the layers contexts of their own"
        )
    style, size = encoder.att_context_style, encoder.att_context_size
    if keep_right:
        context = AttentionContext(context.left, size[-1]).whole_chunks(style)
    check_layer_contexts([context], style)
    # NeMo 3 has contexts of three numbers too, [left, chunk, right]
    size = [context.left, *size[1:-1], context.right]
    # the list that NeMo samples from in training; it warns of a context that is not in there
    encoder.att_context_size_all, encoder.att_context_probs = [size], [1.0]
    encoder.set_default_att_context_size(size)
    return context
