# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""The ONNX graphs of a streaming step."""

import warnings
from pathlib import Path
from typing import Any

import torch

from nemo.collections.asr.parts.streaming.step import StreamingStep

OPSET = 18
# Linear maps that stay in float32: what comes out of them is used as it is.
NOT_QUANTIZED = ("/out_proj/", "/head/")


def input_names(step: StreamingStep) -> list[str]:
    """The graph's inputs, in the order of `StreamingStep.forward`."""
    return ["features", "position", "end", *step.state_shapes()]


def output_names(step: StreamingStep) -> list[str]:
    """The graph's outputs, in the order of `StreamingStep.forward`."""
    outputs = ["encoded"] if step.head is None else ["encoded", "log_probs"]
    return [*outputs, *(f"next_{name}" for name in step.state_shapes())]


def dynamic_axes(step: StreamingStep) -> dict[str, dict[int, str]]:
    """The names of the dimensions that have no fixed size, for each input and output."""
    axes = {"features": {0: "batch", 1: "feature_frames"}, "position": {0: "batch"}, "end": {0: "batch"}}
    axes.update({name: {0: "batch", 1: "frames"} for name in ("encoded", "log_probs")})
    for name in step.state_shapes():
        kind, _, index = name.rpartition("_")
        past = {2: f"left_{index}"} if kind in ("keys", "values") else {}
        axes[name] = axes[f"next_{name}"] = {0: "batch", **past}
    return axes


def write_graph(step: StreamingStep, path: Path) -> None:
    """Writes the graph in float32, checked.

    It comes from PyTorch's older exporter: it takes seconds where the newer one takes minutes, for the same operators.
    """
    import onnx

    frames = step.chunk if step.chunk > 1 else 3
    features = torch.zeros(2, frames * step.factor, step.subsampling.num_features)
    positions, ends = torch.tensor([0, 5]), torch.tensor([2**62, 60])
    arguments = (features, positions, ends, *step.initial_state(2))
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the tracer's, and that there is a newer exporter
        torch.onnx.export(
            step,
            arguments,
            str(path),
            input_names=input_names(step),
            output_names=output_names(step),
            dynamic_axes=dynamic_axes(step),
            opset_version=OPSET,
            dynamo=False,
        )
    _name_sizes(path, step)
    onnx.checker.check_model(str(path), full_check=True)


def _name_sizes(path: Path, step: StreamingStep) -> None:
    """Writes the shapes of the state's outputs, some of whose sizes the exporter does not know, into a graph."""
    import onnx

    model, axes, shapes = onnx.load(str(path)), dynamic_axes(step), step.state_shapes()
    for value in model.graph.output:
        shape = shapes.get(value.name.removeprefix("next_"))
        if shape is not None:
            sizes = [axes[value.name].get(i, size) for i, size in enumerate((0, *shape))]
            value.CopyFrom(onnx.helper.make_tensor_value_info(value.name, onnx.TensorProto.FLOAT, sizes))
    onnx.save(model, str(path))


def write_quantized_graph(source: Path, path: Path) -> None:
    """Writes a float32 graph again with the layers' weights in int8, one scale for each output channel.

    Activations are quantised as they come (onnxruntime's dynamic quantisation). Weights have 7 bits, so that no sum of
    two products overflows on processors without VNNI.
    """
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    nodes = onnx.load(str(source), load_external_data=False).graph.node
    kept = [node.name for node in nodes if not _is_quantized(node)]
    kept += [f"{name}_MatMul" for name in kept]  # what the quantiser calls a Gemm before it looks
    quantize_dynamic(
        str(source),
        str(path),
        op_types_to_quantize=["MatMul", "Gemm"],
        per_channel=True,
        reduce_range=True,
        weight_type=QuantType.QInt8,
        nodes_to_exclude=kept,
    )


def _is_quantized(node: Any) -> bool:
    """True for the layers' linear maps; a MatMul is one of attention, or of the subsampling."""
    return node.op_type == "Gemm" and not node.name.startswith(NOT_QUANTIZED)
