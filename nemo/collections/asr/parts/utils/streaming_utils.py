# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

from nemo.collections.asr.parts.contexts.runtime import (  # noqa: F401
    set_dynamic_context,
    sync_masking_context_with_attention,
)
from nemo.collections.asr.parts.utils import _streaming_utils_base as base
from nemo.utils.shadowing import inherit_module

inherit_module(base, globals())
