# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""The noises of the demo data: coloured noise, babble of several voices, and mains hum with clicks."""

from typing import Any

import numpy as np
from demo_speakers import TRAIN_VOICES, fit_length
from formant_synthesizer import SAMPLE_RATE

NOISES = ('white', 'pink', 'brown', 'babble_0', 'babble_1', 'hum_and_clicks')


def coloured_noise(length: int, exponent: float, rng: np.random.Generator) -> np.ndarray:
    """Noise whose power falls with frequency to the power of `exponent`, above 20 Hz: 0 white, 1 pink, 2 brown."""
    frequencies = np.fft.rfftfreq(length, 1.0 / SAMPLE_RATE)
    shape = np.where(frequencies < 20.0, 0.0, np.maximum(frequencies, 20.0) ** (-exponent / 2.0))
    return np.fft.irfft(np.fft.rfft(rng.standard_normal(length)) * shape, length)


def babble(length: int, speaker: Any, rng: np.random.Generator) -> np.ndarray:
    """Four voices at the same time, each at its own level."""
    voices = rng.choice(len(TRAIN_VOICES), size=4, replace=False)
    spoken = [speaker.speak(length / SAMPLE_RATE, int(voice), rng).samples for voice in voices]
    return sum(rng.uniform(0.6, 1.4) * fit_length(samples, length) / np.std(samples) for samples in spoken)


def hum_and_clicks(length: int, rng: np.random.Generator) -> np.ndarray:
    """The hum of a 50 Hz mains with its harmonics, and about three short clicks a second."""
    seconds = np.arange(length) / SAMPLE_RATE
    hum = sum(np.sin(2 * np.pi * (50 * n * seconds + rng.random())) / n for n in range(1, 9))
    impulses = rng.normal(0.0, 2.0, length) * (rng.random(length) < 3.0 / SAMPLE_RATE)
    return hum + np.convolve(impulses, np.exp(-np.arange(160) / 20.0) * rng.standard_normal(160))[:length]


def make_noise(kind: str, speaker: Any, rng: np.random.Generator) -> np.ndarray:
    """5 to 10 s of one kind of noise."""
    length = int(rng.uniform(5.0, 10.0) * SAMPLE_RATE)
    if kind.startswith('babble'):
        return babble(length, speaker, rng)
    if kind == 'hum_and_clicks':
        return hum_and_clicks(length, rng)
    return coloured_noise(length, {'white': 0.0, 'pink': 1.0, 'brown': 2.0}[kind], rng)
