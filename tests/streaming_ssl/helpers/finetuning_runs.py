# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Tiny fine-tuning runs: speech with texts, pretrained models, and configs of recognisers."""

import json
from pathlib import Path

import lightning.pytorch as pl
import numpy as np
import soundfile
import torch

from nemo.collections.asr.models import EncDecMaskedTokenPredModel
from nemo.collections.asr.parts.finetuning import FineTuning, Pretrained
from nemo.collections.asr.parts.utils.ssl_config import hand_contexts_to_encoder, plain_copy

RATE = 16000
TEXTS = {"train": ("one two", "three four", "five six", "seven"), "validation": ("two one", "six")}
SCHEDULE = "+model.hierarchical_context={enabled: true, schedule: [[0, [4, 0]], [1, [8, 0]]]}"
# Pretrained models by name: overrides of the tiny streaming config, and whether it is plain NeMo's.
PRETRAINED = {
    "streaming": (["model.encoder.att_context_size=[4,0]"], False),
    "contexts per layer": (["model.encoder.att_context_size=[8,0]", SCHEDULE], False),
    "chunked": (["model.encoder.att_context_size=[4,1]", "model.encoder.att_context_style=chunked_limited"], False),
    "after the subsampling": (["model.encoder.att_context_size=[4,0]", "model.mask_position=post_conv"], False),
    "plain NeMo": ([], True),
    "plain NeMo, after the subsampling": (["model.mask_position=post_conv"], True),
}
# a head and rates for a few steps
SMALL = """
    trainer.accelerator=cpu trainer.devices=1 trainer.strategy=auto trainer.enable_progress_bar=false
    freeze_encoder_steps=0
    model.train_ds.num_workers=0 model.validation_ds.num_workers=0 model.train_ds.batch_size=2
    model.train_ds.pin_memory=false model.validation_ds.pin_memory=false
""".split()
SMALL_RNNT = ["model.model_defaults.pred_hidden=8", "model.model_defaults.joint_hidden=8"]


def make_data(folder: Path, texts=TEXTS) -> dict:
    """Manifests of noise with texts."""
    rng = np.random.default_rng(0)
    manifests = {}
    for name, sentences in texts.items():
        lines = []
        for i, text in enumerate(sentences):
            seconds = 1.2 + 0.1 * i
            soundfile.write(folder / f"{name}{i}.wav", 0.1 * rng.standard_normal(int(seconds * RATE)), RATE)
            entry = {"audio_filepath": f"{name}{i}.wav", "duration": seconds, "text": text}
            lines.append(json.dumps({key: value for key, value in entry.items() if value is not None}))
        manifests[name] = folder / f"{name}.json"
        manifests[name].write_text("\n".join(lines))
    return {name: str(file) for name, file in manifests.items()}


def pretrain(nest_config, name: str, model_class=EncDecMaskedTokenPredModel):
    """A model of `PRETRAINED` in eval mode, whose weights and statistics are not those of any other."""
    overrides, like_nemo = PRETRAINED[name]
    torch.manual_seed(len(name))
    model = model_class(nest_config(*overrides, like_nemo=like_nemo))
    with torch.no_grad():
        for name, buffer in model.encoder.named_buffers():
            if "running" in name:
                buffer.add_(torch.rand_like(buffer))
    return model.eval()


def pretrained_config(cfg, path="x.nemo") -> Pretrained:
    """A pretrained model's config as it is read from a file; without weights."""
    cfg = plain_copy(cfg)
    hand_contexts_to_encoder(cfg)
    return Pretrained(path, cfg, {}, {})


def finetuning_config(compose_config, path, manifests, *overrides, kind="ctc"):
    """The shipped config of a recogniser for a pretrained file and manifests."""
    given = [f"pretrained.path={path}", *SMALL, *(SMALL_RNNT if kind == "rnnt" else [])]
    given += [f"model.train_ds.manifest_filepath={manifests['train']}"]
    given += [f"model.validation_ds.manifest_filepath={manifests['validation']}"]
    return compose_config(f"finetune_streaming_{kind}", *given, *overrides)


def trainer_for(cfg, callbacks=(), **options):
    """A trainer of the config without files."""
    settings = {**cfg.trainer, "enable_model_summary": False, "max_steps": 4, **options}
    return pl.Trainer(**settings, callbacks=list(callbacks))


def built(cfg, folder, trainer=None):
    """The model of a run."""
    torch.manual_seed(0)
    return FineTuning(cfg, trainer).build(folder)


def features(seconds=2.0, batch=2):
    """Features as the shipped preprocessor makes them, (B, 80, T), and lengths (B,)."""
    frames = int(100 * seconds)
    feats = torch.randn(batch, 80, frames, generator=torch.Generator().manual_seed(3))
    return feats, torch.tensor([frames] + [frames * 2 // 3] * (batch - 1))


@torch.no_grad()
def encoded(model):
    """What a model's encoder makes of `features`, in eval mode."""
    feats, lengths = features()
    model.eval()
    if getattr(model, "pre_encoder", None) is not None:
        model.pre_encoder.set_masking_enabled(False)
    return model.encoder(audio_signal=feats, length=lengths)
