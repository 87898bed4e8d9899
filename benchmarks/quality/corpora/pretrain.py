# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Stage 1: an encoder for each arm, number of steps and seed, kept in a file."""

import time
from pathlib import Path

import torch
from lightning.pytorch import seed_everything

from benchmarks.quality.corpora.delayed import DelayedMaskedTokens
from benchmarks.quality.corpora.features import normalize_by
from benchmarks.quality.corpora.files import locked, replacing
from benchmarks.quality.corpora.loaders import speech_dataset, test_loader, training_loader
from benchmarks.quality.corpora.model_config import model_config
from benchmarks.quality.corpora.plan import Plan, Run, differences
from benchmarks.quality.corpora.prepared import Prepared
from benchmarks.quality.corpora.training import LossCurve, fit, make_trainer, optimizer
from nemo.collections.asr.models import EncDecDenoiseMaskedTokenPredModel, EncDecMaskedTokenPredModel

DEV_SEED = 1


def file_of(work: Path, run: Run) -> Path:
    """Where the encoder of a run is kept."""
    return work / "encoders" / f"{run.arm}-steps{run.steps}-seed{run.seed}.pt"


def pretrained(plan: Plan, run: Run, data: Prepared, work: Path, device: str) -> dict:
    """The encoder's weights and what pretraining has measured; made if they are not there.

    Raises:
        ValueError: the encoder that is there was made with other settings
    """
    path, wanted = file_of(work, run), plan.configuration(run)
    with locked(path):
        if not path.exists():
            made = {"configuration": wanted, **pretrain(plan, run, data, device)}
            with replacing(path) as unfinished:
                torch.save(made, unfinished)
            bits = f"{made['dev']['loss_bits']:.3f} bits" if made["dev"] else "initial weights"
            print(f"{path.stem}: pretrained, {bits}, {made['seconds']:.0f} s", flush=True)
    found = torch.load(path, map_location="cpu", weights_only=False)
    for what in differences(found["configuration"], wanted):
        raise ValueError(f"{path}: was made with {what}; remove it, or give the arm another name")
    return found


def build(plan: Plan, run: Run, data: Prepared, trainer=None):
    """An untrained model, and the config of its batch augmentor. Encoders of one seed and size begin alike."""
    arm, common = plan.arms[run.arm], plan.common
    cfg = model_config([*common.overrides, *arm.overrides])
    augmentor = cfg.train_ds.batch_augmentor
    cfg.train_ds = cfg.validation_ds = None
    cfg.optim = optimizer(arm.lr or common.lr, max(run.steps, 1), common.warmup, common.weight_decay, common.betas)
    kind = EncDecDenoiseMaskedTokenPredModel if arm.noise else EncDecMaskedTokenPredModel
    seed_everything(run.seed, verbose=False)
    model = kind(cfg=cfg, trainer=trainer)
    normalize_by(model, data.constants)
    if arm.delay:
        model.objective = DelayedMaskedTokens(arm.delay)
    return model, augmentor


def pretrain(plan: Plan, run: Run, data: Prepared, device: str) -> dict:
    """Trains an encoder; the weights, the loss curve, what is measured on the dev speakers, and the time."""
    arm, common, started = plan.arms[run.arm], plan.common, time.perf_counter()
    if not run.steps:
        model, _ = build(plan, run, data)
        return summary(model, [], {}, started)
    trainer = make_trainer(run.steps, device, common.precision, LossCurve())
    model, augmentor = build(plan, run, data, trainer)
    dataset = speech_dataset(data.pretrain, arm.noise, data.noise, augmentor if arm.noise else None)
    loader = training_loader(dataset, common.batch_size, run.seed, common.num_workers)
    seed_everything(run.seed, verbose=False)
    curve = fit(trainer, model, loader)
    return summary(model, curve, measure(model.to(device), arm.noise, data, plan), started)


def summary(model, curve: list, dev: dict, started: float) -> dict:
    """What is kept of a model."""
    weights = {name: value.detach().cpu() for name, value in model.encoder.state_dict().items()}
    seconds = time.perf_counter() - started
    return {"encoder": weights, "curve": curve, "dev": dev, "seconds": seconds, "objective": model.objective.name}


@torch.no_grad()
def measure(model, noisy: bool, data: Prepared, plan: Plan) -> dict:
    """The model's own metrics on the clean speech of the dev speakers, such as `loss_bits` per token."""
    loader = test_loader(speech_dataset(data.dev_pieces, noisy), plan.common.batch_size, plan.common.num_workers)
    seed_everything(DEV_SEED, verbose=False)
    model.eval()
    model.val_metrics.reset()
    for _ in range(plan.common.masks_drawn):
        for batch in loader:
            model.inference_pass(on_device(batch, model.device), mode="val", apply_mask=True)
    return {name: round(float(value), 5) for name, value in model.val_metrics.compute().items()}


def on_device(batch, device):
    """A batch of tensors, or NeMo's object that holds some, on a device."""
    if isinstance(batch, (tuple, list)):
        return type(batch)(part.to(device) if torch.is_tensor(part) else part for part in batch)
    moved = {name: part.to(device) if torch.is_tensor(part) else part for name, part in vars(batch).items()}
    return type(batch)(**moved)
