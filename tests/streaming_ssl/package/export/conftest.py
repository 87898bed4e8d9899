# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Tiny models of every kind that can be exported, and their export folders, made once in a run."""


import pytest
import recognizer_models  # noqa: E402
import torch

from nemo.collections.asr.models.ssl_models import EncDecMaskedTokenPredModel

ENCODER = "model.encoder."
CONSTANTS = [0.1 * i - 9 for i in range(80)], [1 + 0.01 * i for i in range(80)]
KINDS = {
    "regular": [ENCODER + "att_context_size=[5,0]"],
    "chunked": [ENCODER + "att_context_size=[6,2]", ENCODER + "att_context_style=chunked_limited"],
    "striding, batch norm, no biases, scaled": [
        ENCODER + "att_context_size=[3,0]",
        ENCODER + "subsampling=striding",
        ENCODER + "subsampling_factor=4",
        ENCODER + "conv_norm_type=batch_norm",
        ENCODER + "use_bias=false",
        ENCODER + "xscaling=true",
        ENCODER + "untie_biases=false",
        ENCODER + "feat_out=24",
        "model.preprocessor.normalize={{fixed_mean:{},fixed_std:{}}}".format(*CONSTANTS),
    ],
    "no subsampling": [ENCODER + "att_context_size=[20,0]", ENCODER + "subsampling_factor=1"],
    "chunked, no subsampling": [
        ENCODER + "att_context_size=[4,1]",
        ENCODER + "att_context_style=chunked_limited",
        ENCODER + "subsampling_factor=1",
    ],
    "no past": [ENCODER + "att_context_size=[0,0]", ENCODER + "subsampling_factor=2"],
    "unlimited": [ENCODER + "att_context_size=[-1,0]"],
}
LAYERS = {"each its own": ("regular", [[2, 0], [9, 0]]), "each its own, chunked": ("chunked", [[3, 2], [9, 2]])}
RECOGNIZERS = ("ctc", "rnnt", "hybrid")
MAX_CONTEXT = 7  # of the kind "unlimited"


def build(nest_config, kind):
    """A tiny model in eval mode whose weights show every mistake: no ones, no zeros."""
    if kind in RECOGNIZERS:
        return recognizer_models.build(nest_config, kind)
    base, contexts = LAYERS.get(kind, (kind, None))
    torch.manual_seed(0)
    model = EncDecMaskedTokenPredModel(nest_config("model.preprocessor.dither=0", *KINDS[base])).eval()
    for name, x in (*model.encoder.named_parameters(), *model.encoder.named_buffers()):
        if "running" in name:
            torch.nn.init.uniform_(x, 0.5, 1.5)
        elif x.is_floating_point() and (name.endswith("bias") or "pos_bias" in name or "norm" in name):
            torch.nn.init.normal_(x, mean=1.0 if name.endswith("weight") else 0.0, std=0.3)
    if contexts is not None:
        model.encoder.set_layer_contexts(contexts)
    return model


@pytest.fixture(scope="session")
def models(nest_config):
    """models(kind): the same one each time."""
    built = {}

    def get(kind):
        if kind not in built:
            built[kind] = build(nest_config, kind)
        return built[kind].eval()

    return get


@pytest.fixture(scope="session")
def exported(models, made_once):
    """exported(kind): the folder of a model, for reading only; that of `regular` has both graphs."""
    pytest.importorskip("onnxruntime")
    from nemo.collections.asr.parts.streaming.export import export_streaming

    def get(kind):
        max_context = MAX_CONTEXT if kind == "unlimited" else None

        def make(folder):
            export_streaming(models(kind), folder, max_context, int8=kind == "regular")

        return made_once(f"export of {kind}", make)

    return get


@pytest.fixture
def without_graphs(monkeypatch):
    """An export takes no time: its graphs are words, which do not matter to a folder or to features."""
    from nemo.collections.asr.parts.streaming.export import folder

    for name in ("write_graph", "write_quantized_graph"):
        monkeypatch.setattr(folder, name, lambda *arguments: arguments[-1].write_text("a graph"))
