# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Where a training run is: the batches of an epoch that are done, read off Lightning's loops and put back there."""

import warnings
from dataclasses import asdict, dataclass, replace
from typing import Any

from lightning.pytorch import Trainer
from lightning.pytorch.loops.fetchers import _DataFetcher
from lightning.pytorch.loops.training_epoch_loop import _TrainingEpochLoop


@dataclass(frozen=True)
class Place:
    """A place between two batches.

    Args:
        epoch: epochs that are done
        batches: batches of the next one that are done, on each rank
        all_batches: batches that are done in all epochs, on each rank
        global_step: optimizer steps that are done
        validated: False if the validation that is due after the last batch, if any is, has not been run
        is_last: whether the last batch was the last of its epoch
        logged_steps: Lightning's number of steps for loggers
        counted: whether the last batch is among them
    """

    epoch: int
    batches: int
    all_batches: int
    global_step: int
    validated: bool = True
    is_last: bool = False
    logged_steps: int = 0
    counted: bool = True

    @classmethod
    def of(cls, trainer: Trainer, counted: bool) -> "Place":
        """Where a trainer is; while a batch is being trained on, the place before it."""
        epochs: Any = trainer.fit_loop.epoch_progress.current
        progress: Any = trainer.fit_loop.epoch_loop.batch_progress
        done = progress.current.processed
        # once the next batch is `ready`, `is_last_batch` speaks of that one
        at_last = progress.current.ready == done and progress.is_last_batch
        place = cls(
            epoch=epochs.processed,
            batches=done,
            all_batches=progress.total.processed,
            global_step=trainer.global_step,
            validated=done == 0,
            is_last=done == trainer.num_training_batches or at_last,
            logged_steps=trainer.fit_loop.epoch_loop._batches_that_stepped,
            counted=counted,
        )
        if epochs.started > epochs.processed:
            return place
        if done > 0 and not place.is_last:  # `max_steps`, `max_time` or a callback has ended the epoch early
            return replace(place, epoch=epochs.processed - 1, validated=True)
        return replace(place, batches=0, validated=True, is_last=False)

    def is_amid_accumulation(self, trainer: Trainer) -> bool:
        """True if gradients of the last batches wait for those of the next ones."""
        return self.batches % trainer.accumulate_grad_batches != 0 and not self.is_last

    def with_batches(self, batches: int) -> "Place":
        """The place with another number of batches, for ranks or batches of another size."""
        return replace(self, batches=batches, validated=True, is_last=False)

    def to_dict(self) -> dict[str, Any]:
        """Plain types, for a checkpoint."""
        return asdict(self)

    def write_to(self, loops: dict[str, Any]) -> None:
        """Makes the state of Lightning's `fit_loop` in a checkpoint say this place.

        What Lightning saves counts a batch as not done whose `on_train_batch_end` saves it, and would train on one
        batch more.
        """
        epochs = loops["epoch_progress"]["current"]
        epochs.update(ready=self.epoch + 1, started=self.epoch + 1, processed=self.epoch, completed=self.epoch)
        batches = loops["epoch_loop.batch_progress"]
        _set_all(batches["current"], self.batches)
        _set_all(batches["total"], self.all_batches)
        batches["is_last_batch"] = self.is_last
        _set_all(loops["epoch_loop.val_loop.batch_progress"]["current"], 0)
        loops["epoch_loop.state_dict"]["_batches_that_stepped"] = self.logged_steps


def _set_all(counts: dict[str, int], value: int) -> None:
    counts.update(dict.fromkeys(counts, value))


class ResumedEpochLoop(_TrainingEpochLoop):
    """The loop of a trainer that goes on at a `Place`; NeMo's `exp_manager`, too, gives a trainer another loop.

    Lightning runs the validation at that place, whether it has been run or not. NeMo's loop leaves it out, whether it
    has been run or not, and so it does after the first batch. Here it is run if it has not been.
    """

    place: Place

    @classmethod
    def taking_over(cls, loop: _TrainingEpochLoop, place: Place) -> "ResumedEpochLoop":
        """A loop with all that another one has, for the same trainer."""
        new = cls(loop.trainer, loop.min_steps, loop.max_steps)
        vars(new).update(vars(loop))
        new.place = place
        return new

    def reset(self) -> None:
        """Lightning's hook, without its warning that a data loader which keeps no state could not go on."""
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="You're resuming from a checkpoint that ended before")
            super().reset()

    def on_run_start(self, data_fetcher: _DataFetcher) -> None:
        """Lightning's hook: decides whether the epoch goes on with a validation or with a batch."""
        super().on_run_start(data_fetcher)
        self.val_loop.restarting = False
        if not self.restarting:
            return
        if self.place.validated or not self._should_check_val_fx(data_fetcher):
            self.restarting = False
            self._batches_that_stepped += not self.place.counted
