# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Which tokens each encoder step predicts with `model.objective: next_tokens`: none that it has heard all of."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nemo.collections.asr.parts.lookahead.from_config import ModelOptions, model_section, read_options
from nemo.collections.asr.parts.lookahead.reasons import find_reasons
from nemo.collections.asr.parts.objectives import NEXT_TOKENS, read_next_tokens, read_objective


@dataclass(frozen=True)
class PredictedTokens:
    """What encoder step t predicts: the tokens t + first ... t + first + steps - 1.

    Args:
        steps: how many tokens of each codebook
        first: the first of them, counted from the step's own; where there is a problem, what the config says
        heard_frames: feature frames of token t + first that step t has heard; None where there is a problem
        token_frames: feature frames of a token
        problem: why it cannot be trained: the model hears what it would predict; None if it does not
    """

    steps: int
    first: int | None
    heard_frames: int | None
    token_frames: int
    problem: str | None = None

    def __str__(self) -> str:
        if self.problem is not None or self.first is None:
            return f"Objective next_tokens: NOT possible; {self.problem}"
        last = self.first + self.steps - 1
        tokens = f"tokens t + {self.first} ... t + {last}" if self.steps > 1 else f"token t + {self.first}"
        token = f"token t + {self.first}" if self.first else "token t"
        heard = f"it has heard {self.heard_frames} of the {self.token_frames} frames of {token}"
        return f"Objective next_tokens: step t predicts {tokens}; {heard}"


def predicted_tokens(config_or_model: Any, options: ModelOptions) -> PredictedTokens | None:
    """What a model is asked in pretraining; None with `masked_tokens`, and for a model that predicts no tokens.

    Args:
        config_or_model: see `report_lookahead`
        options: what `read_options` makes of it

    Raises:
        ValueError: an option has a value that means nothing. That the model hears what it would predict is none, it
            is in the answer.
    """
    model = model_section(config_or_model if isinstance(config_or_model, Mapping) else config_or_model.cfg)
    if "quantizer" not in model or read_objective(model) != NEXT_TOKENS:
        return None
    given, frames = read_next_tokens(model), options.timing.stride
    try:
        first = first_predicted_token(given.first, config_or_model)
    except ValueError as error:
        return PredictedTokens(given.steps, given.first, None, frames, str(error))
    heard = min(max(int(options.feature_frames_ahead) + 1 - first * frames, 0), frames)
    return PredictedTokens(given.steps, first, heard, frames)


def first_unheard_token(config_or_model: Any) -> int:
    """The first token, counted from an encoder step's own, of which the step has not heard every feature frame.

    Token t is made of the `subsampling_factor` feature frames from the one that encoder step t stands for. So it is 0
    with `causal_downsampling`, where the step has heard the first of them, and 1 without, where it has heard all.

    Args:
        config_or_model: see `report_lookahead`

    Raises:
        ValueError: attention, a normalisation or the front end looks ahead, with each reason; see also
            `report_lookahead`.
    """
    options = read_options(config_or_model)
    # all that shows a step more than a fixed number of feature frames ahead
    leaks = [
        reason.what
        for reason in find_reasons(options)
        if reason.part in ("attention", "normalisation") or reason.ms == math.inf
    ]
    if not leaks:
        # training draws from all contexts that are listed, and the report is about the first of them
        config = config_or_model if isinstance(config_or_model, Mapping) else config_or_model.cfg
        leaks = [
            f"attention: encoder.att_context_size has {list(size)}, whose right context is not 0"
            for size in model_section(config).encoder.get("att_context_size") or []
            if not isinstance(size, int) and size[1] != 0
        ]
    if leaks:
        raise ValueError("the model hears what it would predict:\n" + "\n".join(f"  - {leak}" for leak in leaks))
    return int(options.feature_frames_ahead + 1) // options.timing.stride


def first_predicted_token(first: int | None, config_or_model: Any) -> int:
    """The first token that a step predicts: `first` of the config, or where that is None the first unheard one.

    Raises:
        ValueError: the step has heard all of it, see also `first_unheard_token`.
    """
    unheard = first_unheard_token(config_or_model)
    if first is None:
        return unheard
    if first < unheard:
        raise ValueError(
            f"model.next_tokens.first={first}: encoder step t has heard all of token t + {first}; must be {unheard} "
            "or more, or null"
        )
    return first
