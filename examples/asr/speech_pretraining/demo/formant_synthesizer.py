# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""
Speech-like audio of any phones, with the time of each.

A voice, which is a sawtooth of falling pitch, goes through the resonances of a mouth, the formants, and these glide
from phone to phone. Noise in a band of its own makes the consonants. Vowel formants are the averages for men of
G. Peterson & H. Barney, "Control methods used in a study of the vowels", JASA 24 (1952).
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.signal import istft, sawtooth, stft

SAMPLE_RATE = 16000  # Hz
HOP = 160  # samples of a frame: 10 ms
WINDOW = {"fs": SAMPLE_RATE, "nperseg": 4 * HOP, "noverlap": 3 * HOP}  # in which audio is filtered: 40 ms
FREQUENCIES = np.fft.rfftfreq(4 * HOP, 1 / SAMPLE_RATE)  # Hz
SILENCE = "sil"
HIGH_FORMANTS = (3500, 4500, 5500, 6500, 7500)  # Hz, the same for all phones


class Phone(NamedTuple):
    """What one phone is: its usual length, formants in Hz, levels of voice and noise, the noise's band in Hz."""

    seconds: float
    formants: tuple[float, float, float]
    voice: float = 0.0
    noise: float = 0.0
    centre: float = 4000.0
    width: float = 4000.0
    closed: float = 0.0  # share of the phone before its noise begins


class Voice(NamedTuple):
    """A speaker: mean pitch in Hz, formants relative to an average man's, speed relative to the usual lengths."""

    pitch: float
    formants: float = 1.0
    rate: float = 1.0


VOWELS = {
    "iy": Phone(0.13, (270, 2290, 3010), voice=1.0),
    "ih": Phone(0.13, (390, 1990, 2550), voice=1.0),
    "eh": Phone(0.13, (530, 1840, 2480), voice=1.0),
    "ae": Phone(0.13, (660, 1720, 2410), voice=1.0),
    "aa": Phone(0.13, (730, 1090, 2440), voice=1.0),
    "ao": Phone(0.13, (570, 840, 2410), voice=1.0),
    "uw": Phone(0.13, (300, 870, 2240), voice=1.0),
    "er": Phone(0.13, (490, 1350, 1690), voice=1.0),
}
CONSONANTS = {
    "w": Phone(0.07, (290, 610, 2150), voice=0.6),
    "y": Phone(0.07, (260, 2070, 3020), voice=0.6),
    "r": Phone(0.07, (310, 1060, 1380), voice=0.6),
    "l": Phone(0.07, (310, 1050, 2880), voice=0.6),
    "m": Phone(0.08, (270, 1000, 2300), voice=0.4),
    "n": Phone(0.08, (270, 1500, 2300), voice=0.4),
    "s": Phone(0.11, (300, 1700, 2500), noise=0.5, centre=5800, width=1200),
    "sh": Phone(0.11, (300, 1900, 2500), noise=0.5, centre=3000, width=1000),
    "f": Phone(0.11, (300, 1100, 2500), noise=0.2, centre=4500, width=7000),
    "z": Phone(0.07, (300, 1700, 2500), voice=0.25, noise=0.3, centre=5800, width=1200),
    "v": Phone(0.07, (300, 1100, 2500), voice=0.25, noise=0.1, centre=4500, width=7000),
    "p": Phone(0.09, (220, 800, 2200), noise=0.6, centre=900, width=900, closed=0.6),
    "t": Phone(0.09, (220, 1800, 2700), noise=0.6, centre=4500, width=2500, closed=0.6),
    "k": Phone(0.09, (220, 2000, 2300), noise=0.6, centre=2000, width=700, closed=0.6),
    "b": Phone(0.07, (220, 800, 2200), voice=0.1, noise=0.6, centre=900, width=900, closed=0.8),
    "d": Phone(0.07, (220, 1800, 2700), voice=0.1, noise=0.6, centre=4500, width=2500, closed=0.8),
    "g": Phone(0.07, (220, 2000, 2300), voice=0.1, noise=0.6, centre=2000, width=700, closed=0.8),
}
PHONES = {SILENCE: Phone(0.15, (500, 1500, 2500)), **VOWELS, **CONSONANTS}


