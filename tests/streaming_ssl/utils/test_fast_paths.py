# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Whatever traces, compiles, exports or transforms a Conformer in plain NeMo does so with the patches."""

import functools
import importlib

import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.autograd import forward_ad
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils.flop_counter import FlopCounterMode

from nemo.collections.asr.parts.submodules import subsampling
from nemo.collections.asr.parts.submodules.subsampling import ConvSubsampling
from nemo.utils import fast_paths

NO_DROPOUT = {"dropout": 0.0, "dropout_att": 0.0, "dropout_pre_encoder": 0.0, "dropout_emb": 0.0}
# a subsampling of 2: two blocks of attention are few feature frames
LAYERS = {
    "hierarchical_context": {"schedule": [[0, [8, 0]], [1, [16, 0]]]},
    "subsampling_factor": 2,
    "causal_downsampling": True,
    "conv_context_size": "causal",
    "conv_norm_type": "layer_norm",
}
ENCODERS = {
    "plain": {},
    "plain causal": {"att_context_size": [8, 0], **{k: v for k, v in LAYERS.items() if k != "hierarchical_context"}},
    "contexts per layer": {"banded_attention": "never", **LAYERS},
    "attention in blocks": {"banded_attention": "always", **LAYERS},
    "chunks in blocks": {
        "banded_attention": "always",
        "att_context_style": "chunked_limited",
        "att_context_size": [8, 3],
        "subsampling_factor": 2,
    },
}
FRAMES = 270


@pytest.fixture(params=ENCODERS)
def encoder(request, plain_models):
    return plain_models.build_encoder(**NO_DROPOUT, **ENCODERS[request.param]).eval()


@pytest.fixture
def batch(plain_models):
    """Features (2, 20, T) and lengths (2,)."""
    return plain_models.features(FRAMES)


def compiled(module, backend="eager"):
    torch._dynamo.reset()
    return torch.compile(module, fullgraph=True, backend=backend)


def subsampling_of(kind="dw_striding", causal=False):
    torch.manual_seed(0)
    return ConvSubsampling(kind, 4, 20, 16, 8, is_causal=causal)


def conv_inputs():
    generator = torch.Generator().manual_seed(1)
    return torch.randn(2, 50, 20, generator=generator), torch.tensor([50, 33])


