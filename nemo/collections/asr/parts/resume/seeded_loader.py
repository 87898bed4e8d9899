# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""A data loader whose batches are a function of the seed, the epoch and the place in it, whatever loads them."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from lhotse.dataset.sampling.base import CutSampler
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    Dataset,
    IterableDataset,
    RandomSampler,
    Sampler,
    SequentialSampler,
)
from torch.utils.data.distributed import DistributedSampler

from nemo.collections.asr.parts.resume.random_state import derive_seed, seeded
from nemo.collections.asr.parts.utils.loader_settings import loader_settings


@dataclass(frozen=True)
class Draw:
    """One batch of an epoch: what seeds its loading, and its samples: indices, or Lhotse's cuts."""

    epoch: int
    rank: int
    batch: int
    samples: Any


class EpochDraws(DistributedSampler):
    """The batches of an epoch on one rank, in an order that the seed and the epoch alone decide.

    The order is that of torch's `DistributedSampler`: Lightning leaves such a sampler alone, and tells it the epoch.

    Args:
        dataset: has a length
        batch_size: samples per batch and rank
        drop_last: whether a last smaller batch is left out
        shuffle: whether each epoch has another order
        seed: of the order
        num_replicas, rank: ranks, and which of them this is
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int,
        drop_last: bool,
        shuffle: bool,
        seed: int,
        num_replicas: int = 1,
        rank: int = 0,
    ):
        super().__init__(dataset, num_replicas=num_replicas, rank=rank, shuffle=shuffle, seed=seed)
        self.batch_size, self.drop_last_batch = batch_size, drop_last
        self.place: tuple[int, int] = (0, 0)

    def start_at(self, epoch: int, batches: int) -> None:
        """Leaves out the first batches of one epoch, which were trained on before; no sample of them is loaded."""
        self.place = epoch, batches
        self.set_epoch(epoch)

    def __iter__(self) -> Iterator[Draw]:
        indices = list(super().__iter__())
        return _rest(self, BatchSampler(indices, self.batch_size, self.drop_last_batch))

    def __len__(self) -> int:
        """Batches of a whole epoch."""
        whole, rest = divmod(self.num_samples, self.batch_size)
        return whole + (rest > 0 and not self.drop_last_batch)


class CutDraws(Sampler):
    """The batches of a Lhotse sampler that runs in the main process, in an order that seed and epoch alone decide.

    A sampler that has a number as its seed keeps it. One that Lhotse would seed with what no other run has gets ours.
    """

    def __init__(self, sampler: CutSampler, seed: int, rank: int = 0):
        self.sampler, self.rank = sampler, rank
        self.epoch, self.place = 0, (0, 0)
        for each in (sampler, *getattr(sampler, "samplers", ())):
            if isinstance(each.seed, str):
                each.seed = seed

    def start_at(self, epoch: int, batches: int) -> None:
        """See `EpochDraws.start_at`."""
        self.place = epoch, batches
        self.set_epoch(epoch)

    def set_epoch(self, epoch: int) -> None:
        """Lightning's hook: the epoch that the next iteration is of."""
        self.epoch = epoch
        self.sampler.set_epoch(epoch)

    def __iter__(self) -> Iterator[Draw]:
        return _rest(self, self.sampler)


class SeededBatches(Dataset):
    """Loads whole batches, seeded with the seed, the epoch, the rank and the batch.

    So noise and augmentation are the same in any process, with any number of them, and draw nothing from the random
    states that masks and dropout are drawn from. Everything else is asked of the dataset itself.

    Args:
        dataset: takes an index; or what stands for a whole batch, if `is_batched`
        collate_fn: of the data loader
        seed: of what is drawn while a batch is loaded
    """

    def __init__(self, dataset: Any, collate_fn: Callable, seed: int, is_batched: bool):
        self.dataset, self.collate_fn, self.seed, self.is_batched = dataset, collate_fn, seed, is_batched

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, draw: Draw) -> Any:
        with seeded(derive_seed(self.seed, draw.epoch, draw.rank, draw.batch)):
            return self.collate_fn(self._samples(draw.samples))

    def __getattr__(self, name: str) -> Any:
        if name == "dataset":  # not yet there while it is unpickled
            raise AttributeError(name)
        return getattr(self.dataset, name)

    def _samples(self, samples: Any) -> Any:
        if self.is_batched:
            return self.dataset[samples]
        if hasattr(self.dataset, "__getitems__"):
            return self.dataset.__getitems__(samples)
        return [self.dataset[index] for index in samples]


def _rest(draws: Any, batches: Iterable[Any]) -> Iterator[Draw]:
    """The batches of the epoch from its place on, as `Draw`s."""
    epoch, done = draws.place
    skipped = done if epoch == draws.epoch else 0
    for index, samples in enumerate(batches):
        if index >= skipped:
            yield Draw(draws.epoch, draws.rank, index, samples)


def can_be_seeded(loader: Any) -> bool:
    """True for samples with indices in torch's own order, shuffled or not, and for a Lhotse sampler over cuts."""
    if type(loader) is not DataLoader or isinstance(loader.dataset, IterableDataset):
        return False
    return has_indices(loader) or (loader.batch_size is None and isinstance(loader.sampler, CutSampler))


def has_indices(loader: Any) -> bool:
    """True for a data loader that makes batches of samples with indices in torch's own order."""
    if type(loader) is not DataLoader or type(loader.batch_sampler) is not BatchSampler:
        return False
    return type(loader.sampler) in (RandomSampler, SequentialSampler)


def seeded_loader(loader: DataLoader, seed: int, num_replicas: int = 1, rank: int = 0) -> DataLoader:
    """The same data loader with seeded draws and batches; `can_be_seeded` must hold for it."""
    draws: Any
    size = loader.batch_size
    if size is None:
        draws = CutDraws(loader.sampler, seed, rank)
    else:
        shuffle = type(loader.sampler) is RandomSampler
        draws = EpochDraws(loader.dataset, size, loader.drop_last, shuffle, seed, num_replicas, rank)
    return DataLoader(
        SeededBatches(loader.dataset, loader.collate_fn, seed, is_batched=size is None),
        batch_size=None,
        sampler=draws,
        collate_fn=as_it_is,
        # a data loader draws the seeds of its workers: from the process's own state, if it has no generator
        generator=torch.Generator().manual_seed(seed),
        **loader_settings(loader),
    )


def as_it_is(batch: Any) -> Any:
    """The collate function of batches that are collated already."""
    return batch
