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

"""Fine-tuning: a pretrained streaming encoder becomes a CTC or RNN-T recogniser.

`FineTuning` is the whole run, as the example script has it. `read_pretrained`, `inherit` and `load_into` are its
steps; the callbacks work in any other run.
"""

from nemo.collections.asr.parts.finetuning.checkpoint import Pretrained, read_pretrained
from nemo.collections.asr.parts.finetuning.freezing import FreezeEncoder
from nemo.collections.asr.parts.finetuning.inheritance import inherit
from nemo.collections.asr.parts.finetuning.loading import LoadReport, load_into
from nemo.collections.asr.parts.finetuning.run import FineTuning
from nemo.collections.asr.parts.finetuning.validation import BlankShare, ShowErrorRate

__all__ = [
    "BlankShare",
    "FineTuning",
    "FreezeEncoder",
    "LoadReport",
    "Pretrained",
    "ShowErrorRate",
    "inherit",
    "load_into",
    "read_pretrained",
]