class TestEncoder:
    @pytest.mark.long_run
    @pytest.mark.parametrize("training", [False, True])
    def test_is_one_graph_for_the_compiler(self, encoder, batch, training):
        feats, lengths = batch
        encoder.train(training)
        out, _ = compiled(encoder)(audio_signal=feats, length=lengths)
        assert torch.equal(out, encoder(audio_signal=feats, length=lengths)[0])

    @pytest.mark.long_run
    @pytest.mark.parametrize("name", ["plain causal", "attention in blocks"])
    def test_gradients_of_the_compiled_encoder(self, plain_models, batch, name):
        feats, lengths = batch
        encoder = plain_models.build_encoder(**NO_DROPOUT, **ENCODERS[name]).train()

        def gradients(run):
            encoder.zero_grad()
            run(audio_signal=feats, length=lengths)[0].square().mean().backward()
            return [p.grad.clone() for p in encoder.parameters() if p.grad is not None]

        for ours, eager in zip(gradients(compiled(encoder, "aot_eager")), gradients(encoder)):
            torch.testing.assert_close(ours, eager, atol=1e-6, rtol=1e-4)

    @pytest.mark.representative("contexts per layer", "chunks in blocks")
    def test_can_be_exported(self, encoder, batch):
        feats, lengths = batch
        inputs = {"audio_signal": feats, "length": lengths}
        program = torch.export.export(encoder, (), inputs, strict=False).module()
        torch.testing.assert_close(program(**inputs)[0], encoder(**inputs)[0], atol=1e-5, rtol=0)

    def test_functional_transforms(self, encoder, batch):
        feats, lengths = batch

        def loss(feats):
            return encoder(audio_signal=feats, length=lengths)[0].square().mean()

        (expected,) = torch.autograd.grad(loss(feats.requires_grad_()), feats)
        torch.testing.assert_close(torch.func.grad(loss)(feats.detach()), expected, atol=1e-6, rtol=1e-3)
        tangent = torch.ones_like(feats)
        _, derivative = torch.func.jvp(loss, (feats.detach(),), (tangent,))
        torch.testing.assert_close(derivative, (expected * tangent).sum(), atol=1e-5, rtol=1e-3)

    def test_fake_tensors(self, encoder, batch):
        mode = FakeTensorMode(allow_non_fake_inputs=True)
        feats, lengths = (mode.from_tensor(x) for x in batch)
        expected = encoder(audio_signal=batch[0], length=batch[1])[0].shape
        with mode:
            assert encoder(audio_signal=feats, length=lengths)[0].shape == expected

    def test_flops_can_be_counted(self, plain_models, batch):
        encoder = plain_models.build_encoder(**NO_DROPOUT).eval()
        with FlopCounterMode(display=False) as counter:
            encoder(audio_signal=batch[0], length=batch[1])
        assert counter.get_total_flops() > 0


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("kind", ["striding", "dw_striding"])
class TestSubsampling:
    def test_double_backward(self, kind, causal):
        def penalty(module):
            feats, lengths = conv_inputs()
            out, _ = module(feats.requires_grad_(), lengths)
            (gradient,) = torch.autograd.grad(out.square().sum(), feats, create_graph=True)
            gradient.square().sum().backward()
            return [feats.grad] + [p.grad for p in module.parameters()]

        module = subsampling_of(kind, causal)
        plain = subsampling_of(kind, causal)
        plain.conv.__class__ = subsampling.base.MaskedConvSequential
        for ours, nemo in zip(penalty(module), penalty(plain)):
            torch.testing.assert_close(ours, nemo)

    def test_forward_mode_and_vmap(self, kind, causal):
        module, (feats, lengths) = subsampling_of(kind, causal), conv_inputs()
        with forward_ad.dual_level():
            dual = forward_ad.make_dual(feats, torch.ones_like(feats))
            assert forward_ad.unpack_dual(module(dual, lengths)[0]).tangent is not None
        out = torch.func.vmap(lambda x, n: module(x.unsqueeze(0), n.unsqueeze(0))[0].squeeze(0))(feats, lengths)
        torch.testing.assert_close(out, module(feats, lengths)[0])

    def test_make_fx(self, kind, causal):
        module, inputs = subsampling_of(kind, causal), conv_inputs()
        graph = make_fx(lambda *x: module(*x)[0])(*inputs)
        torch.testing.assert_close(graph(*inputs), module(*inputs)[0])

    def test_what_is_set_on_the_container_stays_and_means_nemos_own_forward(self, kind, causal, monkeypatch):
        class NewerContainer(subsampling.base.MaskedConvSequential):
            def __init__(self, *layers):
                super().__init__(*layers)
                self.fuse_triton = True

        monkeypatch.setattr(subsampling.base, "MaskedConvSequential", NewerContainer)
        assert subsampling_of(kind, causal).conv.fuse_triton
        monkeypatch.undo()

        module, seen = subsampling_of(kind, causal), []
        module.conv.fuse_triton = True
        monkeypatch.setattr(subsampling.base.MaskedConvSequential, "forward", lambda self, *x: seen.append(self) or x)
        module.conv(*conv_inputs())
        assert seen == [module.conv]

    @pytest.mark.parametrize("register", ["register_forward_hook", "register_full_backward_hook"])
    def test_hooks_on_its_layers_are_called(self, kind, causal, register):
        module, seen = subsampling_of(kind, causal), []
        for layer in module.conv:
            getattr(layer, register)(lambda layer, *_: seen.append(layer))
        feats, lengths = conv_inputs()
        module(feats.requires_grad_(), lengths)[0].sum().backward()
        assert set(seen) == set(module.conv)


class TestOfAFork:
    def test_an_attention_class_that_knows_tensors_only_gets_one(self, plain_models, batch):
        encoder = plain_models.build_encoder(**NO_DROPOUT, **ENCODERS["attention in blocks"]).eval()
        expected, _ = encoder(audio_signal=batch[0], length=batch[1])
        masks = []

        class Own(type(encoder.layers[0].self_attn)):
            def forward(self, query, key, value, mask, pos_emb, cache=None):
                masks.append(mask)
                return super().forward(query, key, value, mask, pos_emb, cache)

        encoder.layers[1].self_attn.__class__ = Own
        out, _ = encoder(audio_signal=batch[0], length=batch[1])
        assert isinstance(masks[0], torch.Tensor)
        torch.testing.assert_close(out, expected, atol=1e-5, rtol=0)


