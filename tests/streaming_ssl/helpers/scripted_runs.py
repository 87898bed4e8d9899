# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Runs with NeMo's `exp_manager` whose validations give the values that a test asks for."""

import lightning.pytorch as pl
import torch
from omegaconf import OmegaConf

from nemo.utils.exp_manager import exp_manager


class Scripted(pl.LightningModule):
    """A weight that counts steps; a validation logs the next of `values`. It is saved as NeMo saves a model."""

    cfg = OmegaConf.create({})

    def __init__(self, values):
        super().__init__()
        self.values, self.validated = list(values), []
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def training_step(self, batch, batch_idx):
        return -self.weight.sum()

    def validation_step(self, batch, batch_idx):
        return None

    def on_validation_epoch_end(self):
        self.validated.append(self.values[len(self.validated)])
        self.log("val_loss", torch.tensor(float(self.validated[-1])))

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=1.0)

    def train_dataloader(self):
        return torch.utils.data.DataLoader(torch.zeros(100, 1))

    def val_dataloader(self):
        return torch.utils.data.DataLoader(torch.zeros(1, 1))

    def save_to(self, save_path):
        torch.save(self.weight.detach().clone(), save_path)


def trainer_in(folder, steps, every, callbacks=(), **options):
    """A trainer of so many steps that validates every so many, with a checkpoint callback for `val_loss`."""
    trainer = pl.Trainer(
        accelerator="cpu",
        devices=1,
        max_steps=steps,
        val_check_interval=every,
        num_sanity_val_steps=0,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=list(callbacks),
    )
    params = {"monitor": "val_loss", "filename": "run--{val_loss:.4f}-{epoch}-{step}", "save_top_k": 3, **options}
    settings = {
        "exp_dir": str(folder),
        "name": "run",
        "use_datetime_version": False,
        "create_tensorboard_logger": False,
    }
    settings |= {"resume_if_exists": True, "resume_ignore_no_checkpoint": True, "checkpoint_callback_params": params}
    exp_manager(trainer, OmegaConf.create(settings))
    return trainer


def names_in(folder):
    """Of checkpoints, without their ending."""
    return sorted(file.stem for file in folder.rglob("*.ckpt"))
