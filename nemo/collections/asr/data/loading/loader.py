# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Makes a data loader of NeMo's one whose batches carry a `Rider`; then one that is ordered by a seed."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch.utils.data import DataLoader, RandomSampler

from nemo.collections.asr.data.audio_to_text import _AudioTextDataset
from nemo.collections.asr.data.loading.bad_audio import CheckedDataset, CheckedItem
from nemo.collections.asr.data.loading.names import NamesOfCuts, NamesOfEntries, names_for
from nemo.collections.asr.data.loading.order import CutDraws, EpochDraws, SeededBatches, as_it_is
from nemo.collections.asr.data.loading.rider import Rider
from nemo.collections.asr.parts.manifests import manifests_of
from nemo.collections.common.data.dataset import ConcatDataset
from nemo.utils import logging

# arguments of `DataLoader` that say how data is loaded; not which data, in which order, in what batches
SETTINGS = (
    "num_workers",
    "pin_memory",
    "timeout",
    "worker_init_fn",
    "multiprocessing_context",
    "persistent_workers",
    "prefetch_factor",
)


# by the name of a data section: where NeMo's models keep its loaders
LOADERS = {"train_ds": "_train_dl", "validation_ds": "_validation_dl", "test_ds": "_test_dl"}


def wrapped_loader(
    loader: Any, config: Mapping, on_bad_audio: str | None = None, named: bool = False, fills: bool = False
) -> Any:
    """A loader whose batches say what they are made of, and have no bad audio.

    Args:
        loader: what NeMo has made
        config: of the data, `train_ds` or its like
        on_bad_audio: `raise` or `skip`; None leaves bad audio to NeMo. So do tarred, Lhotse and DALI data, which read
            it in ways of their own, with a warning.
        named: whether batches name their utterances. Data sets that do not say what they hold (DALI's) are left as
            they are.
        fills: for models that know nothing of all this: a batch without any good utterance takes the next good one of
            the dataset
    Returns:
        a loader with the same settings
    """
    names = None
    if named and isinstance(loader, DataLoader) and loader.collate_fn is not None:
        names = names_for(loader.dataset)
    checked = None if on_bad_audio is None or loader is None else _check(loader, config, on_bad_audio)
    if checked is None and names is None:
        return loader
    collate = RiderCollate(loader.collate_fn, names, checked, fills)
    if checked is not None and not isinstance(loader.dataset, ConcatDataset):
        batches = ("batch_sampler",) if loader.batch_size is None else ("batch_size", "sampler", "drop_last")
        given = {name: getattr(loader, name) for name in (*batches, "generator", *SETTINGS)}
        return DataLoader(checked, collate_fn=collate, **given)
    loader.collate_fn = collate
    return loader


def _check(loader: Any, config: Mapping, on_bad_audio: str) -> CheckedDataset | None:
    """What takes the place of a map-style dataset, or has taken that of the first of several; None if none does."""
    dataset, noise = getattr(loader, "dataset", None), list(manifests_of(config.get("noise_manifest")))

    def checked(of: Any, manifest: Any) -> CheckedDataset:
        return CheckedDataset(of, on_bad_audio == "skip", list(manifests_of(manifest)), noise)

    if isinstance(dataset, _AudioTextDataset):
        return checked(dataset, config["manifest_filepath"])
    if isinstance(dataset, ConcatDataset) and all(isinstance(each, _AudioTextDataset) for each in dataset.datasets):
        items = config["manifest_filepath"]  # one for each of the datasets
        if len(items) == 1 and not isinstance(items[0], str):
            items = items[0]  # as validation data comes
        dataset.datasets = [checked(*each) for each in zip(dataset.datasets, items)]
        return dataset.datasets[0]
    logging.warning(f"on_bad_audio={on_bad_audio}: does nothing for tarred, Lhotse and DALI data")
    return None


def wrap_loaders(model: Any, config: Mapping, on_bad_audio: str | None) -> None:
    """Has a recogniser's loaders say which audio is bad, or leave it out.

    Args:
        model: a recogniser of NeMo's, with its loaders
        config: of the model; each of its data sections is that of some loaders
        on_bad_audio: `raise` or `skip`, which need the callback `CountBadAudio` with `of_nemo=True`; None leaves all
            as it is
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


class RiderCollate:
    """Makes NeMo's batch of some items, without the bad ones, and sends a `Rider` along in it.

    Args:
        collate: NeMo's
        names: what names items; None names none
        dataset: where items are `CheckedItem`s, their dataset, or one of several; None where they are NeMo's own
        fills: see `wrapped_loader`
    """

    def __init__(
        self,
        collate: Callable,
        names: NamesOfEntries | NamesOfCuts | None,
        dataset: CheckedDataset | None,
        fills: bool = False,
    ):
        self.collate, self.names, self.dataset, self.fills = collate, names, dataset, fills

    def __call__(self, items: Any) -> Any:
        rider = Rider()
        if self.dataset is not None:
            rider, items = self._good(items, self.dataset)
            if rider.is_empty:
                return rider.board(self.dataset.empty_batch(self.collate))
        if self.names is not None:
            names, items = self.names.take(items)
            rider.utterances = None if None in names else [str(name) for name in names]
        return rider.board(self.collate(items))

    def _good(self, checked: Sequence[CheckedItem], dataset: CheckedDataset) -> tuple[Rider, list[Any]]:
        """The good ones, and what is said of the others."""
        good = [each.item for each in checked if each.item is not None]
        if not good and self.fills:
            good = [dataset.next_good(checked[-1])]
        rider = Rider(
            bad_utterances=[text for each in checked for text in each.bad_utterances],
            bad_noise=[text for each in checked for text in each.bad_noise],
            utterances_read=len(checked),
            noise_read=sum(each.draws for each in checked),
            is_empty=not good,
        )
        return rider, good


def ordered_loader(loader: DataLoader, seed: int, ranks: int = 1, rank: int = 0) -> DataLoader:
    """The same data, in an order and with noise that the seed alone decides.

    Its `sampler` has the methods of `Placed`: an epoch may begin at any of its batches.

    Args:
        loader: one for which `can_be_ordered` holds
        seed: of the order, and of what is drawn while a batch is loaded
        ranks, rank: how many there are, and which of them this is
    """
    draws: Any
    if loader.batch_size is None:
        draws = CutDraws(loader.sampler, seed, rank)
    else:
        shuffle = type(loader.sampler) is RandomSampler
        draws = EpochDraws(loader.dataset, loader.batch_size, loader.drop_last, shuffle, seed, ranks, rank)
    return DataLoader(
        SeededBatches(loader.dataset, loader.collate_fn, seed, is_batched=loader.batch_size is None),
        batch_size=None,
        sampler=draws,
        collate_fn=as_it_is,
        # a data loader draws the seeds of its workers: from the process's own state, if it has no generator
        generator=torch.Generator().manual_seed(seed),
        **{name: getattr(loader, name) for name in SETTINGS},
    )
