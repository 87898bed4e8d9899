# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""docs/export.md says enough: a reader written from it alone gives what a session of the model gives."""

import json

import numpy as np
import pytest
import torch

pytest.importorskip("onnxruntime")


import tiny_reader

from nemo.collections.asr.parts.streaming import StreamingEncoderSession
from nemo.collections.asr.parts.streaming.export.onnx_graph import write_quantized_graph

onnx = pytest.importorskip("onnx")

KINDS = ("regular", "chunked", "striding, batch norm, no biases, scaled", "no subsampling", "ctc", "hybrid")


def audio(samples):
    return (0.1 * np.random.randn(samples)).astype(np.float32)


def streamed(model, samples, **options):
    """Every output of a session of the model, (T, ...) each."""
    session = StreamingEncoderSession(model, **options)
    outputs = [session.push(torch.from_numpy(samples)[None]), session.flush()]
    found = {"encoded": torch.cat([output.features for output in outputs], dim=2)[0].T}
    if options.get("return_log_probs"):
        found["log_probs"] = torch.cat([output.log_probs for output in outputs], dim=1)[0]
    return found


class TestTinyReader:
    @pytest.mark.parametrize("samples", [1, 1439, 9999])
    @pytest.mark.parametrize("kind", KINDS)
    def test_equals_the_model(self, models, exported, kind, samples):
        signal = audio(samples)
        expected = streamed(models(kind), signal, return_log_probs=kind in ("ctc", "hybrid"))
        found = tiny_reader.read(exported(kind), signal, steps=(1, 4, 2))
        assert found.keys() == expected.keys()
        for name, values in found.items():
            assert values.shape == tuple(expected[name].shape)
            np.testing.assert_allclose(values, expected[name].numpy(), rtol=0, atol=1e-4)

    def test_with_a_shorter_past(self, models, exported):
        model, signal = models("regular"), audio(20000)
        try:
            model.encoder.set_layer_contexts([[1, 0], [3, 0]])
            expected = streamed(model, signal)["encoded"]
        finally:
            model.encoder.set_layer_contexts(None)
        found = tiny_reader.read(exported("regular"), signal, lefts=(1, 3))["encoded"]
        np.testing.assert_allclose(found, expected.numpy(), rtol=0, atol=1e-4)

    def test_int8_is_near(self, models, exported):
        signal = audio(9999)
        found = tiny_reader.read(exported("regular"), signal, precision="int8")["encoded"]
        expected = streamed(models("regular"), signal)["encoded"].numpy()
        assert 1e-4 < np.abs(found - expected).max() < 0.2 * expected.std()


class TestGraphs:
    @pytest.mark.parametrize("kind", ["regular", "chunked", "ctc"])
    def test_have_the_names_and_shapes_that_model_json_says(self, exported, kind):
        model = json.loads((exported(kind) / "model.json").read_text())
        for file in model["graphs"].values():
            graph = onnx.load(exported(kind) / file).graph
            onnx.checker.check_model(str(exported(kind) / file), full_check=file == "model.onnx")
            inputs, outputs = (
                {value.name: shape_of(value) for value in values} for values in (graph.input, graph.output)
            )
            for tensor in model["state"]:
                assert inputs[tensor["input"]] == outputs[tensor["output"]] == tensor["shape"]
            assert [*inputs][:3] == [tensor["name"] for tensor in model["inputs"]]
            assert len(inputs) == 3 + len(model["state"])
            assert [*outputs][: len(model["outputs"])] == [tensor["name"] for tensor in model["outputs"]]

    def test_have_operators_of_onnx_only_and_no_size_that_is_free_in_them(self, exported):
        graph = onnx.load(exported("regular") / "model.onnx")
        assert {node.domain for node in graph.graph.node} == {""}
        assert [opset.version for opset in graph.opset_import if opset.domain == ""] == [18]

    def test_in_int8_have_the_layers_linear_maps_in_int8(self, exported, tmp_path):
        write_quantized_graph(exported("ctc") / "model.onnx", tmp_path / "int8.onnx")
        nodes = onnx.load(tmp_path / "int8.onnx").graph.node
        quantized = [node.name for node in nodes if node.op_type == "MatMulInteger"]
        assert len(quantized) == 2 * 8 and all(name.startswith("/layers.") for name in quantized)
        assert [node for node in nodes if node.op_type == "MatMul" and node.name.startswith("/head/")]


def shape_of(value):
    """Numbers, and names of the sizes that are free."""
    return [size.dim_param or size.dim_value for size in value.type.tensor_type.shape.dim]
