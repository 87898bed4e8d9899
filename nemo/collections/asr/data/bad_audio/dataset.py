# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""A map-style dataset of NeMo's that says which of its utterances are bad, and batches without them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils.data import Dataset

from nemo.collections.asr.data.audio_to_text import _AudioTextDataset
from nemo.collections.asr.data.bad_audio.noise import CheckedNoise
from nemo.collections.asr.data.bad_audio.report import BadAudioError, BadAudioReport
from nemo.collections.asr.data.ssl_dataset import AudioNoiseBatch, AudioNoiseDataset, AudioNoiseItem
from nemo.collections.asr.parts.manifests import describe_entry, lacking_program
from nemo.collections.asr.parts.preprocessing.features import WaveformFeaturizer

MOST_IN_A_ROW = 200  # bad utterances


class CheckedItem(NamedTuple):
    """An utterance as NeMo's dataset gives it, None if it is bad; what was bad about it and its noise; its index."""

    item: Any
    utterances: Sequence[str] = ()
    noise: Sequence[str] = ()
    draws: int = 0  # of noise
    index: int = 0


@dataclass
class CheckedNoiseBatch(AudioNoiseBatch):
    """NeMo's batch, and what was left out of it."""

    bad_audio: BadAudioReport | None = None


class CheckedFeaturizer(WaveformFeaturizer):
    """A featurizer that raises a ValueError for samples that nothing can be learned from."""

    def __init__(self, featurizer: WaveformFeaturizer):
        super().__init__(featurizer.sample_rate, featurizer.int_values, featurizer.augmentor)
        self.featurizer = featurizer

    def process(self, *args, **kwargs) -> Tensor:
        """The samples of a file, (T,)."""
        audio = self.featurizer.process(*args, **kwargs)
        if audio.size(0) == 0:
            raise ValueError("it has no samples")
        if audio.dim() != 1:
            raise ValueError(f"it has {audio.size(1)} channels, and `channel_selector` is not set")
        if not torch.isfinite(audio).all():
            raise ValueError("it has NaN or infinite samples")
        return audio


class CheckedDataset(Dataset):
    """A dataset of NeMo's whose bad utterances are errors that name them, or are left out and reported.

    Args:
        dataset: `AudioToCharDataset`, `AudioToBPEDataset`, `AudioNoiseDataset` or a subclass; its featurizer is
            replaced
        collate_fn: what makes a batch of the dataset's items
        skip: leave bad utterances out, rather than raise
        manifests: paths that the dataset was read from
        noise_manifests: the same for its noise
        fills: for models that know nothing of all this: a batch without any good utterance takes the next good one of
            the dataset, and is a list, of which the report can be taken
    """

    def __init__(
        self,
        dataset: _AudioTextDataset,
        collate_fn: Callable,
        skip: bool,
        manifests: list[str],
        noise_manifests: list[str],
        fills: bool = False,
    ):
        self.dataset, self.skip, self.manifests, self.noise_manifests = dataset, skip, manifests, noise_manifests
        self._collate, self._fills = collate_fn, fills
        dataset.featurizer = CheckedFeaturizer(dataset.featurizer)
        self._noise: CheckedNoise | None = None
        if isinstance(dataset, AudioNoiseDataset):
            self._entries, dataset.noise_data = dataset.noise_data, []  # drawn here, not there
            self._noise = CheckedNoise(self._entries, dataset.featurizer.sample_rate, self._describe_noise)

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
            bad = self._describe(index, error)
            if not self.skip or self._is_whole_kind(index, error):
                raise BadAudioError(bad) from error
            return CheckedItem(None, utterances=[bad], index=index)
        if self._noise is None:
            return CheckedItem(item, index=index)
        item.noise, item.noise_len, bad = self._noise.draw(item.audio_len.item())
        if bad and not self.skip:
            raise BadAudioError(bad[0])
        return CheckedItem(item, noise=bad, draws=self._noise.draws(bad), index=index)

    def _is_whole_kind(self, index: int, error: Exception) -> bool:
        files = self.dataset.manifest_processor.collection[index].audio_file
        return bool(lacking_program(files[0] if isinstance(files, list) else files, error))

    def _describe(self, index: int, error: Exception) -> str:
        sample = self.dataset.manifest_processor.collection[index]
        selector = self.dataset.channel_selector
        return describe_entry("manifest_filepath", self.manifests, sample.id, sample._asdict(), error, selector)

    def _describe_noise(self, position: int, error: Exception) -> str:
        return describe_entry("noise_manifest", self.noise_manifests, position, self._entries[position], error)

    def collate_fn(self, batch: list[CheckedItem]) -> Any:
        """NeMo's batch of the good utterances, with a report of the others; of length 0 if there are no good ones.

        For `AudioNoiseDataset` it is a `CheckedNoiseBatch`, otherwise NeMo's tuple with the report as its last item.
        """
        good = [checked.item for checked in batch if checked.item is not None]
        utterances, noise = ([text for checked in batch for text in checked[kind]] for kind in (1, 2))
        if not good and self._fills:
            good = [self._next_good(batch[-1].index, utterances[-1])]
        draws = sum(checked.draws for checked in batch)
        report = BadAudioReport(utterances, noise, not good, utterances_read=len(batch), noise_read=draws)
        collated = self._collate(good) if good else self._empty()
        if isinstance(collated, (tuple, list)):
            return [*collated, report] if self._fills else (*collated, report)
        if type(collated) is AudioNoiseBatch:
            return CheckedNoiseBatch(**vars(collated), bad_audio=report)
        collated.bad_audio = report  # a batch of a fork's own
        return collated

    def _next_good(self, index: int, bad: str) -> Any:
        """The next good utterance behind one that is bad."""
        for step in range(1, min(len(self), MOST_IN_A_ROW)):
            checked = self[(index + step) % len(self)]
            if checked.item is not None:
                return checked.item
        raise BadAudioError(f"no utterance from this one on can be used: {bad}")

    def _empty(self) -> Any:
        """A batch of one utterance without a valid sample: a second of silence, so that shapes are usual ones."""
        samples = torch.zeros(self.dataset.featurizer.sample_rate)
        length = torch.tensor(len(samples))
        if self._noise is not None:
            collated = self._collate([AudioNoiseItem(None, samples, length, samples.clone(), length)])
            lengths = (collated.audio_len, collated.noise_len, collated.noisy_audio_len)
        else:
            collated = self._collate([(samples, length, torch.zeros(0, dtype=torch.long), torch.tensor(0))])
            lengths = (collated[1],)
        for tensor in lengths:
            tensor.zero_()
        return collated
