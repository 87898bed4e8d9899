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

"""Changing what an encoder sees while it is in use: caps on its layers' contexts, and the masking kept in step.

All contexts are in encoder frames (80 ms after 8-fold subsampling), -1 is unlimited.
"""

from dataclasses import dataclass
from typing import List, Optional, Sequence, Union

from nemo.collections.asr.parts.contexts.context import (
    UNLIMITED,
    AttentionContext,
    check_layer_contexts,
    tightest_left_context,
    widest,
)
from nemo.utils.option_checks import check_integer

NAMED_LEFT_CONTEXTS = {"very_low": 80, "low": 160, "medium": 240, "high": 320, "unlimited": UNLIMITED}


@dataclass(frozen=True)
class _Limit:
    """What the last limit did to an encoder's layers: their own contexts, and what it made of them."""

    own: Sequence[AttentionContext]
    made: Sequence[AttentionContext]


def cap_layer_contexts(encoder, cap: int):
    """Limits the left context of every layer to the smaller of its own and `cap`.

    A layer's own context is the one it had before the first cap, or has been given since: caps do not add up. With
    style `chunked_limited` a left context is cut to whole chunks.

    Args:
        encoder: a `ConformerEncoder`; its global context becomes the widest layer's
        cap: encoder frames, -1 takes the limit away

    Raises:
        ValueError: `cap` is not an integer >= -1, or the encoder's layers cannot have contexts of their own.
    """
    limit_layer_contexts(encoder, AttentionContext(check_integer("cap", cap, UNLIMITED), UNLIMITED))


def sync_masking_context_with_attention(model) -> int:
    """Sets `model.mask_processor.left_context_size` to the tightest finite left context that the encoder may use.

    Args:
        model: an SSL model with `encoder` and `mask_processor`

    Returns:
        that context in encoder frames (40 for layers with 40, 120 and 320), -1 if all are unlimited

    Raises:
        ValueError: naming what is missing, the encoder, the masking module or its `left_context_size`.
    """
    encoder, masking = require_encoder(model), require_masking(model)
    masking.left_context_size = tightest_or_unlimited(encoder)
    return masking.left_context_size


def set_dynamic_context(model, context: Union[str, Sequence[int]], sync_masking: bool = True):
    """Sets what a model's encoder sees from now on, in training too.

    Where the layers have contexts of their own, this is a limit as in `cap_layer_contexts`: each layer sees what both
    contexts see, and -1 gives the layers their own back. Otherwise it is the one context of all layers, and no other
    is sampled in training any more; local attention (`rel_pos_local_attn`) cannot change that one.

    Args:
        model: a model with `encoder`
        context: `[left, right]` in encoder frames, or the name of a left context: `very_low` (80 encoder frames),
            `low` (160), `medium` (240), `high` (320), `unlimited` (-1). A name leaves right contexts as they are; with
            style `chunked_limited` it is cut to whole chunks.
        sync_masking: whether to call `sync_masking_context_with_attention` too

    Raises:
        ValueError: an unknown name, a context that is none or does not fit the encoder's style; an encoder or, with
            `sync_masking`, a masking module that is missing or has no such setting.
    """
    limit = _named_context(context) if isinstance(context, str) else AttentionContext.parse(context, "context")
    encoder = require_encoder(model)
    if sync_masking:
        require_masking(model)
    if getattr(encoder, "has_layer_contexts", False):
        limit_layer_contexts(encoder, limit)
    else:
        _set_global_context(encoder, limit, keep_right=isinstance(context, str))
    if sync_masking:
        sync_masking_context_with_attention(model)


def layer_contexts(encoder) -> List[AttentionContext]:
    """The context that each layer has been given, or else the encoder's.

    Raises:
        ValueError: naming the encoder's class, if its layers cannot have contexts of their own.
    """
    for name in ("set_layer_contexts", "own_layer_contexts"):
        if not hasattr(encoder, name):
            raise ValueError(f"encoder={type(encoder).__name__}: has no `{name}`; its layers have no contexts to set")
    contexts = [AttentionContext.parse(context) for context in encoder.own_layer_contexts]
    if not contexts:
        style = getattr(encoder, "att_context_style", None)
        raise ValueError(f"encoder={type(encoder).__name__}: with att_context_style={style!r} layers have no contexts")
    return contexts


def tightest_or_unlimited(encoder) -> int:
    """The tightest finite left context that the encoder may use, in encoder frames; -1 if all are unlimited."""
    tightest = tightest_left_context(encoder)
    return UNLIMITED if tightest is None else tightest


def require_encoder(model):
    """Returns `model.encoder`; a ValueError if there is none."""
    return _require(model, "encoder")


def require_masking(model):
    """Returns `model.mask_processor`; a ValueError if there is none, or one without `left_context_size`."""
    masking = _require(model, "mask_processor")
    if not hasattr(masking, "left_context_size"):
        raise ValueError(f"mask_processor={type(masking).__name__}: has no `left_context_size` to set")
    return masking


def _require(model, name: str):
    if getattr(model, name, None) is None:
        raise ValueError(f"model={type(model).__name__}: has no `{name}`")
    return getattr(model, name)


def limit_layer_contexts(encoder, limit: AttentionContext):
    """Lets every layer see what its own context and `limit` both see; see `cap_layer_contexts`.

    Raises:
        ValueError: the encoder's layers cannot have contexts of their own.
    """
    own = _own_contexts(encoder)
    limited = [context.within(limit).capped(UNLIMITED, encoder.att_context_style) for context in own]
    encoder.set_layer_contexts(limited)
    # on the encoder, so that it goes where the encoder goes (copies, other models), but into no checkpoint
    encoder._layer_context_limit = _Limit(own, limited)


def _own_contexts(encoder) -> List[AttentionContext]:
    """The layers' contexts without the limit that was set last; one set by hand since then is the layer's own."""
    current = layer_contexts(encoder)
    if not encoder.has_layer_contexts and _samples_contexts(encoder):
        # or the first of the sampled contexts would limit the others
        return [widest(map(AttentionContext.parse, encoder.att_context_size_all))] * len(current)
    last: Optional[_Limit] = getattr(encoder, "_layer_context_limit", None)
    if last is None or len(last.own) != len(current) or not encoder.has_layer_contexts:
        return current
    return [own if now == made else now for own, made, now in zip(last.own, last.made, current)]


def _samples_contexts(encoder) -> bool:
    """Whether NeMo draws one of several contexts at each training step; layers see what it and their own both see."""
    return len(encoder.att_context_size_all) > 1


def _named_context(name: str) -> AttentionContext:
    if name not in NAMED_LEFT_CONTEXTS:
        raise ValueError(f"context={name!r}: must be [left, right] or one of {', '.join(NAMED_LEFT_CONTEXTS)}")
    return AttentionContext(NAMED_LEFT_CONTEXTS[name], UNLIMITED)


def _set_global_context(encoder, context: AttentionContext, keep_right: bool):
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
        context = AttentionContext(context.left, size[-1]).capped(UNLIMITED, style)
    check_layer_contexts([context], style)
    # NeMo 3 has contexts of three numbers too, [left, chunk, right]
    size = [context.left, *size[1:-1], context.right]
    # the list that NeMo samples from in training; it warns of a context that is not in there
    encoder.att_context_size_all, encoder.att_context_probs = [size], [1.0]
    encoder.set_default_att_context_size(size)
