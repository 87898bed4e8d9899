# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Drawing noise as NeMo does, and saying what could not be used.

NeMo's `sample_noise` draws again after an error, with a warning in a worker process, and after twenty it returns
silence. It takes what has no samples as silence at once, and NaN samples as noise.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from nemo.collections.asr.data.bad_audio.report import BadAudioError
from nemo.collections.asr.data.ssl_dataset import load_noise_audio
from nemo.collections.asr.parts.manifests import lacking_program

TRIALS = 20  # NeMo's


class CheckedNoise:
    """Noise of a dataset.

    Args:
        entries: what `AudioNoiseDataset` has read of its manifests
        sample_rate: of the noise that is returned, Hz
        describe: text of a bad entry, from its position and the error
    """

    def __init__(self, entries: Sequence[dict], sample_rate: int, describe: Callable[[int, Exception], str]):
        self.entries, self.sample_rate, self.describe = entries, sample_rate, describe

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
                bad.append(self.describe(position, error))
                if lacking_program(str(self.entries[position]["audio_filepath"]), error):
                    raise BadAudioError(bad[-1]) from error
        return torch.zeros(length), torch.tensor(length), bad

    def draws(self, bad: Sequence[str]) -> int:
        """How often noise was drawn for an utterance, of which these could not be used."""
        return 0 if not self.entries else min(len(bad) + 1, TRIALS)

    def _load(self, position: int, length: int) -> tuple[Tensor, Tensor]:
        noise, noise_len = load_noise_audio(self._piece(position, length), self.sample_rate, length)
        if noise_len == 0:
            raise ValueError("it has no samples")
        if not torch.isfinite(noise).all():
            raise ValueError("it has NaN or infinite samples")
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
