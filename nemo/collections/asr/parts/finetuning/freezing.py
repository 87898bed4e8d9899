# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Leaves a pretrained encoder as it is for the first steps, while the new parts of the model find their way."""

from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from torch import nn
from torch.optim import Optimizer

from nemo.utils import logging
from nemo.utils.option_checks import check_integer


class FreezeEncoder(Callback):
    """Keeps the encoder's weights, and the statistics of its batch norms, until an optimizer step.

    Gradients of the encoder are computed and dropped: no moments, no weight decay, no part in clipping by norm. So DDP
    waits for the same gradients at every step, which it would not with `requires_grad=False` (NeMo's
    `model.freeze_updates`). It depends on `trainer.global_step` alone: a run that is resumed goes on as if it had
    never stopped.

    Args:
        steps: optimizer steps, at least 0

    Raises:
        ValueError: `steps` is out of its range.
    """

    def __init__(self, steps: int):
        super().__init__()
        self.steps = check_integer("freeze_encoder_steps", steps, 0)
        self._waits = False
        self._in_eval: list[nn.Module] = []  # the batch norms that wait

    def is_frozen(self, trainer: Trainer) -> bool:
        """Whether the coming optimizer step leaves the encoder alone."""
        return trainer.global_step < self.steps

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Warns of a run that trains no encoder at all."""
        if 0 < trainer.max_steps <= self.steps:
            logging.warning(
                f"freeze_encoder_steps={self.steps}: the encoder is not trained, trainer.max_steps={trainer.max_steps}"
            )

    def on_train_batch_start(self, trainer: Trainer, pl_module: Any, batch: Any, batch_idx: int) -> None:
        """Keeps the statistics of batch norms, or lets them go on."""
        if self.is_frozen(trainer):
            self._waits = True
            # again at each step: a validation puts everything back into train mode
            self._in_eval = [m for m in pl_module.encoder.modules() if getattr(m, "track_running_stats", False)]
            for module in self._in_eval:
                module.eval()
        elif self._waits:
            for module in self._in_eval:
                module.train()
            self._waits, self._in_eval = False, []
            logging.info(f"The encoder is trained from step {trainer.global_step} on.")

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: Any, optimizer: Optimizer) -> None:
        """Drops the encoder's gradients; clipping comes after this."""
        if self.is_frozen(trainer):
            for parameter in pl_module.encoder.parameters():
                parameter.grad = None
