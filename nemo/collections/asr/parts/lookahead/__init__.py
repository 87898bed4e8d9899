# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""How far ahead a streaming model looks: reported from its config, proved on the model."""

from nemo.collections.asr.parts.lookahead.causality import probe_causality
from nemo.collections.asr.parts.lookahead.predicted import (
    PredictedTokens,
    first_predicted_token,
    first_unheard_token,
)
from nemo.collections.asr.parts.lookahead.report import LookaheadReport, report_lookahead, require_streaming
from nemo.collections.asr.parts.objectives import MASKED_TOKENS, NEXT_TOKENS, read_next_tokens, read_objective

__all__ = [
    "LookaheadReport",
    "MASKED_TOKENS",
    "NEXT_TOKENS",
    "PredictedTokens",
    "first_predicted_token",
    "first_unheard_token",
    "probe_causality",
    "read_next_tokens",
    "read_objective",
    "report_lookahead",
    "require_streaming",
]
