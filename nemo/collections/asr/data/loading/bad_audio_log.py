# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""What of an epoch's batches could not be used: counted in the main process, and listed once an epoch."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from nemo.collections.asr.data.loading.rider import Rider, rider_of
from nemo.collections.asr.parts.manifests import MOST_BAD, too_many
from nemo.utils import logging
from nemo.utils.ranks import from_all_ranks

LISTED = 100  # a rank and an epoch
NAMED = 3  # in an error
# So often, in batches, ranks tell each other what was bad. If nothing was good in between, the storage is gone.
LOOK_EVERY = 50
KINDS = ("utterances", "noise")
REMEDY = (
    "Mend these lines or take them out of the manifest; check_audio_files=-1 in the data section reads all headers "
    "before training. on_bad_audio=raise stops at the first bad one."
)


class BadAudioError(ValueError):
    """Audio that cannot be used; the message names manifest, line, file and reason."""


@dataclass
class _Count:
    """What was read of one kind, in an epoch and since the ranks last told each other."""

    read: int = 0
    bad: Counter = field(default_factory=Counter)  # how often, by item
    good_lately: bool = False

    def add(self, read: int, bad: Sequence[str]) -> None:
        self.read += read
        self.bad.update(bad)
        self.good_lately = self.good_lately or read > len(bad)


class BadAudioLog:
    """Counts what the riders of an epoch's batches say is bad, and lists it at its end, over all ranks.

    Args:
        name: of the data, `train` or `val`, in the log
    """

    def __init__(self, name: str):
        self.name = name
        self._reset()

    def _reset(self) -> None:
        self._counts, self._batches = {kind: _Count() for kind in KINDS}, 0

    def add(self, batch: Any) -> None:
        """Counts what a batch says, and says the first of an epoch at once."""
        rider = rider_of(batch)
        if not rider.utterances_read:
            return
        bad = [*rider.bad_utterances, *rider.bad_noise]
        if bad and not any(count.bad for count in self._counts.values()):
            logging.warning(f"on_bad_audio=skip: {bad[0]}. All are listed at the end of the epoch.")
        self._batches += 1
        self._counts["utterances"].add(rider.utterances_read, rider.bad_utterances)
        self._counts["noise"].add(rider.noise_read, rider.bad_noise)

    def look(self, batches: float) -> None:
        """Ends a run early that cannot end well; to be called by all ranks after each batch of a training epoch.

        Args:
            batches: how many a whole epoch has; infinite if nobody knows
        Raises:
            BadAudioError: for `LOOK_EVERY` batches nothing could be used, or more is bad by now than may be in all of
                the epoch
        """
        if not self._batches or self._batches % LOOK_EVERY:
            return
        for kind, count in self._counts.items():
            # two items are enough to know that it is more than one
            told = count.read, count.bad.total(), list(count.bad)[:NAMED], count.good_lately
            read, bad, items, good = zip(*from_all_ranks(told))
            count.good_lately = False
            named = list(dict.fromkeys(text for texts in items for text in texts))
            if sum(bad) and not any(good):
                said = f"for {LOOK_EVERY} batches no {kind} could be used"
                raise BadAudioError(self._error(said, named))
            self._check(kind, sum(read), sum(bad), named, batches)

    def pop(self, batches: float = 0, is_trial: bool = False) -> dict[str, float]:
        """Lists what was skipped since the last call, over all ranks, each of which must call this.

        Args:
            batches: how many a whole epoch has on a rank; what was read of a part of it may have more bad ones
            is_trial: whether it is no epoch, but a first look at some of the data
        Returns:
            `{name}_bad_utterances`, how many were left out, and `{name}_bad_noise`, how often noise that was drawn
            could not be used
        Raises:
            BadAudioError: these were not single ones, see `too_many`
        """
        ranks, values = from_all_ranks(self._counts), {}
        for kind in KINDS:
            bad: Counter = sum((counts[kind].bad for counts in ranks), Counter())
            values[f"{self.name}_bad_{kind}"] = float(bad.total())
            self._list(kind, bad)
            if not is_trial:
                read = sum(counts[kind].read for counts in ranks)
                self._check(kind, read, bad.total(), list(bad), batches)
        self._reset()
        return values

    def _check(self, kind: str, read: int, bad: int, items: list[str], batches: float) -> None:
        """Raises if too much is bad of what the whole epoch reads, as far as the batches of this process tell."""
        whole = read * max(1.0, batches / max(1, self._batches)) if batches != float("inf") else read
        if too_many(bad, len(items), whole):
            of = "utterances that this epoch has read" if kind == "utterances" else "draws of noise in this epoch"
            said = f"none of the {read} {of} can be used" if bad >= read else f"{bad} of the {read} {of} are bad"
            raise BadAudioError(self._error(said, items))

    def _error(self, said: str, items: list[str]) -> str:
        first = "\n".join(f"  {text}" for text in items[:NAMED])
        return (
            f"{self.name}: {said}. on_bad_audio=skip leaves out single ones, up to {MOST_BAD:.0%}; this is more. "
            f"The first:\n{first}\n{REMEDY}"
        )

    def _list(self, kind: str, together: Counter) -> None:
        if not together:
            return
        lines = [f"  {text}{f' ({times} times)' if times > 1 else ''}" for text, times in together.most_common(LISTED)]
        if len(together) > LISTED:
            lines.append(f"  and {len(together) - LISTED} more")
        what = "utterances left out" if kind == "utterances" else "draws of noise in vain, other noise was taken,"
        logging.warning(f"{self.name}: {together.total()} {what} in this epoch:\n" + "\n".join(lines))


class CountBadAudio(Callback):
    """Counts, lists and logs (`train_bad_utterances`, `val_bad_noise` and so on) what was left out; see `BadAudioLog`.

    Args:
        on_bad_audio: `raise` or `skip`
        of_nemo: True for models that know neither riders, which are taken out of batches before they get them, nor
            noise
    """

    def __init__(self, on_bad_audio: str, of_nemo: bool = False):
        super().__init__()
        self._skips, self._of_nemo = on_bad_audio == "skip", of_nemo
        self._logs: dict[str, BadAudioLog] = {name: BadAudioLog(name) for name in ("train", "val", "test")}

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Counts, and ends a run that cannot end well."""
        self._count(batch, "train")
        if self._skips:
            self._logs["train"].look(trainer.num_training_batches)

    def on_validation_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, *_: Any) -> None:
        """Counts."""
        self._count(batch, "val")

    def on_test_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, *_: Any) -> None:
        """Counts."""
        self._count(batch, "test")

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Lists what was left out."""
        self._log("train", trainer, pl_module, trainer.num_training_batches)

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Lists what was left out."""
        self._log("val", trainer, pl_module)

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Lists what was left out."""
        self._log("test", trainer, pl_module)

    def _count(self, batch: Any, name: str) -> None:
        self._logs[name].add(batch)
        if self._of_nemo and isinstance(batch, list):
            batch[:] = [item for item in batch if not isinstance(item, Rider)]

    def _log(self, name: str, trainer: Trainer, pl_module: LightningModule, batches: float = 0) -> None:
        if self._skips:
            values = self._logs[name].pop(batches, is_trial=trainer.sanity_checking)
            pl_module.log_dict({key: value for key, value in values.items() if not (self._of_nemo and "noise" in key)})
