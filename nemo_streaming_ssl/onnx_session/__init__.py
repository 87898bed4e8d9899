# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Streaming inference of an exported model with onnxruntime and NumPy: neither torch nor NeMo is imported."""

from nemo_streaming_ssl.onnx_session.session import OnnxStreamingOutput, OnnxStreamingSession

__all__ = ["OnnxStreamingOutput", "OnnxStreamingSession"]
