# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""The objective that a model's config asks for, checked against the model."""

from collections.abc import Mapping
from typing import Any

from nemo.collections.asr.models.objectives.masked_tokens import MaskedTokens
from nemo.collections.asr.models.objectives.next_tokens import NextTokens
from nemo.collections.asr.models.objectives.objective import Objective
from nemo.collections.asr.parts.lookahead import first_predicted_token
from nemo.collections.asr.parts.objectives import MASKED_TOKENS, read_next_tokens, read_objective
from nemo.collections.asr.parts.utils.ssl_config import warning_if


def objective_of_config(cfg: Mapping, restoring: bool = False) -> Objective:
    """The objective that a model's config asks for; masked tokens where it does not say.

    Args:
        cfg: `cfg.objective` is `masked_tokens` or `next_tokens`; for the latter, `cfg.next_tokens` has `steps` (4
            where it is left out) and `first` (left out or null: the first token that a step has not heard all of)
        restoring: whether the config comes from a file

    Raises:
        ValueError: an option is not known or out of its range; the model would hear what it is to predict. A model
            that is restored gets a warning of the latter: it can be looked at, and will not be trained.
    """
    objective, options = read_objective(cfg), read_next_tokens(cfg)
    if objective == MASKED_TOKENS:
        return MaskedTokens()
    _check_whole_model(cfg)
    with warning_if(restoring):
        return NextTokens(options.steps, _first(options.first, cfg))
    return NextTokens(options.steps, options.first or 0)


def require_unheard(objective: Objective, config_or_model: Any) -> None:
    """Raises a ValueError if a model hears what its objective asks for: contexts can be changed after it is built."""
    if isinstance(objective, NextTokens):
        _first(objective.first, config_or_model)


def _first(first: int | None, config_or_model: Any) -> int:
    try:
        return first_predicted_token(first, config_or_model)
    except ValueError as error:
        raise ValueError(f"model.objective=next_tokens: {error}") from error


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
