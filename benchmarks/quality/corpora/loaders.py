# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""NeMo's data sets and batches of utterances of similar length."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile
import torch
from torch.nn.functional import pad
from torch.utils.data import DataLoader, Dataset

from benchmarks.quality.corpora import manifests
from benchmarks.quality.corpora.prepare import SAMPLE_RATE
from nemo.collections.asr.data.audio_to_text import AudioToCharDataset
from nemo.collections.asr.data.ssl_dataset import AudioNoiseDataset
from nemo.collections.asr.parts.utils.asr_batching import SemiSortBatchSampler
from nemo.core.classes import Serialization

SORTED_WITHIN = 0.1  # of the range of durations


@contextlib.contextmanager
def numpy_seed(*seed: int) -> Iterator[None]:
    """NumPy's global random numbers begin with this seed, and go on afterwards where they were."""
    state = np.random.get_state()
    np.random.seed(np.random.SeedSequence(seed).generate_state(1))
    try:
        yield
    finally:
        np.random.set_state(state)


class SeededBatches(SemiSortBatchSampler):
    """NeMo's batches of similar length; those of an epoch depend on the seed and the epoch alone."""

    def __iter__(self) -> Iterator[list[int]]:
        with numpy_seed(self.seed, self.epoch):
            batches = list(super().__iter__())
        self.epoch += 1
        yield from batches


def text_dataset(manifest: Path, labels: list[str]) -> AudioToCharDataset:
    """Audio and the indices of the text's labels."""
    return AudioToCharDataset(str(manifest), labels=labels, sample_rate=SAMPLE_RATE, normalize=False)


class NoisySpeech(AudioNoiseDataset):
    """NeMo's data set of clean audio and noise; the noise is kept in memory.

    NeMo itself reads a piece of noise again and again until its samples, added up in Python, have a positive sum: half
    a second for each utterance.

    Args:
        noise: a manifest of noise, or None for silence
        others: as of NeMo's class
    """

    def __init__(self, noise: Path | None, **others):
        super().__init__(noise_manifest=None, **others)
        paths = [entry["audio_filepath"] for entry in manifests.read(noise)] if noise else []
        self._noise = [torch.from_numpy(soundfile.read(path, dtype="float32")[0]) for path in paths]

    def __getitem__(self, index: int):
        """An utterance with a random piece of random noise."""
        item = super().__getitem__(index)
        if self._noise:
            length = int(item.audio_len)
            noise = self._noise[np.random.randint(len(self._noise))]
            start = np.random.randint(max(0, len(noise) - length) + 1)
            noise = noise[start : start + length]
            item.noise, item.noise_len = pad(noise, (0, length - len(noise))), torch.tensor(len(noise))
        return item


def speech_dataset(manifest: Path, noisy: bool, noise: Path | None = None, augmentor=None) -> Dataset:
    """Audio for pretraining.

    Args:
        manifest: pieces of speech
        noisy: whether batches hold clean and noisy audio, as the denoising model wants it
        noise: a manifest of noise; without it, the noisy audio is the clean one
        augmentor: config of what mixes the two
    """
    if not noisy:
        return AudioToCharDataset(str(manifest), labels=[" "], sample_rate=SAMPLE_RATE, normalize=False, bos_id=0)
    return NoisySpeech(
        noise,
        batch_augmentor=Serialization.from_config_dict(augmentor) if augmentor else None,
        min_audio_len_secs=0.0,
        manifest_filepath=str(manifest),
        labels=[" "],
        sample_rate=SAMPLE_RATE,
        normalize=False,
    )


def training_loader(dataset: Dataset, batch_size: int, seed: int, num_workers: int) -> DataLoader:
    """Batches of similar length, in an order that comes from the seed alone."""
    durations = [sample.duration for sample in dataset.manifest_processor.collection]
    batches = SeededBatches(
        0, 1, durations, min(batch_size, len(durations)), drop_last=True, randomization_factor=SORTED_WITHIN, seed=seed
    )
    return loader(dataset, num_workers, batch_sampler=batches)


def test_loader(dataset: Dataset, batch_size: int, num_workers: int) -> DataLoader:
    """Batches in the manifest's order."""
    return loader(dataset, num_workers, batch_size=batch_size)


def loader(dataset: Dataset, num_workers: int, **others) -> DataLoader:
    """A loader of the data set's own batches."""
    return DataLoader(
        dataset, collate_fn=dataset._collate_fn, num_workers=num_workers, persistent_workers=num_workers > 0, **others
    )
