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

"""Steps whose loss or gradients are not finite: found on all ranks alike, then an error, or left out and counted."""

from nemo.collections.asr.parts.nonfinite.callback import (
    ON_NONFINITE,
    NonfiniteSteps,
    check_on_nonfinite,
    nonfinite_of_config,
    skips_scheduler,
    step_was_skipped,
)
from nemo.collections.asr.parts.nonfinite.utterances import name_utterances, utterances_of

__all__ = [
    "ON_NONFINITE",
    "NonfiniteSteps",
    "check_on_nonfinite",
    "name_utterances",
    "nonfinite_of_config",
    "skips_scheduler",
    "step_was_skipped",
    "utterances_of",
]
