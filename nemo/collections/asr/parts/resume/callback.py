# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""The callback that makes a resumed run the uninterrupted one."""

import signal
from dataclasses import replace
from typing import Any

from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities.exceptions import SIGTERMException

from nemo.collections.asr.data.loading import ordered_loader
from nemo.collections.asr.data.loading.order import can_be_ordered, has_indices
from nemo.collections.asr.parts.resume.checkpoint_files import AtomicCheckpointIO
from nemo.collections.asr.parts.resume.place import Place, ResumedEpochLoop
from nemo.collections.asr.parts.resume.stop_signals import StopSignals, deafen_workers
from nemo.utils import logging
from nemo.utils.callbacks.preemption import PreemptionCallback
from nemo.utils.option_checks import read_option
from nemo.utils.random_state import RandomState, capture, derive_seed, put_back, seed_process
from nemo.utils.ranks import from_all_ranks

KEY = "exact_resume"  # in a checkpoint; whoever does not know it does not look at it


class ExactResume(Callback):
    """Saves where a run is and what is drawn next, goes on there, and saves when the run is asked to stop.

    A model for self-supervised pretraining adds it to its trainer itself.

    - Into each checkpoint go the place in the epoch and each rank's random states. If gradients are being
      accumulated, it is the place of the last optimizer step: the batches since are computed again.
    - Ctrl-C and SIGTERM, on any rank, stop all ranks before the next batch, of training or of validation on one rank,
      and save the last checkpoint first. Then Lightning ends the run as it does for these signals. Data workers leave
      the signals alone, and a run of one rank that fails in between saves, too.
    - It takes the place of NeMo's `PreemptionCallback`, which knows SIGTERM on GPUs only.

    Args:
        seed: seeds masks, dropout and data; None leaves them to the process's random states
    """

    def __init__(self, seed: int | None = None):
        super().__init__()
        self.seed = seed
        self.place: Place | None = None  # where the run goes on
        self._random: RandomState | None = None
        self._boundary: tuple[Place, RandomState] | None = None
        self._validated: tuple[int, int] | None = None
        self._counted = True
        self._signals = StopSignals()
        self._utterances = 0

    def prepare(self, loader: Any, trainer: Any) -> Any:
        """The training data loader in the order of the seed, at the place where the run goes on.

        Without a seed, and for data that is read as a stream (tarred, Lhotse's too, DALI), it is returned as it is.
        """
        self._utterances = _utterances_of_a_batch(loader, trainer)
        if self.seed is None or trainer.overfit_batches or not can_be_ordered(loader):
            return loader
        loader = ordered_loader(loader, self.seed, trainer.world_size, trainer.global_rank)
        progress: Any = trainer.fit_loop.epoch_progress.current
        epoch, batches = progress.processed, 0
        if self.place is not None and self._boundary is None:
            epoch, batches = self.place.epoch, self.place.batches
        loader.sampler.start_at(epoch, batches)
        return loader

    def setup(self, trainer: Any, pl_module: LightningModule, stage: str) -> None:
        """Takes the place of NeMo's callback for SIGTERM, and has checkpoints written beside their place first."""
        if type(trainer.strategy.checkpoint_io) is TorchCheckpointIO:
            trainer.strategy.checkpoint_io = AtomicCheckpointIO()
        others = [callback for callback in trainer.callbacks if not isinstance(callback, PreemptionCallback)]
        if len(others) < len(trainer.callbacks):
            trainer.callbacks = others  # another list: Lightning is going through this one

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Has the workers of the model's own data loaders leave signals alone, if the run will listen to them."""
        if _checkpoints(trainer) is not None:
            deafen_workers([getattr(pl_module, name, None) for name in ("_train_dl", "_validation_dl")])

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Listens for signals, if there is a callback that can save."""
        if _checkpoints(trainer) is not None:
            self._signals.listen(trainer)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Goes on with the random states of the checkpoint, in the first epoch of this process."""
        if self._boundary is not None:
            return
        if self._random is not None:
            put_back(self._random, trainer.strategy.root_device)
        elif self.seed is not None:
            place = (self.place.epoch, self.place.batches) if self.place is not None else (0, 0)
            seed_process(derive_seed(self.seed, trainer.global_rank, *place))
        self._random = None
        if self.place is not None and self.place.batches:
            self._boundary = self.place, capture(trainer.strategy.root_device)
            if self.place.validated:
                self._validated = self.place.epoch, self.place.batches
            self._counted = self.place.counted

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Stops here if asked to; notes the beginning of an epoch."""
        self._counted = True
        self._stop_if_asked(trainer)
        place = self._current(trainer)
        if place.batches == 0 or self._boundary is None:
            self._boundary = place, capture(trainer.strategy.root_device)

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        """Notes each place where all gradients have become optimizer steps."""
        self._counted = False
        place = self._current(trainer)
        if not place.is_amid_accumulation(trainer):
            self._boundary = place, capture(trainer.strategy.root_device)

    def on_validation_batch_start(self, trainer: Trainer, *_: Any) -> None:
        """Stops here if asked to; ranks may have different numbers of these batches, so several do not."""
        if trainer.state.fn == TrainerFn.FITTING and not trainer.sanity_checking and trainer.world_size == 1:
            self._stop_if_asked(trainer)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Notes that the validation of this place has been run."""
        if trainer.state.fn == TrainerFn.FITTING and not trainer.sanity_checking:
            place = self._current(trainer)
            self._validated = place.epoch, place.batches

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """The last batch of an epoch is counted before this is called."""
        self._counted = True

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """A run that has ended need not be stopped."""
        self._signals.ignore()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Neither need one that has failed; if it was asked to stop, it saves first, where no other rank is needed."""
        checkpoints = _checkpoints(trainer)
        if isinstance(exception, Exception) and self._signals.is_pending and trainer.world_size == 1 and checkpoints:
            _save_last(trainer, checkpoints)
        self._signals.ignore()

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Adds place and random states; all ranks save a checkpoint together."""
        if trainer.state.fn != TrainerFn.FITTING:
            return
        place, random = self._what_to_save(trainer)
        checkpoint[KEY] = {
            "place": place.to_dict(),
            "random": from_all_ranks(random),
            "seed": self.seed,
            "utterances": self._utterances,
        }

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Reads where the run goes on, and says it to Lightning's loops."""
        if trainer.state.fn != TrainerFn.FITTING or self._boundary is not None:
            return
        state = checkpoint.get(KEY)
        if state is None:
            logging.info("The checkpoint has no random states: masks and the order of the data are drawn anew.")
            return
        self.place = self._on_these_ranks(Place(**state["place"]), state, trainer, pl_module)
        if len(state["random"]) == trainer.world_size:
            self._random = state["random"][trainer.global_rank]
        self.place.write_to(checkpoint["loops"]["fit_loop"])
        trainer.fit_loop.epoch_loop = ResumedEpochLoop.taking_over(trainer.fit_loop.epoch_loop, self.place)

    def _on_these_ranks(self, place: Place, state: dict[str, Any], trainer: Trainer, model: LightningModule) -> Place:
        """The place, with as many batches as these ranks need for the utterances that are done."""
        if state["seed"] != self.seed:
            logging.warning(f"model.seed={self.seed}: the checkpoint has {state['seed']}; the data has another order.")
        ranks = len(state["random"])
        if ranks != trainer.world_size:
            logging.warning(
                f"The checkpoint is of {ranks} ranks, these are {trainer.world_size}: masks are drawn anew."
            )
        before = state["utterances"]
        now = _utterances_of_a_batch(getattr(model, "_train_dl", None), trainer)
        if not before or not now or before == now:
            return place
        batches = place.batches * before // now
        logging.warning(
            f"{place.batches} batches of this epoch are done, of {before} utterances each; now of {now}: "
            f"{batches} batches are left out, and {place.batches * before - batches * now} utterances come again."
        )
        return place.with_batches(batches)

    def _current(self, trainer: Trainer) -> Place:
        place = Place.of(trainer, self._counted)
        return replace(place, validated=True) if self._validated == (place.epoch, place.batches) else place

    def _what_to_save(self, trainer: Trainer) -> tuple[Place, RandomState]:
        """The place and the random states now, or those of the last optimizer step where something is half done."""
        place = self._current(trainer)
        progress: Any = trainer.fit_loop.epoch_loop.batch_progress.current
        half_done = (
            progress.started != progress.processed
            or (trainer.validating and not place.validated)
            or place.is_amid_accumulation(trainer)
        )
        if half_done and self._boundary is not None and self._boundary[0].global_step == trainer.global_step:
            return self._boundary
        return place, capture(trainer.strategy.root_device)

    def _stop_if_asked(self, trainer: Trainer) -> None:
        checkpoints = _checkpoints(trainer)
        if checkpoints is None or (number := self._signals.heard(trainer)) is None:
            return
        logging.info(f"Training stops after step {trainer.global_step}: {signal.Signals(number).name}.")
        _save_last(trainer, checkpoints)
        raise KeyboardInterrupt if number == signal.SIGINT else SIGTERMException


