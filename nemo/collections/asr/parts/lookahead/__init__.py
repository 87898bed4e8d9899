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

"""How far ahead a streaming model looks: reported from its config, proved on the model."""

from nemo.collections.asr.parts.lookahead.causality import probe_causality
from nemo.collections.asr.parts.lookahead.objective_options import (
    MASKED_TOKENS,
    NEXT_TOKENS,
    read_next_tokens,
    read_objective,
)
from nemo.collections.asr.parts.lookahead.predicted import PredictedTokens
from nemo.collections.asr.parts.lookahead.report import LookaheadReport, report_lookahead, require_streaming
from nemo.collections.asr.parts.lookahead.unheard import first_predicted_token, first_unheard_token

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
