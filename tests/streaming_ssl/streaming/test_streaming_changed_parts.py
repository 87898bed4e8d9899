# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""A model that somebody has changed: its streams equal its own forward, or an error says what is changed."""

import types

import pytest
import recognizer_models
import torch
from omegaconf import OmegaConf
from torch import nn
from torch.nn.utils import parametrize

from nemo.collections.asr.models import EncDecCTCModel
from nemo.collections.asr.modules.conformer_encoder import ConformerEncoder
from nemo.collections.asr.parts.streaming import StreamingEncoderSession, StreamingRecognizer
from nemo.collections.asr.parts.streaming.encoder import StreamingEncoder
from nemo.collections.asr.parts.streaming.export import export_streaming, folder
from nemo.collections.asr.parts.submodules import adapters
from nemo.collections.common.parts.adapter_modules import LinearAdapterConfig
from nemo.core.classes.mixins.adapter_mixins import get_registered_adapter


def subclass(*path, method="forward"):
    """Gives a part of the encoder a class whose method makes twice as much."""

    def change(model):
        part = model.encoder
        for name in path:
            part = part[name] if isinstance(name, int) else getattr(part, name)
        name = type(part).__name__
        part.__class__ = type(
            f"Own{name}", (type(part),), {method: doubled(getattr(type(part), method)), "__module__": "fork"}
        )

    return change


def doubled(method):
    def changed(*args, **kwargs):
        made = method(*args, **kwargs)
        return (2 * made[0], *made[1:]) if isinstance(made, tuple) else 2 * made

    return changed


def instance_method(model):
    layer = model.encoder.layers[1]
    layer.forward = types.MethodType(doubled(type(layer).forward), layer)


def hook(*path):
    def change(model):
        part = model.encoder
        for name in path:
            part = part[name] if isinstance(name, int) else getattr(part, name)
        part.register_forward_hook(lambda module, args, made: doubled(lambda: made)())

    return change


def pre_hook(model):
    model.encoder.layers[0].register_forward_pre_hook(
        lambda module, args, kwargs: (args, {**kwargs, "x": 2 * kwargs["x"]}), with_kwargs=True
    )


class LowRank(nn.Module):
    """What LoRA adds to a weight."""

    def __init__(self, weight):
        super().__init__()
        self.a, self.b = nn.Parameter(torch.randn(weight.size(0), 2)), nn.Parameter(torch.randn(2, weight[0].numel()))

    def forward(self, weight):
        return weight + 0.1 * (self.a @ self.b).view(weight.shape)


def low_rank(model):
    layer = model.encoder.layers[0]
    for part in (layer.self_attn.linear_q, layer.conv.pointwise_conv1, layer.feed_forward1.linear2):
        parametrize.register_parametrization(part, "weight", LowRank(part.weight))
    parametrize.register_parametrization(layer.conv.pointwise_conv2, "bias", nn.Softplus())


class Activation(nn.SiLU):
    def forward(self, x):
        return 2 * super().forward(x)


def own_activations(model):
    layer = model.encoder.layers[0]
    layer.feed_forward1.activation = layer.conv.activation = Activation()


def hooked_activation(model):
    feed_forward = model.encoder.layers[0].feed_forward1
    feed_forward.activation = nn.SiLU()  # NeMo's is the same module in all layers of all models
    hook("layers", 0, "feed_forward1", "activation")(model)


class LowRankLinear(nn.Linear):
    """As a library for LoRA has it: in place of a layer, with two of its own."""

    def __init__(self, linear):
        super().__init__(linear.in_features, linear.out_features)
        self.load_state_dict(linear.state_dict())
        self.a, self.b = nn.Linear(linear.in_features, 2, bias=False), nn.Linear(2, linear.out_features, bias=False)

    def forward(self, x):
        return super().forward(x) + self.b(self.a(x))


def low_rank_linear(model):
    layer = model.encoder.layers[0]
    layer.self_attn.linear_v = LowRankLinear(layer.self_attn.linear_v)
    layer.feed_forward2.linear2 = LowRankLinear(layer.feed_forward2.linear2)


def adapter(enabled, config):
    def change(model):
        encoder = model.encoder
        encoder.__class__ = get_registered_adapter(type(encoder)).adapter_class
        encoder._cfg = OmegaConf.create({"d_model": encoder.d_model})
        encoder.add_adapter("own", OmegaConf.structured(config(encoder)))
        for name, parameter in encoder.named_parameters():
            if "adapter" in name:  # it begins as the identity
                nn.init.normal_(parameter, std=0.5)
        encoder.set_enabled_adapters(enabled=enabled)

    return change


def linear(encoder):
    return LinearAdapterConfig(in_features=encoder.d_model, dim=4)


