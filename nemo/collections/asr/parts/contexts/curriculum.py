# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Contexts that widen or narrow while a model trains: the ramp, and the callback that sets it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Optional

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.trainer.states import TrainerFn

from nemo.collections.asr.parts.contexts.context import (
    UNLIMITED,
    AttentionContext,
    attention_contexts,
    tightest_left,
    widest,
)
from nemo.collections.asr.parts.contexts.runtime import (
    cap_layer_contexts,
    require_encoder,
    require_layer_contexts,
    require_masking,
    sync_masking_context_with_attention,
)
from nemo.utils import logging
from nemo.utils.option_checks import check_option, read_block


@dataclass(frozen=True)
class ContextRamp:
    """A cap on left contexts that grows with the optimizer steps, in encoder frames; a function of the step alone.

    Args:
        start_context, end_context: the cap at step 0 and from `warmup_steps` on, at least 1
        warmup_steps: at least 0
        every_n_steps: the cap changes at multiples of this only, at least 1
    """

    start_context: int
    end_context: int
    warmup_steps: int
    every_n_steps: int = 1

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            check_option(f"model.curriculum_context.{name}", value, name)

    def cap(self, step: int) -> int:
        """The cap at an optimizer step."""
        step -= step % self.every_n_steps
        share = 1.0 if step >= self.warmup_steps else step / self.warmup_steps
        return round(self.start_context + (self.end_context - self.start_context) * share)


class ContextCurriculum(Callback):
    """Widens (or narrows) the left attention contexts of a model's encoder while it trains.

    At every step a layer's left context is the smaller of its own and a cap, which goes from `start_context` to
    `end_context` on a line. The cap depends on `trainer.global_step` alone, so there is nothing to save: a run that is
    resumed goes on as if it had never stopped. With each new cap the masking gets the tightest context, and all
    loggers get `context/cap`, `context/tightest` and `context/widest` (left contexts in encoder frames, -1 is
    unlimited).

    A model for self-supervised pretraining adds it to its trainer itself, see `curriculum_of_config`.

    Args:
        start_context, end_context: the cap at step 0 and from `warmup_steps` on, in encoder frames (80 ms each after
            8-fold subsampling), at least 1
        warmup_steps: optimizer steps, at least 0
        every_n_steps: the cap changes at multiples of this only, in optimizer steps, at least 1

    Raises:
        ValueError: an option is out of its range; when `fit` starts, a model whose encoder has no contexts to cap.
    """

    # whether a model has added it to its trainer
    is_from_config = False

    def __init__(self, start_context: int, end_context: int, warmup_steps: int, every_n_steps: int = 1):
        super().__init__()
        self.ramp = ContextRamp(start_context, end_context, warmup_steps, every_n_steps)
        self._cap: int | None = None

    @classmethod
    def from_config(cls, block: Mapping | None) -> Optional["ContextCurriculum"]:
        """Reads a `curriculum_context` block: `enabled` and the arguments above; None if it is not enabled.

        Raises:
            ValueError: an unknown key, a value that is missing or out of its range.
        """
        options = read_block("curriculum_context", block)
        return None if options is None else cls(**options)

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Checks that the model has what this callback sets."""
        require_layer_contexts(require_encoder(pl_module))
        if _has_masking(pl_module):
            require_masking(pl_module)
        self._cap = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Sets the contexts of the first step."""
        self._update(trainer, pl_module)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Sets the contexts of the coming step."""
        self._update(trainer, pl_module)

    def apply(self, model: Any, step: int) -> dict[str, int]:
        """Gives a model the contexts of an optimizer step, and its masking the tightest of them.

        Returns:
            what is logged, in encoder frames
        Raises:
            ValueError: the model's encoder has no contexts to cap, its masking none to set.
        """
        cap, encoder = self.ramp.cap(step), require_encoder(model)
        cap_layer_contexts(encoder, cap)
        if _has_masking(model):
            sync_masking_context_with_attention(model)
        tightest = tightest_left(attention_contexts(encoder))
        return {
            "context/cap": cap,
            "context/tightest": UNLIMITED if tightest is None else tightest,
            "context/widest": widest(map(AttentionContext.parse, encoder.layer_contexts)).left,
        }

    def _update(self, trainer: Trainer, model: LightningModule) -> None:
        step = trainer.global_step
        if self.ramp.cap(step) == self._cap:
            return
        metrics = self.apply(model, step)
        self._cap = metrics["context/cap"]
        for logger in trainer.loggers:
            logger.log_metrics({**metrics}, step=step)


def curriculum_of_config(model: Any) -> list[ContextCurriculum]:
    """The curriculum that `model.cfg.curriculum_context` asks for, for Lightning's hook `configure_callbacks`.

    Empty if it asks for none, if the trainer does not train, or if the trainer has been given one by hand: that one is
    used, and no second one beside it. One that a model has added before is replaced.

    Raises:
        ValueError: see `ContextCurriculum.from_config`.
    """
    trainer = model.trainer
    if trainer is not None and trainer.state.fn != TrainerFn.FITTING:
        return []
    curriculum = ContextCurriculum.from_config(model.cfg.get("curriculum_context"))
    if curriculum is None:
        return []
    curriculum.is_from_config = True
    callbacks = [] if trainer is None else trainer.callbacks
    given = [c for c in callbacks if isinstance(c, ContextCurriculum) and not c.is_from_config]
    if not given:
        return [curriculum]
    logging.info(f"The trainer has a curriculum, {given[0].ramp}: it is used instead of model.curriculum_context.")
    return []


def _has_masking(model: Any) -> bool:
    """Whether there is a masking to keep in step; a model that is fine-tuned has none."""
    return getattr(model, "mask_processor", None) is not None
