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

"""`model.objective` and its block, read from a model's config and checked against it."""

from typing import Any, Mapping

from nemo.collections.asr.models.objectives.masked_tokens import MaskedTokens
from nemo.collections.asr.models.objectives.next_tokens import NextTokens
from nemo.collections.asr.models.objectives.objective import Objective
from nemo.collections.asr.parts.lookahead import first_unheard_token
from nemo.collections.asr.parts.utils.ssl_config import warning_if
from nemo.utils.option_checks import check_choice, check_integer

OBJECTIVES = (MaskedTokens.name, NextTokens.name)
DEFAULT_STEPS = 4


def objective_of_config(cfg: Mapping, restoring: bool = False) -> Objective:
    """The objective that a model's config asks for; masked tokens where it does not say.

    Args:
        cfg: `cfg.objective` is one of `OBJECTIVES`; for `next_tokens`, `cfg.next_tokens` has `steps` (4 where it is
            left out) and `first` (left out or null: the first token that a step has not heard all of)
        restoring: whether the config comes from a file

    Raises:
        ValueError: an option is not known or out of its range; the model would hear what it is to predict. A model
            that is restored gets a warning of the latter: it can be looked at, and will not be trained.
    """
    name = check_choice("model.objective", cfg.get("objective", MaskedTokens.name), OBJECTIVES)
    block = _block(cfg)
    if name == MaskedTokens.name:
        return MaskedTokens()
    _check_whole_model(cfg)
    steps = check_integer("model.next_tokens.steps", block.get("steps", DEFAULT_STEPS), 1)
    first = block.get("first")
    if first is not None:
        check_integer("model.next_tokens.first", first, 0)
    with warning_if(restoring):
        unheard = _first_unheard(cfg)
        return NextTokens(steps, unheard if first is None else _check_first(first, unheard))
    return NextTokens(steps, first or 0)


def require_unheard(objective: Objective, config_or_model: Any) -> None:
    """Raises a ValueError if a model hears what its objective asks for: contexts can be changed after it is built."""
    if isinstance(objective, NextTokens):
        _check_first(objective.first, _first_unheard(config_or_model))


def _block(cfg: Mapping) -> Mapping:
    block = cfg.get("next_tokens")
    if block is None:
        return {}
    if not isinstance(block, Mapping):
        raise ValueError(f"model.next_tokens={block!r}: must have the keys steps and first")
    for key in block:
        if key not in ("steps", "first"):
            raise ValueError(f"model.next_tokens.{key}={block[key]!r}: unknown option; allowed are steps, first")
    return block


def _check_whole_model(cfg: Mapping) -> None:
    """Raises a ValueError for parts that next-token prediction cannot be trained with."""
    position = cfg.get("mask_position", "pre_conv")
    if position != "pre_conv":
        raise ValueError(
            f"model.mask_position={position}: must be pre_conv for model.objective=next_tokens, which masks nothing; "
            "after the subsampling, targets would be made of what is trained"
        )
    books, decoders = cfg.quantizer.get("num_books", 1), cfg.decoder.get("num_decoders", 1)
    if books != decoders:
        raise ValueError(
            f"model.decoder.num_decoders={decoders}: must be model.num_books={books}; the heads for "
            "model.next_tokens.steps are added by the model"
        )


def _check_first(first: int, unheard: int) -> int:
    if first < unheard:
        raise ValueError(
            f"model.next_tokens.first={first}: encoder step t has heard all of token t + {first}; must be {unheard} "
            "or more, or null"
        )
    return first


def _first_unheard(config_or_model: Any) -> int:
    try:
        return first_unheard_token(config_or_model)
    except ValueError as error:
        raise ValueError(f"model.objective=next_tokens: {error}") from error
