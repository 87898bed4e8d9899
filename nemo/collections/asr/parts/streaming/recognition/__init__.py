# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Text from streams: NeMo's CTC and RNN-T decoding, piece by piece, behind `StreamingEncoderSession`."""

from nemo.collections.asr.parts.streaming.recognition.recognizer import StreamingRecognizer
from nemo.collections.asr.parts.streaming.recognition.transcript import Token, Transcript

__all__ = ["StreamingRecognizer", "Token", "Transcript"]
