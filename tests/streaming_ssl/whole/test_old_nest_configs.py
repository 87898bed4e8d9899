# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Steps of training from old configs: keys left out, Hydra's old form, and modules of a fork."""

import sys

import pytest
import torch
from omegaconf import OmegaConf

from nemo.collections.asr.models import EncDecDenoiseMaskedTokenPredModel, EncDecMaskedTokenPredModel
from nemo.core.classes.common import typecheck


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

    def test_an_encoder_without_subsampling(self, model_class, plain_models):
        config = plain_models.nest_config("pre_conv")
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

    def test_defaults_of_the_encoder_count(self, model_class, plain_models):
        config = plain_models.nest_config("pre_conv")
        config["quantizer"]["combine_time_steps"] = config["loss"]["combine_time_steps"] = 4
        del config["encoder"]["subsampling_factor"], config["preprocessor"]["normalize"]
        model = model_class(OmegaConf.create(config))
        assert model.mask_processor.context_stride == model.encoder.subsampling_factor == 4
        assert self.loss(model).isfinite()

    @pytest.mark.parametrize("position", ["pre_conv", "post_conv"])
    def test_quantizer_and_masking_of_a_fork(self, model_class, plain_models, position):
        config = plain_models.nest_config(position)
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
