# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""The callback that looks at the losses of a validation, at its end."""

from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from nemo.collections.asr.parts.nonfinite.kept_state import KeptCounts
from nemo.collections.asr.parts.nonfinite.ranks import Batch, describe, find
from nemo.collections.asr.parts.nonfinite.utterances import utterances_of
from nemo.utils import logging

LOSS = "val_loss"


class NonfiniteValidation(Callback):
    """Ends the run after a validation with a loss that is NaN or infinite, or leaves its batch out of the mean.

    It is left out of the metrics, too. If a rank has no batch with a finite loss, it leaves out none.

    Args:
        action: `raise` or `skip`

    Raises:
        FloatingPointError: names ranks and utterances.
    """

    def __init__(self, action: str):
        super().__init__()
        self.action = action
        self._counts = KeptCounts(None)
        self._forget()

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begins with nothing found."""
        self._forget()

    def on_validation_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Remembers what the batch will be counted in."""
        if self.action == "skip":
            self._counts = KeptCounts(getattr(pl_module, "val_metrics", None))

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
        self._batches.append(Batch(batch_idx, utterances_of(batch), dataloader_idx))
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
            finite = [output for output in of_loader if _is_finite(output.get(LOSS))]
            of_loader[:] = finite or of_loader

    def _forget(self) -> None:
        self._losses: list[Tensor] = []
        self._batches: list[Batch] = []


def _is_finite(loss: Tensor | None) -> bool:
    return loss is None or bool(loss.isfinite())