def resume_of_config(model: Any) -> list[ExactResume]:
    """The callback for Lightning's hook `configure_callbacks`, with `model.cfg.seed`; none where nothing is trained.

    Raises:
        ValueError: the seed is neither null nor an integer of at least 0.
    """
    trainer = model.trainer
    if trainer is not None and trainer.state.fn != TrainerFn.FITTING:
        return []
    return [ExactResume(read_option("model.seed", model.cfg))]


def resumed_loader(model: Any, loader: Any) -> Any:
    """A model's training data loader, for Lightning's hook `train_dataloader`."""
    trainer: Any = getattr(model, "_trainer", None)
    callbacks = [] if trainer is None else trainer.callbacks
    resume = next((callback for callback in callbacks if isinstance(callback, ExactResume)), None)
    return loader if resume is None else resume.prepare(loader, trainer)


def _save_last(trainer: Trainer, checkpoints: ModelCheckpoint) -> None:
    checkpoints.save_last = True
    checkpoints._save_last_checkpoint(trainer, checkpoints._monitor_candidates(trainer))


def _checkpoints(trainer: Trainer) -> ModelCheckpoint | None:
    return next((c for c in trainer.checkpoint_callbacks if isinstance(c, ModelCheckpoint)), None)


def _utterances_of_a_batch(loader: Any, trainer: Trainer) -> int:
    """Utterances of a batch on all ranks; 0 where no sampler says."""
    return loader.batch_size * trainer.world_size if has_indices(loader) else 0
