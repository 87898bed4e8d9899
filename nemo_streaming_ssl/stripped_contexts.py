# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""What `nemo-streaming-ssl strip` makes of contexts for each layer: plain NeMo's encoder has one for all of them."""

from itertools import groupby
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # NeMo takes seconds to import; a config without contexts needs none of it
    from nemo.collections.asr.parts.contexts import AttentionContext

# Arguments of `ConformerEncoder` that are handled here.
CONTEXT_KEYS = ("hierarchical_context", "context_cap")


def strip_contexts(cfg: dict[str, Any]) -> list[str]:
    """Makes contexts of layers the one of `cfg['encoder']`, in place.

    Where all layers see the same, nothing is lost; otherwise plain NeMo's layers get the widest.

    Returns:
        what has changed, a line each

    Raises:
        ValueError: a context is none; the patches are switched off, which can read them.
    """
    encoder = cfg.get("encoder")
    if not isinstance(encoder, dict):
        return []
    if "masking" in cfg and _is_enabled(cfg.get("hierarchical_context")):
        encoder["hierarchical_context"] = cfg["hierarchical_context"]  # as the SSL models do
    block, cap = (encoder.pop(key, None) for key in CONTEXT_KEYS)
    if cap is None and not _is_enabled(block):
        return []
    seen = _seen(encoder, block, cap)
    if len(_sizes(encoder)) > 1:
        return _keep_several(encoder, seen)
    return _take_widest(encoder, seen) + _leave_local_attention(encoder)


def _is_enabled(block: Any) -> bool:
    return isinstance(block, dict) and block.get("enabled", True)


def _sizes(encoder: dict[str, Any]) -> list[Any]:
    """`att_context_size` as a list of contexts."""
    given = encoder.get("att_context_size") or [-1, -1]
    return [given] if isinstance(given[0], int) else given


def _seen(encoder: dict[str, Any], block: Any, cap: Any) -> list["AttentionContext"]:
    """What each layer sees: its own context within the cap."""
    try:
        from nemo.collections.asr.parts.contexts import AttentionContext, ContextSchedule, widest
    except ImportError as error:
        raise ValueError("its contexts can be read with the patches only; is NEMO_STREAMING_SSL=off set?") from error
    style, schedule = encoder.get("att_context_style", "regular"), ContextSchedule.from_config(block)
    if schedule is None:
        own = [widest(map(AttentionContext.parse, _sizes(encoder)))] * encoder["n_layers"]
    else:
        own = schedule.for_layers(encoder["n_layers"], style)
    limit = AttentionContext.parse([-1, -1] if cap is None else cap, "context_cap")
    return [context.capped(limit, style) for context in own]


def _take_widest(encoder: dict[str, Any], seen: list["AttentionContext"]) -> list[str]:
    from nemo.collections.asr.parts.contexts import widest

    size = encoder["att_context_size"] = widest(seen).as_list()
    if len(set(seen)) == 1:
        return [f"encoder.att_context_size={size}: the context of all layers; nothing is lost"]
    return [f"encoder.hierarchical_context: {_listed(seen)}; plain NeMo gives all layers {size}: other outputs"]


def _keep_several(encoder: dict[str, Any], seen: list["AttentionContext"]) -> list[str]:
    from nemo.collections.asr.parts.contexts import AttentionContext

    sizes = [AttentionContext.parse(size) for size in _sizes(encoder)]
    if all(size.within(context) == size for size in sizes for context in seen):
        return [f"encoder.hierarchical_context: no layer saw less than {_sizes(encoder)}; nothing is lost"]
    return [
        f"encoder.hierarchical_context: {_listed(seen)}; plain NeMo gives all layers one of {_sizes(encoder)}: "
        "other outputs"
    ]


def _leave_local_attention(encoder: dict[str, Any]) -> list[str]:
    if encoder.get("self_attention_model") != "rel_pos_local_attn":
        return []
    encoder["self_attention_model"] = "rel_pos"
    return ["encoder.self_attention_model=rel_pos: what rel_pos_local_attn computed with contexts of layers"]


def _listed(seen: list["AttentionContext"]) -> str:
    """`layers 0 to 5 had [40, 0], layer 6 [120, 0]`"""
    parts: list[str] = []
    first = 0
    for context, group in groupby(seen):
        last = first + len(list(group)) - 1
        layers = f"layer {first}" if first == last else f"layers {first} to {last}"
        parts.append(f'{layers} {"" if parts else "had "}{context.as_list()}')
        first = last + 1
    return ", ".join(parts)
