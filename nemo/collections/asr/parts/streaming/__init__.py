# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Streaming inference: audio goes in in pieces of any size, and what the offline pass would give comes out: encoder
features of a session, text of a recogniser."""

from nemo.collections.asr.parts.streaming.output import StreamingOutput
from nemo.collections.asr.parts.streaming.recognition import StreamingRecognizer, Token, Transcript
from nemo.collections.asr.parts.streaming.session import StreamingEncoderSession

__all__ = ["StreamingEncoderSession", "StreamingOutput", "StreamingRecognizer", "Token", "Transcript"]
