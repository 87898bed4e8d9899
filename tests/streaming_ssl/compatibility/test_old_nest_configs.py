# Copyright (c) 2026, the streaming-ssl authors.
#
# Licensed under the Apache License, Version 2.0 (the "License");
# you may not use this file except in compliance with the License.
# You may obtain a copy of the License at
#
#     http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS,
# WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
# See the License for the specific language governing permissions and
# limitations under the License.

"""What plain NeMo builds from a config, the patched models build too: configs with a key left out, in Hydra's old
form, or with values that NeMo does not look at. A process of its own says what plain NeMo does."""

import copy
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf

from nemo.collections.asr.models import EncDecDenoiseMaskedTokenPredModel, EncDecMaskedTokenPredModel
from nemo.core.classes.common import typecheck

SCRIPT = Path(__file__).with_name("plain_nemo_builds.py")
POSITIONS = ("pre_conv", "post_conv")
SECTIONS = ("preprocessor", "spec_augment", "masking", "quantizer", "encoder", "decoder", "loss")
UNUSUAL_VALUES = (
    ("masking.max_mask_ratio", 1.5),
    ("masking.block_size", 40.0),
    ("masking.block_size", 7),
    ("masking.mask_prob", 1.5),
    ("masking.mask_value", 0.0),
    ("preprocessor.normalize", None),
    ("encoder.att_context_size", None),
)


def tiny_config(position: str) -> dict:
    """A config with every key of NeMo's own for NEST, and no other."""
    encoder = {
        **{"_target_": "nemo.collections.asr.modules.ConformerEncoder", "feat_in": 80, "feat_out": -1, "n_layers": 1},
        **{"d_model": 16, "use_bias": True, "subsampling": "dw_striding", "subsampling_factor": 8},
        **{"subsampling_conv_channels": 4, "causal_downsampling": False, "ff_expansion_factor": 2},
        **{"self_attention_model": "rel_pos", "n_heads": 2, "att_context_size": [-1, -1]},
        **{"att_context_style": "regular", "xscaling": True, "untie_biases": True, "pos_emb_max_len": 500},
        **{"conv_kernel_size": 9, "conv_norm_type": "batch_norm", "conv_context_size": None, "dropout": 0.1},
        **{"dropout_pre_encoder": 0.1, "dropout_emb": 0.0, "dropout_att": 0.1, "stochastic_depth_drop_prob": 0.0},
        **{"stochastic_depth_mode": "linear", "stochastic_depth_start_layer": 1},
    }
    preprocessor = {
        **{"_target_": "nemo.collections.asr.modules.AudioToMelSpectrogramPreprocessor", "sample_rate": 16000},
        **{"normalize": "per_feature", "window_size": 0.025, "window_stride": 0.01, "window": "hann", "features": 80},
        **{"n_fft": 512, "log": True, "frame_splicing": 1, "dither": 0.0, "pad_to": 16, "pad_value": 0.0},
    }
    spec_augment = {
        **{"_target_": "nemo.collections.asr.modules.SpectrogramAugmentation", "freq_masks": 0, "time_masks": 0},
        **{"freq_width": 16, "time_width": 0.05},
    }
    masking = {
        **{"_target_": "nemo.collections.asr.modules.RandomBlockMasking", "block_size": 40, "mask_prob": 0.01},
        **{"feat_in": 80, "freeze": True, "allow_overlap": True},
    }
    quantizer = {
        **{"_target_": "nemo.collections.asr.modules.RandomProjectionVectorQuantizer", "feat_in": 80, "code_dim": 16},
        **{"num_books": 1, "num_classes": 32, "dist_fn": "l2", "freeze": True, "squeeze_single": False},
        **{"combine_time_steps": 8},
    }
    decoder = {
        **{"_target_": "nemo.collections.asr.modules.MultiSoftmaxDecoder", "feat_in": 16, "num_classes": 32},
        **{"num_decoders": 1, "squeeze_single": False, "use_bias": True},
    }
    loss = {
        **{"_target_": "nemo.collections.asr.losses.MultiMLMLoss", "combine_time_steps": 8, "mask_threshold": 0.8},
        **{"num_decoders": 1, "squeeze_single": False},
    }
    sections = (preprocessor, spec_augment, masking, quantizer, encoder, decoder, loss)
    return {
        **{"sample_rate": 16000, "num_classes": 32, "num_books": 1, "code_dim": 16, "squeeze_single": False},
        **{"mask_position": position, "train_ds": None, "validation_ds": None},
        **dict(zip(SECTIONS, sections)),
        "optim": {"name": "adamw", "lr": 1e-3, "sched": {"name": "NoamAnnealing", "d_model": 16}},
    }


