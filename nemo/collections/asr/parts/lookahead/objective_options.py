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

"""`model.objective` and `model.next_tokens`, read from a config: plain values."""

from dataclasses import dataclass
from typing import Mapping, Optional

from nemo.utils.option_checks import check_choice, check_integer

MASKED_TOKENS, NEXT_TOKENS = OBJECTIVES = ("masked_tokens", "next_tokens")
DEFAULT_STEPS = 4


@dataclass(frozen=True)
class NextTokenOptions:
    """`model.next_tokens`: how many tokens a step predicts, and the first of them, None for the first unheard one."""

    steps: int
    first: Optional[int]


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
    steps = check_integer("model.next_tokens.steps", block.get("steps", DEFAULT_STEPS), 1)
    first = block.get("first")
    return NextTokenOptions(steps, None if first is None else check_integer("model.next_tokens.first", first, 0))
