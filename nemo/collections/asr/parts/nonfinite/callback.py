# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""The callback that looks at each step's loss and gradients before the optimizer does."""

from collections.abc import Mapping
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor
from torch.optim import Optimizer

from nemo.collections.asr.parts.nonfinite.kept_state import KeptBuffers, KeptCounts
from nemo.collections.asr.parts.nonfinite.ranks import Batch, Findings, describe, find
from nemo.collections.asr.parts.nonfinite.utterances import utterances_of
from nemo.collections.asr.parts.nonfinite.validation import NonfiniteValidation
from nemo.utils import logging
from nemo.utils.option_checks import check_choice, read_option

ON_NONFINITE = ("raise", "skip", None)
MOST_WARNINGS = 10  # of skipped steps, a run; all are counted
# So many in a row are no bad utterances: the weights or the learning rate are bad, and nothing is learned any more.
MOST_IN_A_ROW = 100


class NonfiniteSteps(Callback):
    """Ends the run, or leaves the step out, if the loss or a gradient is NaN or infinite.

    All ranks decide alike, before the optimizer's step, with one all-reduce of a number per rank and one wait for the
    device. One bad batch of those whose gradients are accumulated spoils the step.

    `skip` leaves weights, optimizer, learning rate, statistics of batch norms and metrics as they were. The step
    counts in `trainer.global_step`, as one does that a gradient scaler leaves out. How many were skipped is logged
    once an epoch as `train_skipped_steps`.

    With a gradient scaler (`precision: 16-mixed`) infinite gradients are how it finds its scale: only losses count.

    Args:
        action: `raise` or `skip`

    Raises:
        FloatingPointError: names step, ranks and utterances. The weights are those before the step. With `skip`, after
            100 such steps in a row.
    """

    def __init__(self, action: str):
        super().__init__()
        self.action = check_choice("on_nonfinite", action, ON_NONFINITE[:2])
        self.skipped = False  # this step
        self._skipped_in_epoch = self._skipped_in_run = self._in_a_row = 0
        self._batches: list[Batch] = []
        self._losses: list[Tensor] = []
        self._last_loss: Tensor | None = None
        self._buffers: KeptBuffers | None = None
        self._counts = KeptCounts(None)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begins with nothing found."""
        self._buffers = KeptBuffers(pl_module) if self.action == "skip" else None
        self._forget()

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Remembers which batch this is, and what its forward pass will change."""
        if not self._batches and self._buffers is not None:
            self._buffers.keep()
        self._batches.append(Batch(batch_idx, utterances_of(batch)))
        self._last_loss = None
        if self.action == "skip":
            self._counts = KeptCounts(getattr(pl_module, "train_metrics", None))

    def on_before_backward(self, trainer: Trainer, pl_module: LightningModule, loss: Tensor) -> None:
        """Takes the loss, and makes all gradients NaN if it is not finite: so a gradient scaler skips the step."""
        self._last_loss = loss.detach()
        self._losses.append(self._last_loss)
        if loss.requires_grad:
            is_finite = self._last_loss.isfinite()
            loss.register_hook(lambda gradient: gradient.where(is_finite, torch.nan))

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer) -> None:
        """Decides what becomes of the step; clipping comes after this."""
        parameters = [p for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        has_scaler = getattr(trainer.precision_plugin, "scaler", None) is not None
        gradients = [] if has_scaler else [p.grad for p in parameters]
        findings = find(self._losses, gradients, pl_module.device)
        self.skipped = findings is not None
        if findings is None:
            self._in_a_row = 0
            self._forget()
            return
        self._report(findings, trainer.global_step)
        if not has_scaler:
            for parameter in parameters:
                parameter.grad = None  # what an optimizer leaves alone, its momentum and weight decay included
        if self._buffers is not None:
            self._buffers.put_back()
        self._forget()

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        """Takes a bad batch out of the metrics; shows how many steps were skipped."""
        self.skipped = False
        if self._last_loss is not None:
            self._counts.put_back_unless(self._last_loss.isfinite())
        if self._skipped_in_run:
            pl_module.log("skipped", float(self._skipped_in_run), prog_bar=True, logger=False)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Logs how many steps were skipped, the same number on all ranks."""
        if self.action == "skip":
            pl_module.log("train_skipped_steps", float(self._skipped_in_epoch))
        if self._skipped_in_epoch:
            logging.warning(f"model.on_nonfinite=skip: {self._skipped_in_epoch} steps of this epoch were skipped")
        self._skipped_in_epoch = 0

    def _report(self, findings: Findings, step: int) -> None:
        """Raises, or counts the step and warns of it."""
        message = f"model.on_nonfinite={self.action}: step {step}: {describe(findings, self._batches)}"
        if self.action == "raise":
            raise FloatingPointError(f"{message}\nThe weights are those before this step.")
        self._skipped_in_epoch += 1
        self._skipped_in_run += 1
        self._in_a_row += 1
        if self._in_a_row >= MOST_IN_A_ROW:
            raise FloatingPointError(f"{message}\n{self._in_a_row} steps in a row were skipped: nothing is learned.")
        if self._skipped_in_run <= MOST_WARNINGS:
            more = " Further ones are only counted." if self._skipped_in_run == MOST_WARNINGS else ""
            logging.warning(f"{message}\nThe step is skipped.{more}")

    def _forget(self) -> None:
        self._batches, self._losses = [], []


def check_on_nonfinite(cfg: Mapping) -> str | None:
    """The value of `on_nonfinite` in a model's config; None does what NeMo does, which is nothing.

    Raises:
        ValueError: it is another value than those of `ON_NONFINITE`.
    """
    action = read_option("model.on_nonfinite", cfg)
    if action is None and cfg.get("skip_nan_grad"):
        logging.warning(
            "model.skip_nan_grad=true: NeMo's models for self-supervised pretraining do not look at it. Set "
            "model.on_nonfinite=skip to skip steps that are not finite."
        )
    return action


def nonfinite_of_config(model: LightningModule) -> list[Callback]:
    """The callbacks that `model.cfg.on_nonfinite` asks for, for Lightning's hook `configure_callbacks`."""
    action = model.cfg.get("on_nonfinite")
    return [] if action is None else [NonfiniteSteps(action), NonfiniteValidation(action)]


def step_was_skipped(trainer: Trainer) -> bool:
    """Whether the step of this batch is skipped: then there are no gradients to clip."""
    return any(callback.skipped for callback in trainer.callbacks if isinstance(callback, NonfiniteSteps))


def skips_scheduler(trainer: Trainer, scheduler: Any) -> bool:
    """Whether a learning rate scheduler counts steps, and so does not count this one, which is skipped."""
    configs = trainer.lr_scheduler_configs
    counts_steps = any(config.scheduler is scheduler and config.interval == "step" for config in configs)
    return counts_steps and step_was_skipped(trainer)