class TestExport:
    """NeMo's own `export`, and PyTorch's newer exporter, run by onnxruntime."""

    @pytest.fixture(autouse=True)
    def older_exporter(self, monkeypatch):
        """NeMo before 2.7 means PyTorch's older exporter, which has not been the default since PyTorch 2.9."""
        monkeypatch.setattr(torch.onnx, "export", functools.partial(torch.onnx.export, dynamo=False))

    @pytest.fixture
    def run_onnx(self):
        runtime = pytest.importorskip("onnxruntime")

        def run(path, *inputs):
            session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
            names = [argument.name for argument in session.get_inputs()]
            return session.run(None, {name: x.numpy() for name, x in zip(names, inputs)})

        return run

    @pytest.mark.parametrize("name", ["plain", "contexts per layer", "attention in blocks", "chunks in blocks"])
    def test_torchscript(self, plain_models, batch, name, tmp_path):
        encoder = plain_models.build_encoder(**NO_DROPOUT, **ENCODERS[name]).eval()
        encoder.export(str(tmp_path / "encoder.ts"))
        traced = torch.jit.load(tmp_path / "encoder.ts")
        for feats, lengths in (batch, plain_models.features(FRAMES + 40)):
            expected, _ = encoder(audio_signal=feats, length=lengths)
            torch.testing.assert_close(traced(feats, lengths)[0], expected, atol=1e-5, rtol=0)

    @pytest.mark.parametrize("name", ["plain", "contexts per layer", "attention in blocks"])
    def test_onnx(self, plain_models, batch, name, tmp_path, run_onnx):
        encoder = plain_models.build_encoder(**NO_DROPOUT, **ENCODERS[name]).eval()
        expected, _ = encoder(audio_signal=batch[0], length=batch[1])
        encoder.export(str(tmp_path / "encoder.onnx"))
        out = run_onnx(tmp_path / "encoder.onnx", *batch)[0]
        np.testing.assert_allclose(out, expected.detach().numpy(), atol=1e-5)

    @pytest.mark.long_run
    @pytest.mark.parametrize("name", ["plain", "contexts per layer"])
    def test_onnx_of_the_newer_exporter(self, plain_models, batch, name, tmp_path, run_onnx):
        pytest.importorskip("onnxscript")
        encoder = plain_models.build_encoder(**NO_DROPOUT, **ENCODERS[name]).eval()
        inputs = dict(zip(("audio_signal", "length"), batch))
        torch.onnx.export(encoder, (), tmp_path / "encoder.onnx", kwargs=inputs, dynamo=True, verbose=False)
        out = run_onnx(tmp_path / "encoder.onnx", *batch)[0]
        np.testing.assert_allclose(out, encoder(**inputs)[0].detach().numpy(), atol=1e-5)

    @pytest.mark.long_run
    @pytest.mark.parametrize("name", ["plain causal", "contexts per layer"])
    def test_onnx_with_cache(self, plain_models, batch, name, tmp_path, run_onnx):
        """Chunk after chunk, with caches that are not filled yet and then are: outputs and caches."""
        options = {**ENCODERS[name], "subsampling_factor": 8}
        encoder = plain_models.build_encoder(**NO_DROPOUT, **options).eval()
        encoder.export_cache_support = True
        encoder.export(str(tmp_path / "encoder.onnx"))
        channel, time, length = encoder.get_initial_cache_state(batch_size=2)
        caches = (channel.transpose(0, 1), time.transpose(0, 1), length)
        frames = encoder.streaming_cfg.pre_encode_cache_size[1] + encoder.streaming_cfg.chunk_size[1]
        for first in range(0, FRAMES - frames, 8):
            chunk = (batch[0].narrow(2, first, frames), torch.tensor([frames, frames]))
            with torch.no_grad():
                expected = encoder.forward_for_export(*chunk, *caches)
            for ours, torchs in zip(run_onnx(tmp_path / "encoder.onnx", *chunk, *caches), expected):
                np.testing.assert_allclose(ours, torchs.numpy(), atol=1e-5)
            caches = expected[2:]

    def test_ctc_model(self, plain_models, batch, tmp_path, run_onnx):
        model = plain_models.build_ctc_model().eval()
        expected = model.decoder(encoder_output=model.encoder(audio_signal=batch[0], length=batch[1])[0])
        for name in ("model.onnx", "model.ts"):
            model.export(str(tmp_path / name))
        out = run_onnx(tmp_path / "model.onnx", *batch)[0]
        np.testing.assert_allclose(out, expected.detach().numpy(), atol=1e-5)
        out = torch.jit.load(tmp_path / "model.ts")(*batch)
        torch.testing.assert_close(out[0] if isinstance(out, tuple) else out, expected, atol=1e-5, rtol=0)


class TestSwitch:
    @pytest.fixture
    def without(self, monkeypatch):
        """Reads the environment variable anew."""

        def read(value):
            monkeypatch.setenv(fast_paths.SWITCH, value)
            importlib.reload(fast_paths)

        yield read
        monkeypatch.undo()
        importlib.reload(fast_paths)

    def test_what_is_switched_off_is_nemos_own(self, without, monkeypatch):
        seen = []
        monkeypatch.setattr(subsampling.base.MaskedConvSequential, "forward", lambda self, *x: seen.append(self) or x)
        without("attention, subsampling")
        assert [fast_paths.is_on(name) for name in fast_paths.FAST_PATHS] == [False, True, True, False]
        container = subsampling_of().conv
        container(*conv_inputs())
        assert seen == [container]

    def test_an_unknown_name_is_an_error(self, without):
        with pytest.raises(
            ValueError, match="SSL_WITHOUT=subsamplin: allowed are attention, decoding, quantizer, sub"
        ):
            without("subsamplin")
