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

"""What a run leaves: checkpoints whose names say what was measured, and a model of which is said what it is.

A script calls `fit_and_say` in place of `trainer.fit`.
"""

from nemo.collections.asr.parts.checkpoints.measured import MeasuredCheckpoint, measured_checkpoints
from nemo.collections.asr.parts.checkpoints.outcome import fit_and_say

__all__ = ["MeasuredCheckpoint", "fit_and_say", "measured_checkpoints"]
