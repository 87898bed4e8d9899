# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Tiny training runs on made speech: what each step saw and what its loss was."""

import json
from pathlib import Path

import lightning.pytorch as pl
import numpy as np
import soundfile
import torch
from lightning.pytorch.callbacks import Callback, Checkpoint

from nemo.collections.asr.models import EncDecDenoiseMaskedTokenPredModel

RATE = 16000
UTTERANCES, BATCH = 10, 2
BATCHES = UTTERANCES // BATCH  # of an epoch
# a tiny model, an optimizer that makes a difference in a few steps, and dropout
OPTIONS = """
    model.num_classes=64 model.encoder.d_model=32 model.encoder.n_layers=2 model.encoder.n_heads=4
    model.encoder.ff_expansion_factor=2 model.encoder.subsampling_conv_channels=8
    model.optim.lr=1e-2 ~model.optim.sched model.encoder.dropout=0.2 model.encoder.dropout_att=0.2
    model.train_ds.pin_memory=false model.validation_ds.pin_memory=false
    model.objective=masked_tokens model.masking.mask_prob=0.05
""".split()


def make_data(folder: Path) -> dict:
    """Manifests of utterances of 1 to 1.5 s, each unlike the others, and of noise."""
    rng = np.random.default_rng(0)
    manifests = {}
    for name, count in (("train", UTTERANCES), ("noise", 3), ("validation", 4)):
        lines = []
        for i in range(count):
            seconds = 2.0 if name == "noise" else 1.0 + 0.05 * i
            audio = 0.1 * rng.standard_normal(int(seconds * RATE))
            soundfile.write(folder / f"{name}{i}.wav", audio, RATE)
            lines.append(json.dumps({"audio_filepath": f"{name}{i}.wav", "duration": seconds, "text": ""}))
        manifests[name] = folder / f"{name}.json"
        manifests[name].write_text("\n".join(lines))
    return {name: str(file) for name, file in manifests.items()}


def data_options(manifests: dict, workers: int) -> list:
    """Overrides of a shipped config that train on these manifests."""
    options = [f"model.train_ds.manifest_filepath={manifests['train']}"]
    options += [f"model.train_ds.noise_manifest={manifests['noise']}"]
    options += [f"model.validation_ds.manifest_filepath={manifests['validation']}"]
    for section in ("train_ds", "validation_ds"):
        options += [f"model.{section}.num_workers={workers}", f"model.{section}.batch_size={BATCH}"]
    return options


class Steps(Callback):
    """What each batch of a run was and what came of it, by epoch and batch; and how often the model was validated."""

    def __init__(self):
        self.seen, self.validated = {}, []

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        loss = outputs["loss"].item() * trainer.accumulate_grad_batches
        utterances = tuple(batch.audio_len.tolist())  # every utterance has another length
        place = trainer.current_epoch, batch_idx
        assert place not in self.seen
        self.seen[place] = loss, utterances, trainer.global_step

    def on_validation_epoch_end(self, trainer, pl_module):
        self.validated.append(trainer.fit_loop.epoch_loop.total_batch_idx)


class SaveEverywhere(Checkpoint):
    """Saves in each hook in which a checkpoint may be saved, and says after how many batches."""

    HOOKS = ("on_train_batch_end", "on_validation_end", "on_train_epoch_end")

    def __init__(self, folder: Path):
        self.folder, self.files = folder, []

    def _save(self, trainer, hook):
        self.files.append(self.folder / f"{trainer.fit_loop.epoch_loop.total_batch_idx + 1}-{hook}.ckpt")
        trainer.save_checkpoint(self.files[-1])

    def on_train_batch_end(self, trainer, *_):
        self._save(trainer, "on_train_batch_end")

    def on_validation_end(self, trainer, *_):
        self._save(trainer, "on_validation_end")

    def on_train_epoch_end(self, trainer, *_):
        self._save(trainer, "on_train_epoch_end")


class Act(Callback):
    """Does something once, at a hook, after a number of batches."""

    def __init__(self, act, batches: int, hook: str = "on_train_batch_end"):
        self._batches, self._act = batches, act
        setattr(self, hook, self._maybe)

    def _maybe(self, trainer, *_):
        if self._act is not None and trainer.fit_loop.epoch_loop.total_batch_idx + 1 == self._batches:
            act, self._act = self._act, None
            act()


def train(cfg, resume=None, callbacks=(), **options) -> Steps:
    """Fits a fresh model of a config with a fresh trainer, on one CPU; two epochs, if nothing else is said."""
    torch.manual_seed(0)  # of the weights
    steps = Steps()
    saves = any(isinstance(callback, Checkpoint) for callback in callbacks)
    settings = dict(max_epochs=2, logger=False, enable_progress_bar=False, enable_model_summary=False)
    settings.update(num_sanity_val_steps=0, callbacks=[steps, *callbacks], enable_checkpointing=saves)
    trainer = pl.Trainer(accelerator="cpu", devices=1, **{**settings, **options})
    steps.model = EncDecDenoiseMaskedTokenPredModel(cfg, trainer)
    torch.manual_seed(1 if resume else 0)  # another process has other random states
    trainer.fit(steps.model, ckpt_path=resume)
    return steps