def attention(encoder):
    return adapters.RelPositionMultiHeadAttentionAdapterConfig(n_head=4, n_feat=encoder.d_model)


def forks_edit(model):
    """As the source of NeMo's class would be in a fork: the class keeps its name and module."""
    edited = type("ConformerEncoder", (ConformerEncoder,), {"__module__": ConformerEncoder.__module__})
    edited.forward_internal = doubled(ConformerEncoder.forward_internal)
    model.encoder.__class__ = edited


def own_preprocessing(model):
    def forward(self, input_signal=None, input_signal_length=None, **options):
        return EncDecCTCModel.forward(self, input_signal=2 * input_signal, input_signal_length=input_signal_length)

    model.__class__ = type("OwnModel", (type(model),), {"forward": forward, "__module__": "fork"})


CHANGES = {
    "encoder's forward": subclass(),
    "encoder's forward_internal": subclass(method="forward_internal"),
    "layer's forward": subclass("layers", 0),
    "attention's forward": subclass("layers", 1, "self_attn"),
    "attention's forward_attention": subclass("layers", 1, "self_attn", method="forward_attention"),
    "feed-forward's forward": subclass("layers", 1, "feed_forward1"),
    "convolution's forward": subclass("layers", 0, "conv"),
    "subsampling's forward": subclass("pre_encode"),
    "method of an instance": instance_method,
    "hook of a layer": hook("layers", 0),
    "hook of the subsampling": hook("pre_encode"),
    "hook before a layer": pre_hook,
    "hook of a linear layer": hook("layers", 0, "feed_forward1", "linear1"),
    "class of activations": own_activations,
    "hook of an activation": hooked_activation,
    "low rank, by parametrisation": low_rank,
    "low rank, by classes": low_rank_linear,
    "adapter, off": adapter(False, linear),
    "adapter, on": adapter(True, linear),
    "attention adapter, off": adapter(False, attention),
    "attention adapter, on": adapter(True, attention),
    "fork's edit": forks_edit,
    "model's forward": own_preprocessing,
}
# that streams must have, and how the others are named
STREAMED = {
    "hook of a linear layer",
    "low rank, by parametrisation",
    "low rank, by classes",
    "adapter, off",
    "adapter, on",
}
STREAMED |= {"class of activations", "hook of an activation"}
STREAMED |= {"attention adapter, off"}
PART = {"encoder's forward": "encoder: fork.OwnConformerEncoder has its own forward;"}
PART["encoder's forward_internal"] = "encoder: fork.OwnConformerEncoder has its own forward_internal;"
PART["layer's forward"] = "encoder.layers.0: fork.OwnConformerLayer has its own forward;"
PART["attention's forward"] = "encoder.layers.1.self_attn: fork.OwnRelPositionMultiHeadAttention has its own forward;"
PART["method of an instance"] = "encoder.layers.1: forward of this ConformerLayer was replaced;"
PART["hook of the subsampling"] = r"encoder.pre_encode: has the forward hook .*test_streaming_changed_parts\.hook\."
PART["attention adapter, on"] = "adapters: own .RelPositionMultiHeadAttentionAdapter. is enabled"
PART["fork's edit"] = "streams otherwise than its own forward computes: by .* at encoder frame"
PART["low rank, by classes"] = "streams otherwise than its own forward computes: by"
UNNAMED = "streaming does not go through it. allow_changed="
PART["model's forward"] = "the model: fork.OwnModel has its own forward;"


@pytest.fixture(scope="module")
def audio():
    torch.manual_seed(3)
    return recognizer_models.sounds(1, 24000)


@pytest.fixture
def changed(nest_config):
    def get(change, *overrides):
        model = recognizer_models.build(nest_config, "ctc", *overrides)
        torch.manual_seed(1)
        CHANGES[change](model)
        return model.eval()

    return get


@torch.no_grad()
def offline(model, audio):
    """Encoder frames of the model's own forward, (1, D, T)."""
    feats, lengths = model.preprocessor(input_signal=audio, length=torch.tensor([audio.size(1)]))
    encoded, frames = model.encoder(audio_signal=feats, length=lengths)
    return encoded[:, :, : frames[0]]


def by_session(model, audio, monkeypatch, tmp_path, **options):
    with StreamingEncoderSession(model, **options) as session:
        return torch.cat(
            [session.push(audio[:, :9000]).features, session.push(audio[:, 9000:]).features, session.flush().features],
            dim=2,
        )


def by_recognizer(model, audio, monkeypatch, tmp_path, **options):
    return by_session(StreamingRecognizer(model, **options).session.model, audio, monkeypatch, tmp_path, **options)


