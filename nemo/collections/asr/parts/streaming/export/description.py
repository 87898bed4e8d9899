# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""What `model.json` says of an exported streaming step, and the arrays of its front end. See docs/export.md."""

from typing import Any

import numpy as np
import torch

from nemo.collections.asr.parts.lookahead import LookaheadReport
from nemo.collections.asr.parts.streaming.export.onnx_graph import OPSET
from nemo.collections.asr.parts.streaming.log_mel import GRADIENT_GUARD, StreamingLogMel
from nemo.collections.asr.parts.streaming.step import StreamingStep
from nemo.collections.asr.parts.streaming.step.head import Ctc

FORMAT, FORMAT_VERSION = "nemo-streaming-ssl streaming step", 1
ARRAYS_FILE = "features.npz"
Json = dict[str, Any]


def describe(
    step: StreamingStep,
    report: LookaheadReport,
    front_end: StreamingLogMel,
    ctc: Ctc | None,
    graphs: dict[str, str],
) -> Json:
    """All of `model.json`.

    Args:
        step: what was exported
        report: the model's look-ahead
        front_end: the model's
        ctc: the model's CTC decoder, if it has one
        graphs: the file of each precision
    """
    classes = None
    if ctc is not None:
        count = ctc.head.num_classes
        classes = {"count": count, "blank": count - 1, "vocabulary": ctc.vocabulary}
    return {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "graphs": graphs,
        "onnx_opset": OPSET,
        "audio": _audio(front_end, report),
        "encoder": _encoder(step, report),
        "classes": classes,
        "inputs": _inputs(step),
        "outputs": _outputs(step),
        "state": _state(step),
    }


def _audio(front_end: StreamingLogMel, report: LookaheadReport) -> Json:
    featurizer = front_end.featurizer
    guard = featurizer.log_zero_guard_value_fn(torch.zeros(1)) if featurizer.log else 0.0
    return {
        "arrays_file": ARRAYS_FILE,
        "sample_rate_hz": report.timing.sample_rate,
        "num_features": front_end.num_features,
        "hop_samples": front_end.hop,
        "window_samples": front_end.window_size,
        "fft_samples": front_end.n_fft,
        "first_sample": front_end.first_sample,
        "frame_offset_samples": front_end.frame_offset,
        "dropped_tail_samples": front_end.dropped_tail,
        "preemphasis": front_end.preemph,
        "power_guard": GRADIENT_GUARD if featurizer.use_grads else 0.0,
        "magnitude_power": float(featurizer.mag_power),
        "log_guard": featurizer.log_zero_guard_type if featurizer.log else "none",
        "log_guard_value": float(guard),
    }


def feature_arrays(front_end: StreamingLogMel) -> dict[str, np.ndarray]:
    """Window (W,), filters (fft / 2 + 1, D) and, where features are normalised by constants, mean and std (D,)."""
    arrays = {"window": front_end.window, "filters": front_end.filters}
    if front_end.statistics is not None:
        arrays.update(zip(("mean", "std"), front_end.statistics))
    return {name: x.detach().cpu().float().numpy() for name, x in arrays.items()}


def _encoder(step: StreamingStep, report: LookaheadReport) -> Json:
    return {
        "attention_style": report.style,
        "layers": len(step.layers),
        "left_contexts_encoder_frames": step.lefts,
        "right_context_encoder_frames": step.chunk - 1,
        "chunk_encoder_frames": step.chunk,
        "most_encoder_frames_per_step": step.chunk if step.chunk > 1 else None,
        "feature_frames_per_encoder_frame": step.factor,
        "halvings": len(step.subsampling.stages),
        "encoder_frame_ms": report.timing.encoder_ms,
        "lookahead_ms": report.stated_ms,
        "num_outputs": step.num_outputs,
    }


def _inputs(step: StreamingStep) -> list[Json]:
    frames = f"{step.factor} * frames"
    return [
        _tensor("features", ["batch", frames, step.subsampling.num_features], "float32", "feature frames"),
        _tensor("position", ["batch"], "int64", "encoder frames that the stream has had before this step"),
        _tensor("end", ["batch"], "int64", "feature frames of the stream if it ends with this step, or 2**62"),
    ]


def _outputs(step: StreamingStep) -> list[Json]:
    outputs = [_tensor("encoded", ["batch", "frames", step.num_outputs], "float32", "encoder features")]
    if step.head is not None:
        count: Any = step.head.num_classes
        outputs.append(_tensor("log_probs", ["batch", "frames", count], "float32", "natural logarithms, CTC"))
    return outputs


def _tensor(name: str, shape: list[Any], dtype: str, meaning: str) -> Json:
    return {"name": name, "shape": shape, "dtype": dtype, "meaning": meaning}


def _state(step: StreamingStep) -> list[Json]:
    state = []
    for name, shape in step.state_shapes().items():
        kind, _, index = name.rpartition("_")
        has_past = kind in ("keys", "values")
        dynamic = [shape[0], f"left_{index}", *shape[2:]] if has_past else list(shape)
        item = {"input": name, "output": f"next_{name}", "dtype": "float32", "shape": ["batch", *dynamic]}
        state.append({**item, "longest_shape": ["batch", *shape], "layer": int(index) if has_past else None})
    return state
