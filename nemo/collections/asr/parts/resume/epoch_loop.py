# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Lightning's loop over an epoch, which goes on at a place in it."""

import warnings

from lightning.pytorch.loops.fetchers import _DataFetcher
from lightning.pytorch.loops.training_epoch_loop import _TrainingEpochLoop

from nemo.collections.asr.parts.resume.place import Place


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