def random_voice(rng: np.random.Generator, high: bool) -> Voice:
    """A speaker with a high voice and a short vocal tract, or with a low voice and a long one."""
    pitch, formants = (rng.uniform(170, 240), rng.uniform(1.1, 1.2)) if high else (rng.uniform(90, 140), 1.0)
    return Voice(pitch, formants * rng.uniform(0.95, 1.05), rng.uniform(0.85, 1.2))


def resonance(centre: np.ndarray, width: np.ndarray) -> np.ndarray:
    """Complex gain of a resonance at each of FREQUENCIES, (frames, frequencies): 1 at 0 Hz."""
    centre, width = centre[:, None], width[:, None]
    return centre**2 / (centre**2 - FREQUENCIES**2 + 1j * width * FREQUENCIES)


def filtered(source: np.ndarray, gain: np.ndarray) -> np.ndarray:
    """The source (N,), each of its N / HOP + 1 overlapping windows with a gain (frequencies) of its own."""
    return istft(stft(source, **WINDOW)[2] * gain.T, **WINDOW)[1][: len(source)]


def voiced_part(phones: Sequence[Phone], ends: np.ndarray, voice: Voice, rng: np.random.Generator) -> np.ndarray:
    """The voice. Formants stay for the middle of each phone, some 3 % beside their values, and glide in between."""
    frames = np.diff(ends, prepend=0)
    steady = np.stack([ends - 0.7 * frames, ends - 0.3 * frames], axis=1).ravel()
    wanted = voice.formants * np.array([(*phone.formants, *HIGH_FORMANTS) for phone in phones])
    wanted *= rng.normal(1.0, 0.03, wanted.shape)
    gain = np.ones(())
    for column in wanted.T:
        formant = np.interp(np.arange(ends[-1] + 1), steady, np.repeat(column, 2))
        gain = gain * resonance(formant, 50 + formant / 20)
    seconds = np.arange(ends[-1] * HOP) / SAMPLE_RATE
    accents = 0.08 * np.sin(2 * np.pi * (rng.uniform(0.5, 1.5) * seconds + rng.random()))
    pitch = voice.pitch * (np.linspace(1.1, 0.9, len(seconds)) + accents)
    source = sawtooth(2 * np.pi * np.cumsum(pitch) / SAMPLE_RATE) + 0.1 * rng.standard_normal(len(pitch))
    samples = filtered(source * levels([phone.voice for phone in phones], ends), gain)
    return samples / (np.std(samples) or 1.0)


def noise_part(phones: Sequence[Phone], ends: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The noise of consonants, each in its band."""
    starts = np.append(0, ends[:-1])
    closed = np.array([phone.closed for phone in phones])
    begins = np.rint(starts + closed * (ends - starts)).astype(int)
    borders = np.stack([begins, ends], axis=1).ravel()
    source = rng.standard_normal(ends[-1] * HOP)
    source *= levels([level for phone in phones for level in (0.0, phone.noise)], borders)
    which = np.repeat(np.arange(len(phones)), np.diff(ends, prepend=0))
    which = np.append(which, which[-1])
    centre, width = (np.array([getattr(phone, name) for phone in phones])[which] for name in ("centre", "width"))
    band = resonance(centre, width) * 1j * FREQUENCIES * (width / centre**2)[:, None]
    return filtered(source, band**2)


def levels(values: Sequence[float], ends: np.ndarray) -> np.ndarray:
    """One level per sample from one for each stretch that ends at `ends`, in frames; steps last 10 ms."""
    window = np.hanning(HOP) / np.hanning(HOP).sum()
    return np.convolve(np.repeat(values, np.diff(ends, prepend=0) * HOP), window, mode="same")


def synthesize(
    labels: Sequence[str], seconds: Sequence[float], voice: Voice, rng: np.random.Generator
) -> tuple[np.ndarray, list[tuple[str, float, float]]]:
    """
    Speaks the phones `labels`, keys of PHONES, each for so many `seconds` (rounded to 10 ms).

    Returns:
        16 kHz samples of shape (N,), not levelled, and (label, start, end) of every phone, in seconds without gaps.
    """
    ends = np.rint(np.cumsum(seconds) * SAMPLE_RATE / HOP).astype(int)
    phones = [PHONES[label] for label in labels]
    samples = voiced_part(phones, ends, voice, rng) + noise_part(phones, ends, rng)
    times = np.round(ends * HOP / SAMPLE_RATE, 3).tolist()
    return samples, list(zip(labels, [0.0, *times[:-1]], times))
