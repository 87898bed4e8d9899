# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""`model.objective` and `model.next_tokens`, read from a config: plain values."""

from collections.abc import Mapping
from dataclasses import dataclass

from nemo.utils.option_checks import check_choice, check_integer

MASKED_TOKENS, NEXT_TOKENS = OBJECTIVES = ("masked_tokens", "next_tokens")


@dataclass(frozen=True)
class NextTokenOptions:
    """`model.next_tokens`: how many tokens a step predicts, and the first of them, None for the first unheard one."""

    steps: int
    first: int | None


def read_objective(model: Mapping) -> str:
    """One of `OBJECTIVES`, masked tokens where the config does not say; anything else is a ValueError."""
    return check_choice("model.objective", model.get("objective", MASKED_TOKENS), OBJECTIVES)


def read_next_tokens(model: Mapping) -> NextTokenOptions:
    """The block `next_tokens` of a model's config.

    Raises:
        ValueError: it is no block, has an unknown key, or a value is out of its range
    """
    block = model.get("next_tokens")
    block = {} if block is None else block
    if not isinstance(block, Mapping):
        raise ValueError(f"model.next_tokens={block!r}: must have the keys steps and first")
    for key in block:
        if key not in ("steps", "first"):
            raise ValueError(f"model.next_tokens.{key}={block[key]!r}: unknown option; allowed are steps, first")
    steps = check_integer("model.next_tokens.steps", block.get("steps", 4), 1)
    first = block.get("first")
    return NextTokenOptions(steps, None if first is None else check_integer("model.next_tokens.first", first, 0))
