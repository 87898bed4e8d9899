# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Fine-tuning: a pretrained streaming encoder becomes a CTC or RNN-T recogniser.

`FineTuning` is the whole run, as the example script has it. `read_pretrained`, `inherit` and `load_into` are its
steps; the callbacks work in any other run.
"""

from nemo.collections.asr.parts.finetuning.checkpoint import LoadReport, Pretrained, load_into, read_pretrained
from nemo.collections.asr.parts.finetuning.freezing import FreezeEncoder
from nemo.collections.asr.parts.finetuning.inheritance import inherit
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
