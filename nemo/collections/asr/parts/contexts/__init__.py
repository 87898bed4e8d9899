# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""What a streaming encoder sees: attention contexts, their schedule over layers, their curriculum over training steps.

Contexts are `[left, right]` in encoder frames (80 ms after 8-fold subsampling), -1 for unlimited.
"""

from nemo.collections.asr.parts.contexts.context import (
    STYLES,
    UNLIMITED,
    AttentionContext,
    attention_contexts,
    lookahead_frames,
    tightest_left,
    widest,
)
from nemo.collections.asr.parts.contexts.curriculum import ContextCurriculum, ContextRamp
from nemo.collections.asr.parts.contexts.runtime import (
    cap_layer_contexts,
    set_dynamic_context,
    sync_masking_context_with_attention,
)
from nemo.collections.asr.parts.contexts.saved import SavesContexts
from nemo.collections.asr.parts.contexts.schedule import ConfiguredContexts, ContextSchedule

__all__ = [
    "STYLES",
    "UNLIMITED",
    "AttentionContext",
    "ConfiguredContexts",
    "ContextCurriculum",
    "ContextRamp",
    "ContextSchedule",
    "SavesContexts",
    "attention_contexts",
    "cap_layer_contexts",
    "lookahead_frames",
    "set_dynamic_context",
    "sync_masking_context_with_attention",
    "tightest_left",
    "widest",
]
