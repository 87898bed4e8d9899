# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""A map-style dataset of NeMo's that says which of its utterances are bad, and which noise.

NeMo's `sample_noise` draws again after an error, with a warning in a worker process, and after twenty it returns
silence. It takes what has no samples as silence at once, and NaN samples as noise.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from nemo.collections.asr.data.audio_to_text import _AudioTextDataset
from nemo.collections.asr.data.loading.bad_audio_log import BadAudioError
from nemo.collections.asr.data.ssl_dataset import AudioNoiseDataset, AudioNoiseItem, load_noise_audio
from nemo.collections.asr.parts.manifests import describe_entry, lacking_program
from nemo.collections.asr.parts.preprocessing.features import WaveformFeaturizer

MOST_IN_A_ROW = 200  # bad utterances
TRIALS = 20  # of noise, NeMo's


@dataclass(frozen=True)
class CheckedItem:
    """An utterance as NeMo's dataset gives it, None if it is bad; what was bad about it and its noise; its index."""

    item: Any
    bad_utterances: Sequence[str] = ()
    bad_noise: Sequence[str] = ()
    draws: int = 0  # of noise
    index: int = 0


class CheckedFeaturizer(WaveformFeaturizer):
    """A featurizer that raises a ValueError for samples that nothing can be learned from."""

    def __init__(self, featurizer: WaveformFeaturizer):
        super().__init__(featurizer.sample_rate, featurizer.int_values, featurizer.augmentor)
        self.featurizer = featurizer

    def process(self, *args: Any, **kwargs: Any) -> Tensor:
        """The samples of a file, (T,)."""
        audio = self.featurizer.process(*args, **kwargs)
        if audio.dim() != 1 and audio.size(0):
            raise ValueError(f"it has {audio.size(1)} channels, and `channel_selector` is not set")
        _check_samples(audio, audio.size(0))
        return audio


class CheckedDataset(Dataset):
    """A dataset of NeMo's whose bad utterances are errors that name them, or are marked as such.

    Args:
        dataset: `AudioToCharDataset`, `AudioToBPEDataset`, `AudioNoiseDataset` or a subclass; its featurizer is
            replaced
        skip: mark bad utterances, rather than raise
        manifests: paths that the dataset was read from
        noise_manifests: the same for its noise
    """

    def __init__(self, dataset: _AudioTextDataset, skip: bool, manifests: list[str], noise_manifests: list[str]):
        self.dataset, self.skip, self.manifests = dataset, skip, manifests
        dataset.featurizer = CheckedFeaturizer(dataset.featurizer)
        self._noise: CheckedNoise | None = None
        if isinstance(dataset, AudioNoiseDataset):
            self._noise = CheckedNoise(dataset.noise_data, dataset.featurizer.sample_rate, noise_manifests)
            dataset.noise_data = []  # drawn here, not there

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> CheckedItem:
        """One item, or what is wrong with it.

        Raises:
            BadAudioError: the utterance or its noise cannot be used, and is not skipped; or what reads such files is
                not installed, which is no matter of single ones
        """
        try:
            item = self.dataset[index]
        except Exception as error:  # as many types as there are decoders
            return CheckedItem(None, [self._describe(index, error)], index=index)
        if self._noise is None:
            return CheckedItem(item, index=index)
        item.noise, item.noise_len, bad = self._noise.draw(item.audio_len.item())
        if bad and not self.skip:
            raise BadAudioError(bad[0])
        return CheckedItem(item, bad_noise=bad, draws=self._noise.draws(bad), index=index)

    def _describe(self, index: int, error: Exception) -> str:
        """Says what is wrong with an utterance, or raises it."""
        entry = self.dataset.manifest_processor.collection[index]
        selector = self.dataset.channel_selector
        text = describe_entry("manifest_filepath", self.manifests, entry.id, entry._asdict(), error, selector)
        file = entry.audio_file[0] if isinstance(entry.audio_file, list) else entry.audio_file
        if not self.skip or lacking_program(file, error):
            raise BadAudioError(text) from error
        return text

    def next_good(self, bad: CheckedItem) -> Any:
        """The next good utterance behind one that is bad."""
        for step in range(1, min(len(self), MOST_IN_A_ROW)):
            checked = self[(bad.index + step) % len(self)]
            if checked.item is not None:
                return checked.item
        raise BadAudioError(f"no utterance from this one on can be used: {bad.bad_utterances[-1]}")

    def empty_batch(self, collate: Callable) -> Any:
        """A batch of one utterance without a valid sample: a second of silence, so that shapes are usual ones."""
        samples = torch.zeros(self.dataset.featurizer.sample_rate)
        length = torch.tensor(len(samples))
        if self._noise is not None:
            collated = collate([AudioNoiseItem(None, samples, length, samples.clone(), length)])
            lengths = [collated.audio_len, collated.noise_len, collated.noisy_audio_len]
        else:
            collated = collate([(samples, length, torch.zeros(0, dtype=torch.long), torch.tensor(0))])
            lengths = [collated[1]]
        for tensor in lengths:
            tensor.zero_()
        return collated


class CheckedNoise:
    """Noise of a dataset, drawn as NeMo draws it.

    Args:
        entries: what `AudioNoiseDataset` has read of its manifests
        sample_rate: of the noise that is returned, Hz
        manifests: paths that the entries were read from
    """

    def __init__(self, entries: Sequence[dict], sample_rate: int, manifests: list[str]):
        self.entries, self.sample_rate, self.manifests = entries, sample_rate, manifests

    def draw(self, length: int) -> tuple[Tensor, Tensor, list[str]]:
        """Noise of `length` samples, silence if none can be read; its valid samples; and what could not be used.

        Raises:
            BadAudioError: what reads such files is not installed
        """
        bad: list[str] = []
        while self.entries and len(bad) < TRIALS:
            position = np.random.randint(len(self.entries))
            try:
                return *self._load(position, length), bad
            except Exception as error:  # as many types as there are decoders
                entry = self.entries[position]
                bad.append(describe_entry("noise_manifest", self.manifests, position, entry, error))
                if lacking_program(str(entry["audio_filepath"]), error):
                    raise BadAudioError(bad[-1]) from error
        return torch.zeros(length), torch.tensor(length), bad

    def draws(self, bad: Sequence[str]) -> int:
        """How often noise was drawn for an utterance, of which these could not be used."""
        return 0 if not self.entries else min(len(bad) + 1, TRIALS)

    def _load(self, position: int, length: int) -> tuple[Tensor, Tensor]:
        noise, noise_len = load_noise_audio(self._piece(position, length), self.sample_rate, length)
        _check_samples(noise, noise_len)
        return noise, noise_len

    def _piece(self, position: int, length: int) -> dict:
        """A random piece of an entry, as long as the utterance; all of an entry that is not longer.

        NeMo itself takes a piece whose samples add up to less than zero for silence, and reads up to a hundred.
        """
        entry, seconds = self.entries[position], length / self.sample_rate
        duration = entry.get("duration")
        if duration is None or duration <= seconds:
            return entry
        offset = (entry.get("offset") or 0.0) + np.random.uniform(0, duration - seconds)
        return {**entry, "offset": offset, "duration": seconds}


def _check_samples(audio: Tensor, length: int | Tensor) -> None:
    if length == 0:
        raise ValueError("it has no samples")
    if not torch.isfinite(audio).all():
        raise ValueError("it has NaN or infinite samples")