def paths(config: dict) -> list:
    """The dotted name of every key of the model, as far as it builds modules from it."""
    return list(config) + [f"{section}.{key}" for section in SECTIONS for key in config[section]]


def changed(config: dict, path: str, change) -> dict:
    """A copy of a config in which `change(section, key)` has been called for a dotted name."""
    config = copy.deepcopy(config)
    *section, key = path.split(".")
    change(config[section[0]] if section else config, key)
    return config


def in_old_form(section: dict) -> dict:
    """A section as Hydra 0 wants it: `cls` and `params`."""
    return {"cls": section["_target_"], "params": {key: value for key, value in section.items() if key != "_target_"}}


def variants(position: str) -> dict:
    """Configs by name: whole, with each key left out, each section in its old form, and unusual values."""
    config = tiny_config(position)
    named = {"whole": config}
    for path in paths(config):
        named[f"without {path}"] = changed(config, path, lambda section, key: section.pop(key))
    for name in SECTIONS:
        named[f"cls: {name}"] = changed(config, name, lambda root, key: root.update({key: in_old_form(root[key])}))
    for path, value in UNUSUAL_VALUES:
        named[f"{path}: {value}"] = changed(config, path, lambda section, key: section.update({key: value}))
    return {f"{position}, {name}": value for name, value in named.items()}


@pytest.fixture(scope="module")
def configs():
    return {name: config for position in POSITIONS for name, config in variants(position).items()}


@pytest.fixture(scope="module")
def plain(configs, tmp_path_factory):
    """The shapes of what plain NeMo builds from each config, None where it builds nothing."""
    folder = tmp_path_factory.mktemp("plain_nemo")
    asked, answered = folder / "configs.json", folder / "answers.json"
    asked.write_text(json.dumps(configs))
    command = [sys.executable, str(SCRIPT), str(asked), str(answered)]
    subprocess.run(command, check=True, env={**os.environ, "NEMO_STREAMING_SSL": "off"}, capture_output=True)
    answers = json.loads(answered.read_text())
    if answers["patched"]:
        pytest.skip("there is no plain NeMo: the patches are written into its tree")
    return answers["built"]


def shapes(model) -> dict:
    return {name: list(value.shape) for name, value in model.state_dict().items()}


def comparable(parameters: dict, name: str) -> dict:
    """Without the quantizer's projection where masking comes after the subsampling.

    There NeMo's takes groups of encoder frames for a token, so that the targets are eight times too few.
    """
    return {
        key: value for key, value in parameters.items() if "post_conv" not in name or key != "quantizer.proj.weight"
    }


@pytest.mark.unit
class TestWhatPlainNeMoBuilds:
    def test_is_built_with_the_same_parameters(self, configs, plain):
        # one is enough: like NeMo's, both models are made by the same constructor
        model_class = EncDecDenoiseMaskedTokenPredModel
        assert model_class.__init__ is EncDecMaskedTokenPredModel.__init__
        wrong = {}
        for name, expected in plain.items():
            if expected is None:
                continue
            try:
                found = shapes(model_class(OmegaConf.create(configs[name])))
            except Exception as error:  # listed with the others
                wrong[name] = f"{type(error).__name__}: {error}"
                continue
            if comparable(found, name) != comparable(expected, name):
                wrong[name] = {key: found.get(key) for key in expected if found.get(key) != expected[key]}
        assert not wrong, "\n".join(f"{name}: {what}" for name, what in wrong.items())

    def test_is_much(self, configs, plain):
        built = [name for name, answer in plain.items() if answer]
        assert {f"{position}, whole" for position in POSITIONS} <= set(built)
        optional = "num_classes num_books preprocessor.normalize encoder.self_attention_model masking.block_size"
        assert {f"pre_conv, without {path}" for path in optional.split()} <= set(built)
        assert "pre_conv, without encoder.subsampling_factor" in built
        assert all(f"pre_conv, cls: {section}" in built for section in SECTIONS)
        assert len(built) > len(configs) / 2


