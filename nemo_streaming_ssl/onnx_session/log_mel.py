# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""The front end of an export folder."""

from typing import Any

from nemo_streaming_ssl.onnx_session import arrays
from nemo_streaming_ssl.onnx_session.description import Description
from nemo_streaming_ssl.overlay import overlay_module


def log_mel(description: Description) -> Any:
    """What makes feature frames of samples, a `LogMel`."""
    audio, constants = description.audio, description.arrays()
    return overlay_module("features").LogMel(
        arrays=arrays,
        window=constants["window"],
        filters=constants["filters"],
        statistics=(constants["mean"], constants["std"]) if "mean" in constants else None,
        hop=int(audio["hop_samples"]),
        n_fft=int(audio["fft_samples"]),
        first_sample=int(audio["first_sample"]),
        frame_offset=int(audio["frame_offset_samples"]),
        dropped_tail=int(audio["dropped_tail_samples"]),
        preemph=audio["preemphasis"],
        power_guard=audio["power_guard"],
        mag_power=audio["magnitude_power"],
        log_guard=audio["log_guard"],
        log_guard_value=audio["log_guard_value"],
    )
