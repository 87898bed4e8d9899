# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""What an encoder is asked in pretraining: `model.objective`."""

from nemo.collections.asr.models.objectives.masked_tokens import MaskedTokens
from nemo.collections.asr.models.objectives.next_tokens import NextTokens
from nemo.collections.asr.models.objectives.objective import Answers, Objective
from nemo.collections.asr.models.objectives.options import objective_of_config, require_unheard

__all__ = [
    "Answers",
    "MaskedTokens",
    "NextTokens",
    "Objective",
    "objective_of_config",
    "require_unheard",
]
