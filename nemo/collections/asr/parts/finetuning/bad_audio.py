# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Bad audio of a fine-tuning run: left out by the data loaders, since NeMo's recognisers know nothing of it; counted.

What of a batch could not be used travels in the batch, and is taken out of it before the model sees it.
"""

from collections.abc import Mapping
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from nemo.collections.asr.data.loading import BadAudioLog, Rider, wrapped_loader

# by the name of a data section: where NeMo's models keep its loaders
LOADERS = {"train_ds": "_train_dl", "validation_ds": "_validation_dl", "test_ds": "_test_dl"}


def check_loaders(model: Any, config: Mapping, on_bad_audio: str | None) -> None:
    """Has a recogniser's loaders say which audio is bad, or leave it out.

    Args:
        model: a recogniser of NeMo's, with its loaders
        config: of the model; each of its data sections is that of some loaders
        on_bad_audio: `raise` or `skip`, which need the callback `CountBadAudio`; None leaves all as it is
    """
    for section, name in LOADERS.items():
        loaders, data = getattr(model, name, None), config.get(section)
        if loaders is None or data is None:
            continue
        if isinstance(loaders, list):
            # NeMo makes one of each item
            sections = [{**data, "manifest_filepath": item} for item in data["manifest_filepath"]]
            wrapped: Any = [wrapped_loader(*each, on_bad_audio, fills=True) for each in zip(loaders, sections)]
        else:
            wrapped = wrapped_loader(loaders, data, on_bad_audio, fills=True)
        setattr(model, name, wrapped)


class CountBadAudio(Callback):
    """Counts and lists what was left out, as `train_bad_utterances` and `val_bad_utterances`; see `BadAudioLog`.

    Args:
        on_bad_audio: `raise` or `skip`
    """

    def __init__(self, on_bad_audio: str):
        super().__init__()
        self._skips = on_bad_audio == "skip"
        self._logs: dict[str, BadAudioLog] = {name: BadAudioLog(name) for name in ("train", "val", "test")}

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Counts, and ends a run that cannot end well."""
        self._take(batch, "train")
        if self._skips:
            self._logs["train"].look(trainer.num_training_batches)

    def on_validation_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, *_: Any) -> None:
        """Counts."""
        self._take(batch, "val")

    def on_test_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, *_: Any) -> None:
        """Counts."""
        self._take(batch, "test")

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Lists what was left out."""
        self._log("train", trainer, pl_module, trainer.num_training_batches)

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Lists what was left out."""
        self._log("val", trainer, pl_module)

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Lists what was left out."""
        self._log("test", trainer, pl_module)

    def _take(self, batch: Any, name: str) -> None:
        self._logs[name].add(batch)
        if isinstance(batch, list):
            batch[:] = [item for item in batch if not isinstance(item, Rider)]

    def _log(self, name: str, trainer: Trainer, pl_module: LightningModule, batches: float = 0) -> None:
        if self._skips:
            values = self._logs[name].pop(batches, is_trial=trainer.sanity_checking)
            pl_module.log(f"{name}_bad_utterances", values[f"{name}_bad_utterances"])
