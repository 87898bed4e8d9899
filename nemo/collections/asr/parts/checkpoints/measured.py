# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""NeMo's checkpoints, with names that have no metric that nobody measured; the newest of equals is the best.

Lightning writes 0 for a metric that it does not know, as before the first validation, and after a stop. Of equal
values it keeps the oldest: a recogniser that has not got a word right yet would be saved as it was at first.
"""

import re
from collections.abc import Collection
from typing import Any, NamedTuple

import torch
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor

from nemo.utils.callbacks.nemo_model_checkpoint import NeMoModelCheckpoint

# a field of a name, with `label=` before it, and what separates it from the one before
FIELD = re.compile(r"[-_]?(?:[\w./]*=)?\{(?P<metric>[^}:!\[]+)[^}]*\}")


class Saved(NamedTuple):
    """What `.nemo` file a run has ended with.

    Args:
        step: the last one of the run
        best: the checkpoint that the file was made of; empty if it is the model of the last step
        score: its value of the metric, None without `best`
        equals: how many checkpoints have this value
        is_older: whether the value was measured before the checkpoint's last step, as by `every_n_train_steps`
    """

    step: int
    best: str
    score: float | None
    equals: int
    is_older: bool = False


class MeasuredCheckpoint(NeMoModelCheckpoint):
    """NeMo's callback; it has no state of its own, and a checkpoint of either is one of the other."""

    best_model_path: str
    saved: Saved | None = None
    _before: dict[str, Any] = {}
    _of_validation: frozenset[str] = frozenset()
    _validated_at = -1  # step
    _with_older_value: frozenset[str] = frozenset()  # paths

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Remembers what is known before."""
        self._before = dict(trainer.callback_metrics)
        super().on_validation_start(trainer, pl_module)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Takes note of what was measured, and saves."""
        now = trainer.callback_metrics
        self._of_validation = frozenset(name for name, value in now.items() if self._before.get(name) is not value)
        self._validated_at, self._before = trainer.global_step, {}
        super().on_validation_end(trainer, pl_module)

    def check_monitor_top_k(self, trainer: Trainer, current: Tensor | None = None) -> bool:
        """True for a value that is as good as the worst that is kept, too, if it was measured at this step."""
        if super().check_monitor_top_k(trainer, current):
            return True
        if current is None or self.save_top_k == 0 or not self._is_new(trainer.global_step):
            return False
        as_good = bool(torch.as_tensor(current == self.best_k_models[self.kth_best_model_path]))
        return trainer.strategy.reduce_boolean_decision(as_good)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Takes note of what NeMo makes the `.nemo` file of, and has it made."""
        best = self.best_model_path if self.save_best_model else ""
        score = self.best_k_models.get(best)
        equals = sum(bool(value == score) for value in self.best_k_models.values()) if best else 0
        score = None if score is None else float(score)
        self.saved = Saved(trainer.global_step, best, score, equals, best in self._with_older_value)
        super().on_train_end(trainer, pl_module)

    def _save_checkpoint(self, trainer: Trainer, filepath: str) -> None:
        if not self._is_new(trainer.global_step):
            self._with_older_value |= {filepath}
        elif self.best_model_path in self.best_k_models:
            score = self.best_k_models[self.best_model_path]
            self.best_model_path = [path for path, value in self.best_k_models.items() if value == score][-1]
        super()._save_checkpoint(trainer, filepath)

    def _format_checkpoint_name(
        self, filename: str | None, metrics: dict[str, Tensor], *args: Any, **options: Any
    ) -> str:
        old = frozenset() if self._validated_at == int(metrics.get("step", -1)) else self._of_validation
        filename = with_known_only(filename, metrics.keys() - old) if filename else filename
        return super()._format_checkpoint_name(filename, metrics, *args, **options)

    def _generate_state_key(self, **options: Any) -> str:
        return f"{NeMoModelCheckpoint.__qualname__}{options!r}"

    def _is_new(self, step: int) -> bool:
        """False if the metric is a validation's, and the model has been trained since."""
        return self.monitor not in self._of_validation or self._validated_at == step


def with_known_only(filename: str, metrics: Collection[str]) -> str:
    """A template of names without the fields of other metrics, their labels and what separates them."""
    known = FIELD.sub(lambda field: field.group() if field["metric"] in metrics else "", filename)
    return known if filename[:1] in ("-", "_") else known.lstrip("-_")


def measured_checkpoints(trainer: Trainer) -> NeMoModelCheckpoint | None:
    """Has the checkpoint callback that NeMo's `exp_manager` has made name what was measured only.

    Returns:
        the callback; None if there is none. A subclass of NeMo's stays what it is.
    """
    for callback in trainer.checkpoint_callbacks:
        if type(callback) is NeMoModelCheckpoint:
            callback.__class__ = MeasuredCheckpoint  # NeMo makes it itself, and says no class to make
        if isinstance(callback, NeMoModelCheckpoint):
            return callback
    return None