def by_export(model, audio, monkeypatch, tmp_path, **options):
    """By the module that is exported; the graph is not written."""
    steps = []
    monkeypatch.setattr(folder, "_write", lambda part, step, *_: (part.mkdir(), steps.append(step)))
    export_streaming(model, tmp_path / "export", **options)
    feats, lengths = model.preprocessor(input_signal=audio, length=torch.tensor([audio.size(1)]))
    return StreamingEncoder(steps[0]).stream(feats[:, :, : lengths[0]].transpose(1, 2)).transpose(1, 2)


NOT_EXPORTED = by_export, "low rank, by classes"  # one product makes query, keys and values


class TestChangedParts:
    @pytest.mark.parametrize("change", CHANGES)
    def test_stream_as_offline_or_not_at_all(self, changed, audio, monkeypatch, tmp_path, change):
        model = changed(change)
        for host in (by_session, by_recognizer, by_export):
            if change in STREAMED and (host, change) != NOT_EXPORTED:
                streamed = host(model, audio, monkeypatch, tmp_path)
                torch.testing.assert_close(streamed, offline(model, audio), atol=1e-4, rtol=0)
                continue
            with pytest.raises(ValueError, match=PART.get(change, UNNAMED)):
                host(model, audio, monkeypatch, tmp_path)

    @pytest.mark.parametrize("change", sorted(set(CHANGES) - STREAMED - {"attention adapter, on", "model's forward"}))
    def test_what_somebody_vouches_for_is_tried(self, changed, audio, monkeypatch, tmp_path, change):
        model = changed(change)
        names = [
            name
            for name in ("encoder", "encoder.pre_encode", "encoder.layers.0", "encoder.layers.1")
            if "fork" not in change
        ]
        names += [f"encoder.layers.{part}" for part in ("1.self_attn", "1.feed_forward1", "0.conv")]
        names = [name for name in names if is_changed(model, name)]
        with pytest.raises(ValueError, match="streams otherwise than its own forward computes: by"):
            StreamingEncoderSession(model, allow_changed=names)
        StreamingEncoderSession(model, allow_changed=names, verify=False)

    def test_a_change_that_makes_no_difference_passes(self, changed, audio, monkeypatch, tmp_path):
        model = changed("adapter, off")
        seen = []
        model.encoder.layers[0].register_forward_hook(lambda *_: seen.append(1))
        for host in (by_session, by_recognizer, by_export):
            with pytest.raises(ValueError, match="encoder.layers.0: has the forward hook"):
                host(model, audio, monkeypatch, tmp_path)
            streamed = host(model, audio, monkeypatch, tmp_path, allow_changed=["encoder.layers.0"])
            torch.testing.assert_close(streamed, offline(model, audio), atol=1e-4, rtol=0)

    def test_what_all_layers_have_alike_is_said_and_allowed_once(self, changed):
        model = changed("adapter, off")
        for layer in model.encoder.layers:
            layer.self_attn.register_forward_hook(lambda *_: None)
        with pytest.raises(
            ValueError, match=r"encoder.layers.\*.self_attn: has the .*allow_changed=\['encoder"
        ) as error:
            StreamingEncoderSession(model)
        assert str(error.value).count("\n") == 1
        for names in (["encoder.layers.*.self_attn"], ["encoder.layers.*"]):
            StreamingEncoderSession(model, allow_changed=names)

    def test_a_compiled_layer_streams(self, changed):
        model = changed("adapter, off")
        model.encoder.layers[0] = torch.compile(model.encoder.layers[0], backend="eager")
        StreamingEncoderSession(model, verify=False)

    @pytest.mark.parametrize("names", ["encoder", ["encoder.layers.7"]])
    def test_names_of_what_is_not_changed(self, changed, names):
        for change, what in (
            ("adapter, off", "nothing is changed"),
            ("layer's forward", "changed are 'encoder.layers.0'"),
        ):
            with pytest.raises(ValueError, match=f"allow_changed=.*{what}"):
                StreamingEncoderSession(changed(change), allow_changed=names)

    def test_methods_of_its_own_are_no_change(self, changed):
        model = changed("adapter, off")
        own = {
            "describe": lambda self: "mine",
            "training_step": lambda self, batch, number: None,
            "__module__": "fork",
        }
        model.__class__ = type(
            "OwnModel", (type(model),), {**own, "__module__": "fork.forwarding"}
        )  # names say nothing
        model.encoder.layers[0].__class__ = type(
            "OwnLayer", (type(model.encoder.layers[0]),), {"describe": own["describe"]}
        )
        StreamingEncoderSession(model)


def is_changed(model, name):
    try:
        StreamingEncoderSession(model, allow_changed=[name])
    except ValueError as error:
        return "must be a list of names of changed parts" not in str(error)
    return True
