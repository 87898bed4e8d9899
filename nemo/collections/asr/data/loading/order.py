# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Batches that are a function of the seed, the epoch and the place in it, whatever process loads them."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

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

from nemo.utils.random_state import derive_seed, seeded


def can_be_ordered(loader: Any) -> bool:
    """True for samples with indices in torch's own order, shuffled or not, and for a Lhotse sampler over cuts."""
    if type(loader) is not DataLoader or isinstance(loader.dataset, IterableDataset):
        return False
    return has_indices(loader) or (loader.batch_size is None and isinstance(loader.sampler, CutSampler))


def has_indices(loader: Any) -> bool:
    """True for a data loader that makes batches of samples with indices in torch's own order."""
    if type(loader) is not DataLoader or type(loader.batch_sampler) is not BatchSampler:
        return False
    return type(loader.sampler) in (RandomSampler, SequentialSampler)


@dataclass(frozen=True)
class Draw:
    """One batch of an epoch: what seeds its loading, and its samples: indices, or Lhotse's cuts."""

    epoch: int
    rank: int
    batch: int
    samples: Any


class Placed(Sampler):
    """A sampler whose epochs may begin at a place."""

    epoch: int
    rank: int
    place: tuple[int, int] = (0, 0)  # epoch, and batches of it that are done

    def set_epoch(self, epoch: int) -> None:
        """Lightning's hook: the epoch that the next iteration is of."""
        self.epoch = epoch

    def start_at(self, epoch: int, batches: int) -> None:
        """Leaves out the first batches of one epoch, which were trained on before; no sample of them is loaded."""
        self.place = epoch, batches
        self.set_epoch(epoch)

    def _draws(self, batches: Iterable[Any]) -> Iterator[Draw]:
        """The batches of the epoch from its place on."""
        epoch, done = self.place
        skipped = done if epoch == self.epoch else 0
        for index, samples in enumerate(batches):
            if index >= skipped:
                yield Draw(self.epoch, self.rank, index, samples)


class EpochDraws(Placed, DistributedSampler):
    """The batches of an epoch on one rank, in an order that the seed and the epoch alone decide.

    The order is that of torch's `DistributedSampler`: Lightning leaves such a sampler alone, and tells it the epoch.

    Args:
        dataset: has a length
        batch_size: samples per batch and rank
        drop_last: whether a last smaller batch is left out
        shuffle: whether each epoch has another order
        seed: of the order
        ranks, rank: how many there are, and which of them this is
    """

    def __init__(
        self, dataset: Any, batch_size: int, drop_last: bool, shuffle: bool, seed: int, ranks: int = 1, rank: int = 0
    ):
        DistributedSampler.__init__(self, dataset, num_replicas=ranks, rank=rank, shuffle=shuffle, seed=seed)
        self.batch_size, self.drop_last_batch = batch_size, drop_last

    def __iter__(self) -> Iterator[Draw]:
        indices = list(DistributedSampler.__iter__(self))
        return self._draws(BatchSampler(indices, self.batch_size, self.drop_last_batch))

    def __len__(self) -> int:
        """Batches of a whole epoch."""
        whole, rest = divmod(self.num_samples, self.batch_size)
        return whole + (rest > 0 and not self.drop_last_batch)


class CutDraws(Placed):
    """The batches of a Lhotse sampler that runs in the main process, in an order that seed and epoch alone decide.

    A sampler that has a number as its seed keeps it. One that Lhotse would seed with what no other run has gets ours.
    """

    def __init__(self, sampler: CutSampler, seed: int, rank: int = 0):
        self.sampler, self.rank, self.epoch = sampler, rank, 0
        for each in (sampler, *getattr(sampler, "samplers", ())):
            if isinstance(each.seed, str):
                each.seed = seed

    def set_epoch(self, epoch: int) -> None:
        """See `Placed.set_epoch`."""
        super().set_epoch(epoch)
        self.sampler.set_epoch(epoch)

    def __iter__(self) -> Iterator[Draw]:
        return self._draws(self.sampler)


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


def as_it_is(batch: Any) -> Any:
    """The collate function of batches that are collated already."""
    return batch
