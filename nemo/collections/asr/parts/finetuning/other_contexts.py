# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Which contexts a fine-tuned encoder has: those it was pretrained with, or others that are asked for."""

from collections.abc import Mapping
from typing import Any

from nemo.collections.asr.parts.contexts import AttentionContext
from nemo.collections.asr.parts.lookahead import report_lookahead
from nemo.utils import logging

SIZES = ("att_context_size", "att_context_probs", "hierarchical_context", "context_cap")
CONTEXTS = ("att_context_style", *SIZES)
Style = tuple[str, tuple[AttentionContext, ...]]


def contexts_of_both(
    encoder: Mapping, given: Mapping, config: Mapping, allowed: bool
) -> tuple[dict[str, Any], list[str]]:
    """The encoder's section with the contexts that it gets, and contradictions, if they are not allowed.

    `att_context_size` alone, or `hierarchical_context`, is the context of all layers, in place of all that the
    checkpoint says of sizes, a curriculum's cap included. What comes to the same in every layer is no contradiction.

    Args:
        encoder: the checkpoint's section, without contexts that are asked for
        given: what is asked for, some of `CONTEXTS`
        config: the checkpoint's
        allowed: `pretrained.other_contexts`

    Raises:
        ValueError: what is asked for is not valid, see `ContextSchedule`
    """
    asked = {key: value for key, value in given.items() if allowed or value is not None}
    differing = {key: value for key, value in asked.items() if value != encoder.get(key)}
    if not (asked if allowed else differing):
        return dict(encoder), []
    other = _with_contexts(encoder, asked)
    before, after = (_in_force(config, section) for section in (encoder, other))
    if before == after and not _draws(encoder) and not _draws(other):
        return dict(encoder), []
    if allowed:
        logging.info(f"Contexts of the layers: {_text(after)}; pretrained with {_text(before)}.")
        return other, []
    if "context_cap" in encoder and "context_cap" not in other:
        differing["context_cap"] = None  # replaced with the sizes
    return dict(encoder), [
        f"model.encoder.{key}={value}, the checkpoint has {encoder.get(key)}" for key, value in differing.items()
    ]


def _with_contexts(encoder: Mapping, asked: Mapping) -> dict[str, Any]:
    replaced: tuple[str, ...] = ()
    if "att_context_size" in asked:
        replaced = SIZES
    elif "hierarchical_context" in asked:
        replaced = SIZES[2:]
    kept = {key: value for key, value in encoder.items() if key not in replaced}
    return {**kept, **{key: value for key, value in asked.items() if value is not None}}


def _in_force(config: Mapping, encoder: Mapping) -> Style:
    report = report_lookahead({"preprocessor": config["preprocessor"], "encoder": encoder})
    return report.style, report.contexts


def _draws(encoder: Mapping) -> bool:
    """Whether the encoder draws one of several contexts for each batch."""
    size = encoder.get("att_context_size") or [0]
    return not isinstance(size[0], int)


def _text(in_force: Style) -> str:
    style, contexts = in_force
    sizes = [context.as_list() for context in contexts]
    return f"{sizes[0] if len(set(contexts)) == 1 else sizes}, {style}"
