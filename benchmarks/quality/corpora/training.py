# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Lightning's trainer, the optimizer's config and the loss curve: the same for pretraining and fine-tuning."""

import math
import warnings
from collections.abc import Sequence
from logging import ERROR, getLogger

import torch
from lightning.pytorch import Callback, Trainer
from torch.utils.data import DataLoader

from benchmarks.quality.corpora.results import CURVE_STEPS
from nemo.utils import logging

GRADIENT_NORM = 1.0


def be_quiet():
    """Leaves errors to say."""
    logging.setLevel(ERROR)
    warnings.filterwarnings("ignore")


def quiet_lightning():
    """Lightning says errors only; to be called after all imports, because each of its packages sets its own level."""
    for name in ("lightning.pytorch", "lightning.fabric", "pytorch_lightning", "lightning_fabric"):
        getLogger(name).setLevel(ERROR)


class LossCurve(Callback):
    """The mean loss of every 50 steps, in nats."""

    def __init__(self):
        self.losses: list[torch.Tensor] = []

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        """Lightning's hook."""
        self.losses.append(outputs["loss"].detach())

    def means(self) -> list[float]:
        """One value for each 50 steps; the last may be of fewer."""
        values = [float(loss) for loss in self.losses]
        parts = [values[i : i + CURVE_STEPS] for i in range(0, len(values), CURVE_STEPS)]
        return [round(sum(part) / len(part), 4) for part in parts]


def optimizer(lr: float, steps: int, warmup: float, weight_decay: float, betas: Sequence[float]) -> dict:
    """NeMo's config of AdamW: a linear warm-up over a share of the steps, then half a cosine to 0."""
    warmup_steps = min(math.ceil(warmup * steps), steps - 1)
    sched = {"name": "CosineAnnealing", "max_steps": steps, "warmup_steps": warmup_steps, "min_lr": 0.0}
    return {"name": "adamw", "lr": lr, "betas": list(betas), "weight_decay": weight_decay, "sched": sched}


def make_trainer(steps: int, device: str, precision, *callbacks: Callback) -> Trainer:
    """A trainer that takes `steps` steps and writes nothing."""
    quiet_lightning()
    kind, _, index = device.partition(":")
    return Trainer(
        accelerator="gpu" if kind == "cuda" else kind,
        devices=[int(index or 0)] if kind == "cuda" else 1,
        max_steps=steps,
        max_epochs=-1,
        precision=precision,
        gradient_clip_val=GRADIENT_NORM,
        callbacks=list(callbacks),
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        log_every_n_steps=steps + 1,
        use_distributed_sampler=False,
    )


def fit(trainer: Trainer, model, loader: DataLoader) -> list[float]:
    """Trains the model in place; returns the loss curve.

    Raises:
        RuntimeError: training ended before all steps were taken
    """
    curve = next(each for each in trainer.callbacks if isinstance(each, LossCurve))
    trainer.fit(model, train_dataloaders=loader)
    if trainer.global_step < trainer.max_steps:
        raise RuntimeError(f"training stopped after {trainer.global_step} of {trainer.max_steps} steps")
    return curve.means()
