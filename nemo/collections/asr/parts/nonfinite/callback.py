# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""The callbacks that look at a step's loss and gradients before the optimizer does, and at a validation's losses."""

from collections.abc import Mapping
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim import Optimizer
from torchmetrics import Metric

from nemo.collections.asr.data.loading import rider_of
from nemo.collections.asr.parts.nonfinite.ranks import Batch, Findings, describe, find
from nemo.utils import logging
from nemo.utils.option_checks import check_choice, read_option

ON_NONFINITE = ("raise", "skip", None)
LOSS = "val_loss"
MOST_WARNINGS = 10  # of skipped steps, a run; all are counted
# So many in a row are no bad utterances: the weights or the learning rate are bad, and nothing is learned any more.
MOST_IN_A_ROW = 100


class KeptBuffers:
    """Running statistics of a model's batch norms before a step. A model without batch norms has none."""

    def __init__(self, model: nn.Module):
        norms = [m for m in model.modules() if isinstance(m, _BatchNorm) and m.track_running_stats]
        self.buffers: list[Tensor] = [b for norm in norms for b in norm.buffers(recurse=False)]
        self.kept: list[Tensor] = []

    def keep(self) -> None:
        """Remembers them as they are."""
        self.kept = [buffer.clone() for buffer in self.buffers]

    @torch.no_grad()
    def put_back(self) -> None:
        """Makes them what they were."""
        for buffer, kept in zip(self.buffers, self.kept):
            buffer.copy_(kept)


class KeptCounts:
    """A metric's counts before a batch."""

    def __init__(self, metric: Metric | None):
        self.metric = metric
        self.before: dict[str, Tensor] = {}
        if metric is not None:
            self.before = {name: value.clone() for name, value in metric.metric_state.items()}

    def put_back_unless(self, is_fine: Tensor) -> None:
        """Takes the batch back if it is not fine, a boolean on the device: the host does not wait for it."""
        for name, before in self.before.items():
            now = getattr(self.metric, name)
            setattr(self.metric, name, torch.where(is_fine.to(now.device), now, before.to(now.device)))


class _Looks(Callback):
    """Remembers batches, their losses, and what a metric had counted before the last of them."""

    def __init__(self, action: str):
        super().__init__()
        self.action = check_choice("on_nonfinite", action, ON_NONFINITE[:2])
        self._counts = KeptCounts(None)
        self._forget()

    def _keep_counts(self, model: LightningModule, metric: str) -> None:
        if self.action == "skip":
            self._counts = KeptCounts(getattr(model, metric, None))

    def _remember(self, batch: Any, index: int, loader: int = 0) -> None:
        self._batches.append(Batch(index, rider_of(batch).utterances, loader))

    def _forget(self) -> None:
        self._batches: list[Batch] = []
        self._losses: list[Tensor] = []


class NonfiniteSteps(_Looks):
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
        super().__init__(action)
        self.skipped = False  # this step
        self._skipped_in_epoch = self._skipped_in_run = self._in_a_row = 0
        self._last_loss: Tensor | None = None
        self._buffers: KeptBuffers | None = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begins with nothing found."""
        self._buffers = KeptBuffers(pl_module) if self.action == "skip" else None
        self._forget()

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Remembers which batch this is, and what its forward pass will change."""
        if not self._batches and self._buffers is not None:
            self._buffers.keep()
        self._remember(batch, batch_idx)
        self._last_loss = None
        self._keep_counts(pl_module, "train_metrics")

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


class NonfiniteValidation(_Looks):
    """Ends the run after a validation with a loss that is NaN or infinite, or leaves its batch out of the mean.

    It is left out of the metrics, too. If a rank has no batch with a finite loss, it leaves out none.

    Args:
        action: `raise` or `skip`

    Raises:
        FloatingPointError: names ranks and utterances.
    """

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begins with nothing found."""
        self._forget()

    def on_validation_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Remembers what the batch will be counted in."""
        self._keep_counts(pl_module, "val_metrics")

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Takes the loss, and a bad batch out of the metrics; the host does not wait."""
        loss = outputs.get(LOSS) if isinstance(outputs, dict) else None
        if loss is None:
            return
        self._losses.append(loss.detach())
        self._remember(batch, batch_idx, dataloader_idx)
        self._counts.put_back_unless(self._losses[-1].isfinite())

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Decides, on all ranks alike, before the model takes the mean."""
        findings = find(self._losses, [], pl_module.device)
        if findings is not None:
            message = f"model.on_nonfinite={self.action}: validation: {describe(findings, self._batches)}"
            if self.action == "raise":
                raise FloatingPointError(message)
            logging.warning(f"{message}\nLeft out of {LOSS}.")
            self._leave_out(pl_module)
        self._forget()

    @staticmethod
    def _leave_out(model: LightningModule) -> None:
        """Takes the outputs of bad batches from those that the model takes the mean of."""
        outputs = model.validation_step_outputs
        for of_loader in [outputs] if outputs and isinstance(outputs[0], dict) else outputs:
            losses = [output.get(LOSS) for output in of_loader]
            finite = [output for output, loss in zip(of_loader, losses) if loss is None or loss.isfinite()]
            of_loader[:] = finite or of_loader


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
