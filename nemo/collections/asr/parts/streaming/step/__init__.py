# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""One step of a streaming encoder: sessions drive it as it is, `parts/streaming/export` traces it."""

from nemo.collections.asr.parts.streaming.step.step import StreamingStep

__all__ = ["StreamingStep"]
