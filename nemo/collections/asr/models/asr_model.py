# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""What ASR models have in common with ours beside their encoder: what they save."""

from nemo.collections.asr.models import _asr_model_base as base
from nemo.collections.asr.parts.contexts import SavesContexts
from nemo.utils.shadowing import inherit_module

inherit_module(base, globals(), replacing=("ASRModel",))


class ASRModel(SavesContexts, base.ASRModel):
    """NeMo's base class of ASR models, whose files keep the attention contexts that are in force."""
