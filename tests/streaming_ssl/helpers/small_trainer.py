# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Trainers of a few steps on the CPU, and the checkpoint of a model that is not trained."""

import lightning.pytorch as pl


def small_trainer(**options) -> pl.Trainer:
    """One that writes and shows nothing, if nothing else is said."""
    quiet = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)
    return pl.Trainer(**{"accelerator": "cpu", "devices": 1, **quiet, **options})


def save_checkpoint(model: pl.LightningModule, path) -> None:
    """Writes Lightning's checkpoint of a model as it is."""
    trainer = small_trainer()
    trainer.strategy.connect(model)
    trainer.save_checkpoint(path)
