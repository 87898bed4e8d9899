# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""What a user sees of a validation: the word error rate, and how much of a CTC model's output is blank."""

from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from nemo.utils import logging
from nemo.utils.ranks import from_all_ranks

COLLAPSED = 0.99  # a share of blanks that says: nothing is written


class ShowErrorRate(Callback):
    """Shows the error rate of the last validation in the progress bar, as `wer`; loggers have NeMo's `val_wer`.

    Errors and words are summed over all batches and data loaders.
    """

    def __init__(self) -> None:
        super().__init__()
        self._errors: list[Tensor] = []
        self._words: list[Tensor] = []

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begins anew."""
        self._errors, self._words = [], []

    def on_validation_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, *_: Any, **__: Any
    ) -> None:
        """Takes what NeMo's models return of a batch; it is over all ranks already."""
        if isinstance(outputs, dict) and "val_wer_num" in outputs and "val_wer_denom" in outputs:
            self._errors.append(outputs["val_wer_num"])
            self._words.append(outputs["val_wer_denom"])

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Shows it."""
        if self._words:
            words = torch.stack(self._words).sum().clamp(min=1)
            # no sync_dist: a rank without a batch does not come here, and the others would wait for it
            pl_module.log("wer", torch.stack(self._errors).sum() / words, prog_bar=True, logger=False)


class BlankShare(Callback):
    """Logs which share of a CTC model's most probable classes is blank in a validation, as `val_blank_share`.

    A model that has collapsed writes nothing, and its share is 1; its loss goes down a little all the same. Counted
    are encoder frames within the utterances, over all ranks.
    """

    def __init__(self) -> None:
        super().__init__()
        self._hooks: list[Any] = []
        self._lengths: Any = None  # (B,)
        self._counts: Tensor | None = None  # blanks and frames, (2,)

    def on_validation_start(self, trainer: Trainer, pl_module: Any) -> None:
        """Begins to follow encoder and decoder."""
        self._stop()
        self._counts = None
        blank = pl_module.decoder.num_classes_with_blank - 1
        self._hooks = [
            pl_module.encoder.register_forward_hook(lambda module, inputs, outputs: self._keep_lengths(outputs)),
            pl_module.decoder.register_forward_hook(lambda module, inputs, output: self._count(output, blank)),
        ]

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Logs the share; warns if nearly all is blank."""
        counted = [0, 0] if self._counts is None else self._counts.tolist()
        blanks, frames = (sum(counts) for counts in zip(*from_all_ranks(counted)))
        if not frames:
            return
        share = blanks / frames
        pl_module.log("val_blank_share", share, prog_bar=True, sync_dist=True)
        if share >= COLLAPSED and not trainer.sanity_checking:
            logging.warning(
                f"val_blank_share={share:.4f} at step {trainer.global_step}: the model writes next to nothing. If "
                "that lasts, freeze the encoder for longer (freeze_encoder_steps) or change model.optim.lr."
            )

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Follows them no longer."""
        self._stop()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Neither if the run fails."""
        self._stop()

    def _stop(self) -> None:
        for hook in self._hooks:
            hook.remove()
        self._hooks = []

    def _keep_lengths(self, outputs: Any) -> None:
        self._lengths = outputs[1]

    def _count(self, log_probs: Tensor, blank: int) -> None:
        """Counts of (B, T', C)."""
        frames = torch.arange(log_probs.size(1), device=log_probs.device)
        valid = frames < self._lengths[:, None]
        is_blank = (log_probs.argmax(dim=-1) == blank) & valid
        counts = torch.stack([is_blank.sum(), valid.sum()])
        self._counts = counts if self._counts is None else self._counts + counts
