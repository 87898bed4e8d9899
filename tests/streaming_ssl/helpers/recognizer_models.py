# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Tiny recognisers with random weights that say something: CTC, RNN-T, TDT and hybrid, of characters."""

import torch
from omegaconf import OmegaConf

from nemo.collections.asr.models import EncDecCTCModel, EncDecHybridRNNTCTCModel, EncDecRNNTModel

VOCABULARY = list(" abcdefghijklmnopqrstuvwxyz'")
MODULES = "nemo.collections.asr.modules"
HIDDEN = 32


def base(nest_config, *overrides):
    """What all recognisers share: preprocessor and encoder of the tiny streaming config."""
    cfg = nest_config("model.encoder.att_context_size=[4,0]", "model.preprocessor.dither=0", *overrides)
    augmentation = {"_target_": f"{MODULES}.SpectrogramAugmentation", "freq_masks": 0, "time_masks": 0}
    return {
        "sample_rate": cfg.sample_rate,
        "labels": VOCABULARY,
        "train_ds": None,
        "validation_ds": None,
        "preprocessor": OmegaConf.to_container(cfg.preprocessor),
        "spec_augment": augmentation,
        "encoder": OmegaConf.to_container(cfg.encoder),
    }


def ctc_decoder(width):
    """The config of a decoder over the vocabulary."""
    return {
        "_target_": f"{MODULES}.ConvASRDecoder",
        "feat_in": width,
        "num_classes": len(VOCABULARY),
        "vocabulary": VOCABULARY,
    }


def transducer(width, durations=()):
    """The parts of an RNN-T model; with durations, of a TDT model."""
    extra = {"num_extra_outputs": len(durations)} if durations else {}
    decoding = {"strategy": "greedy_batch", "greedy": {"max_symbols": 3, "loop_labels": True}}
    loss = {"loss_name": "default"}
    if durations:
        decoding.update(model_type="tdt", durations=list(durations))
        loss = {"loss_name": "tdt", "tdt_kwargs": {"durations": list(durations)}}
    return {
        "model_defaults": {"enc_hidden": width, "pred_hidden": HIDDEN, "joint_hidden": HIDDEN, **extra},
        "decoder": {
            "_target_": f"{MODULES}.RNNTDecoder",
            "normalization_mode": None,
            "random_state_sampling": False,
            "blank_as_pad": True,
            "vocab_size": len(VOCABULARY),
            "prednet": {"pred_hidden": HIDDEN, "pred_rnn_layers": 1, "t_max": None, "dropout": 0.0},
        },
        "joint": {
            "_target_": f"{MODULES}.RNNTJoint",
            "log_softmax": None,
            "preserve_memory": False,
            "fuse_loss_wer": False,
            "num_classes": len(VOCABULARY),
            "vocabulary": VOCABULARY,
            "jointnet": {"joint_hidden": HIDDEN, "activation": "relu", "dropout": 0.0},
            **extra,
        },
        "decoding": decoding,
        "loss": loss,
    }


def build(nest_config, kind, *overrides):
    """A recogniser in eval mode: `ctc`, `rnnt`, `tdt` or `hybrid`."""
    torch.manual_seed(0)
    cfg = base(nest_config, *overrides)
    width = max(cfg["encoder"]["feat_out"], 0) or cfg["encoder"]["d_model"]
    if kind == "ctc":
        model = EncDecCTCModel(OmegaConf.create({**cfg, "decoder": ctc_decoder(width)}))
    elif kind == "hybrid":
        auxiliary = {"ctc_loss_weight": 0.3, "use_cer": False, "decoder": ctc_decoder(width)}
        parts = {**cfg, **transducer(width), "aux_ctc": auxiliary}
        model = EncDecHybridRNNTCTCModel(OmegaConf.create(parts))
    else:
        model = EncDecRNNTModel(OmegaConf.create({**cfg, **transducer(width, (0, 1, 2) if kind == "tdt" else ())}))
    talk(model.eval())
    return model


def talk(model):
    """Makes random decoders answer to what changes in the encoder's output, not to what is always there."""
    signal = sounds(1, 32000)
    feats, length = model.preprocessor(input_signal=signal, length=torch.tensor([signal.size(1)]))
    with torch.no_grad():
        encoded, _ = model.encoder(audio_signal=feats, length=length)
        mean, spread = encoded.mean(dim=(0, 2)), encoded.std(dim=2).mean()
        for layer in (getattr(model, name, None) for name in ("decoder", "ctc_decoder")):
            for convolution in layer.modules() if layer is not None else ():
                if isinstance(convolution, torch.nn.Conv1d):
                    answer(convolution, mean, 2.0 / spread)
        if hasattr(model, "joint"):
            answer(model.joint.enc, mean, 2.0 / spread)
            model.joint.joint_net[-1].weight.mul_(6.0)
            model.joint.joint_net[-1].bias[len(VOCABULARY)] += 4.0  # the blank


def answer(layer, mean, scale):
    """A layer of random weights, centred on the mean of its input."""
    weight = scale * torch.randn_like(layer.weight) / layer.weight.size(1) ** 0.5
    layer.weight.copy_(weight)
    layer.bias.copy_(-weight.flatten(1) @ mean)


def transcribe(model, audio, **options):
    """What the model's own `transcribe` makes of arrays or files, a hypothesis of each. It leaves the model in eval
    mode, which NeMo does not."""
    found = model.transcribe(audio, verbose=False, **options)
    model.eval()
    return found[0] if isinstance(found, tuple) else found


def sounds(batch_size, samples):
    """Noise whose colour and level change all the time, (B, N)."""
    noise = torch.randn(batch_size, samples)
    time = torch.arange(samples) / 16000
    tone = torch.sin(2 * torch.pi * (300 + 250 * torch.sin(7 * time)) * time)
    return 0.1 * (noise * torch.sin(11 * time).abs() + 2 * tone * torch.sin(5 * time).square())
