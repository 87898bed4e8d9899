# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Which tokens of the future a model may be asked for: the answer must not lie in what it has heard."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

from nemo.collections.asr.parts.lookahead.from_config import model_section, read_options
from nemo.collections.asr.parts.lookahead.reasons import Reason, find_reasons


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
    leaks = [reason.what for reason in find_reasons(options) if _leaks(reason)]
    if not leaks:
        leaks = list(_other_contexts(config_or_model))
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


def _leaks(reason: Reason) -> bool:
    """Whether it shows a step more than a fixed number of feature frames ahead."""
    return reason.part in ("attention", "normalisation") or reason.ms == math.inf


def _other_contexts(config_or_model: Any) -> Iterator[str]:
    """Contexts that training draws from, beside the first, which is the one that the report is about."""
    config = config_or_model if isinstance(config_or_model, Mapping) else config_or_model.cfg
    sizes = model_section(config).encoder.get("att_context_size") or []
    for size in sizes:
        if not isinstance(size, int) and size[1] != 0:
            yield f"attention: encoder.att_context_size has {list(size)}, whose right context is not 0"
