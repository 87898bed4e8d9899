# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""The streaming step of an encoder as one ONNX graph: `nemo-streaming-ssl export`."""

from nemo.collections.asr.parts.streaming.export.folder import check_folder, export_streaming
from nemo.collections.asr.parts.streaming.step import StreamingStep

__all__ = ["StreamingStep", "check_folder", "export_streaming"]