def audio(model, batch=2, samples=16000):
    """Arguments of `forward`: noise of one second."""
    signal, lengths = 0.1 * torch.randn(batch, samples), torch.tensor([samples, samples * 3 // 4])
    inputs = {"input_signal": signal, "input_signal_length": lengths}
    if isinstance(model, EncDecDenoiseMaskedTokenPredModel):
        inputs.update(noisy_input_signal=signal, noisy_input_signal_length=lengths)
    return inputs


class ForkQuantizer(torch.nn.Module):
    """A quantizer that does not say how many tokens it knows: one of two for each encoder frame."""

    def __init__(self, feat_in):
        super().__init__()
        self.frames = 8 if feat_in == 80 else 1

    def forward(self, input_signal):
        energy = input_signal[:, :, :: self.frames].mean(dim=1)
        return None, (energy > energy.mean()).long().unsqueeze(-1)


class ForkMasking(torch.nn.Module):
    def __init__(self, colour, feat_in=None, block_size=None):
        super().__init__()

    def forward(self, input_feats, input_lengths):
        return 0 * input_feats, torch.ones_like(input_feats)


@pytest.mark.unit
@pytest.mark.parametrize("model_class", [EncDecMaskedTokenPredModel, EncDecDenoiseMaskedTokenPredModel])
class TestTraining:
    """A step of training, with what it counts."""

    def loss(self, model):
        inputs = audio(model)
        batch = (inputs["input_signal"], inputs["input_signal_length"])
        if isinstance(model, EncDecDenoiseMaskedTokenPredModel):
            from nemo.collections.asr.data.ssl_dataset import AudioNoiseBatch

            batch = AudioNoiseBatch(audio=batch[0], audio_len=batch[1], noisy_audio=batch[0], noisy_audio_len=batch[1])
        with typecheck.disable_checks():
            return model.inference_pass(batch, apply_mask=True)["val_loss"]

    def test_an_encoder_without_subsampling(self, model_class):
        config = tiny_config("pre_conv")
        jasper = {"filters": 16, "repeat": 1, "kernel": [1], "stride": [1], "dilation": [1], "dropout": 0.0}
        config["encoder"] = {
            "cls": "nemo.collections.asr.modules.ConvASREncoder",
            "params": {
                **{"feat_in": 80, "activation": "relu", "conv_mask": True},
                "jasper": [{**jasper, "residual": False, "separable": True}],
            },
        }
        config["quantizer"]["combine_time_steps"] = config["loss"]["combine_time_steps"] = 1
        for key in ("num_classes", "num_books", "squeeze_single"):
            del config[key]
        model = model_class(OmegaConf.create(config))
        assert model.mask_processor.context_stride == 1
        assert self.loss(model).isfinite() and model.val_metrics.compute()["codes_used"] > 1

    def test_defaults_of_the_encoder_count(self, model_class):
        config = tiny_config("pre_conv")
        config["quantizer"]["combine_time_steps"] = config["loss"]["combine_time_steps"] = 4
        del config["encoder"]["subsampling_factor"], config["preprocessor"]["normalize"]
        model = model_class(OmegaConf.create(config))
        assert model.mask_processor.context_stride == model.encoder.subsampling_factor == 4
        assert self.loss(model).isfinite()

    @pytest.mark.parametrize("position", POSITIONS)
    def test_quantizer_and_masking_of_a_fork(self, model_class, position):
        config = tiny_config(position)
        where = "nemo.collections.asr.modules.fork_modules"
        config["quantizer"] = {"_target_": f"{where}.ForkQuantizer", "feat_in": 80}
        config["masking"] = {"_target_": f"{where}.ForkMasking", "colour": "red", "feat_in": 80, "block_size": 40}
        with pytest.MonkeyPatch.context() as patch:
            patch.setitem(sys.modules, where, module_with(where, ForkQuantizer, ForkMasking))
            model = model_class(OmegaConf.create(config))
        assert isinstance(model.quantizer, ForkQuantizer) and isinstance(model.mask_processor, ForkMasking)
        assert self.loss(model).isfinite()


def module_with(name: str, *classes):
    """A module with these classes, as a fork might have one."""
    import types

    module = types.ModuleType(name)
    for cls in classes:
        setattr(module, cls.__name__, type(cls.__name__, (cls,), {"__module__": name}))
    return module
