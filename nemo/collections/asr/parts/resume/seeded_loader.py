# Copyright (c) 2026, the streaming-ssl authors.
#
# Licensed under the Apache License, Version 2.0 (the "License");
# you may not use this file except in compliance with the License.
# You may obtain a copy of the License at
#
#     http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS,
# WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
# See the License for the specific language governing permissions and
# limitations under the License.

"""A data loader whose batches are a function of the seed, the epoch and the place in it, whatever loads them."""

from dataclasses import dataclass
from typing import Any, Iterator, List, Sequence, Tuple

import torch
from torch.utils.data import BatchSampler, DataLoader, Dataset, RandomSampler, SequentialSampler
from torch.utils.data.distributed import DistributedSampler

from nemo.collections.asr.parts.resume.random_state import derive_seed, seeded

# what a new data loader takes over from the one that it is made of
TAKEN_OVER = (
    "num_workers",
    "pin_memory",
    "timeout",
    "worker_init_fn",
    "multiprocessing_context",
    "persistent_workers",
)


@dataclass(frozen=True)
class Draw:
    """One batch of an epoch: what seeds its loading, and the indices of its samples."""

    epoch: int
    rank: int
    batch: int
    samples: Sequence[int]


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

    def __init__(self, dataset, batch_size: int, drop_last: bool, shuffle: bool, seed: int, num_replicas=1, rank=0):
        super().__init__(dataset, num_replicas=num_replicas, rank=rank, shuffle=shuffle, seed=seed)
        self.batch_size, self.drop_last_batch = batch_size, drop_last
        self.place: Tuple[int, int] = (0, 0)

    def start_at(self, epoch: int, batches: int) -> None:
        """Leaves out the first batches of one epoch, which were trained on before; no sample of them is loaded."""
        self.place = epoch, batches
        self.set_epoch(epoch)

    def __iter__(self) -> Iterator[Draw]:
        epoch, done = self.place
        skipped = done if epoch == self.epoch else 0
        batches = BatchSampler(list(super().__iter__()), self.batch_size, self.drop_last_batch)
        for index, samples in enumerate(batches):
            if index >= skipped:
                yield Draw(self.epoch, self.rank, index, samples)

    def __len__(self) -> int:
        """Batches of a whole epoch."""
        whole, rest = divmod(self.num_samples, self.batch_size)
        return whole + (rest > 0 and not self.drop_last_batch)


class SeededBatches(Dataset):
    """Loads whole batches, seeded with the seed, the epoch, the rank and the batch.

    So noise and augmentation are the same in any process, with any number of them, and draw nothing from the random
    states that masks and dropout are drawn from. Everything else is asked of the dataset itself.
    """

    def __init__(self, dataset: Dataset, collate_fn, seed: int):
        self.dataset, self.collate_fn, self.seed = dataset, collate_fn, seed

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, draw: Draw) -> Any:
        with seeded(derive_seed(self.seed, draw.epoch, draw.rank, draw.batch)):
            return self.collate_fn(self._samples(draw.samples))

    def __getattr__(self, name: str) -> Any:
        if name == "dataset":  # not yet there while it is unpickled
            raise AttributeError(name)
        return getattr(self.dataset, name)

    def _samples(self, indices: Sequence[int]) -> List[Any]:
        if hasattr(self.dataset, "__getitems__"):
            return self.dataset.__getitems__(indices)
        return [self.dataset[index] for index in indices]


def can_be_seeded(loader: Any) -> bool:
    """True for a data loader over samples with indices, in torch's own order, shuffled or not."""
    if type(loader) is not DataLoader or loader.batch_sampler is None:
        return False
    if type(loader.batch_sampler) is not BatchSampler:
        return False
    return type(loader.sampler) in (RandomSampler, SequentialSampler)


def seeded_loader(loader: DataLoader, seed: int, num_replicas: int = 1, rank: int = 0) -> DataLoader:
    """The same data loader with `EpochDraws` and `SeededBatches`; `can_be_seeded` must hold for it."""
    dataset = loader.dataset
    shuffle = type(loader.sampler) is RandomSampler
    draws = EpochDraws(dataset, loader.batch_size, loader.drop_last, shuffle, seed, num_replicas, rank)
    options = {name: getattr(loader, name) for name in TAKEN_OVER}
    if loader.num_workers > 0:
        options["prefetch_factor"] = loader.prefetch_factor
    return DataLoader(
        SeededBatches(dataset, loader.collate_fn, seed),
        batch_size=None,
        sampler=draws,
        collate_fn=as_it_is,
        # a data loader draws the seeds of its workers: from the process's own state, if it has no generator
        generator=torch.Generator().manual_seed(seed),
        **options,
    )


def as_it_is(batch: Any) -> Any:
    """The collate function of batches that are collated already."""
    return batch
