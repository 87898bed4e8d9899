# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""
The two speakers of the demo data: `speak(seconds, voice, rng)` says random words in one of ten voices.

EspeakSpeaker calls the program espeak-ng and says English words. BuiltinSpeaker uses formant_synthesizer.py, says
words of random phones, and knows when it says each of them.
"""

import math
import subprocess
import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile
from formant_synthesizer import CONSONANTS, PHONES, SAMPLE_RATE, SILENCE, VOWELS, random_voice, synthesize
from scipy.signal import resample_poly

TRAIN_VOICES = range(0, 8)
VALIDATION_VOICES = range(8, 10)
LEXICON_SIZE = 300  # words of the built-in synthesiser
PHONE_SECONDS = 0.1  # of an average phone in it
ESPEAK_VOICES = """
en-us+m1 en-us+f1 en-gb+m2 en-gb+f2 en-us+m3 en-us+f3 en-gb-scotland+m4 en-gb+f4 en-us+m7 en-gb-scotland+f5
""".split()
ESPEAK_WORDS = """
about animal answer apple beautiful before bird bridge brother build careful change cheese choose church country dark
daughter doctor door drink early evening eye farm father finger fish flower forest friend garden give glass green hand
happy heart history house island journey jump kitchen language laugh light machine measure mountain music never nothing
ocean orange people picture pleasure question quick rain ready river school season seven shoe simple sister small
smooth snow south spring stone story summer table teacher television think thousand through together travel tree usual
valley village visit voice water weather wheel window winter wonder word yellow yesterday young
""".split()


class Spoken(NamedTuple):
    """`samples` at 16 kHz, `text`, name of the `voice`; `phones` are (label, start, end), ... in seconds."""

    samples: np.ndarray
    text: str = ""
    voice: str | None = None
    phones: list[tuple[str, float, float]] | None = None


class BuiltinSpeaker:
    """Speaks random words of a lexicon that the seed has made, with the formant synthesiser."""

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng([seed, 0])
        n_voices = len(TRAIN_VOICES) + len(VALIDATION_VOICES)
        self.voices = [random_voice(rng, high=index % 2 == 1) for index in range(n_voices)]
        self.lexicon = [random_word(rng) for _ in range(LEXICON_SIZE)]

    def speak(self, seconds: float, voice: int, rng: np.random.Generator) -> Spoken:
        """Words, the first ones of the lexicon most often, in `seconds`, a short silence at each end among them."""
        n_phones = max(1, round(0.8 * seconds * self.voices[voice].rate / PHONE_SECONDS))
        weights = 1.0 / np.arange(10, LEXICON_SIZE + 10)
        words = rng.choice(LEXICON_SIZE, size=n_phones, p=weights / weights.sum())
        labels = [label for word in words for label in self.lexicon[word]][:n_phones]
        margin = min(0.15, 0.1 * seconds)
        lengths = np.array([PHONES[label].seconds for label in labels]) * rng.uniform(0.8, 1.2, n_phones)
        lengths *= (seconds - 2 * margin) / lengths.sum()
        labels, lengths = [SILENCE, *labels, SILENCE], np.pad(lengths, 1, constant_values=margin)
        samples, phones = synthesize(labels, lengths, self.voices[voice], rng)
        return Spoken(samples, " ".join(label for label in labels if label != SILENCE), f"builtin-{voice}", phones)


def random_word(rng: np.random.Generator) -> list[str]:
    """One to three syllables, some of them closed by a consonant; some words have a silence behind them."""
    vowels, consonants = list(VOWELS), list(CONSONANTS)
    word: list[str] = []
    for _ in range(rng.integers(1, 4)):
        word += [str(rng.choice(consonants)), str(rng.choice(vowels))]
        word += [str(rng.choice(consonants))] if rng.random() < 0.35 else []
    return word + ([SILENCE] if rng.random() < 0.15 else [])


class EspeakSpeaker:
    """Speaks random words of the built-in word list with espeak-ng."""

    def speak(self, seconds: float, voice: int, rng: np.random.Generator) -> Spoken:
        """As many words as fit into `seconds`; silence fills the rest; one word that is too long is faded out."""
        wanted = round(seconds * SAMPLE_RATE)
        words = rng.choice(ESPEAK_WORDS, size=math.ceil(5 * seconds)).tolist()
        samples = self._say(words, voice)
        while len(samples) > wanted and len(words) > 1:
            words = words[: max(1, min(len(words) - 1, int(len(words) * wanted / len(samples))))]
            samples = self._say(words, voice)
        return Spoken(fit_length(samples, wanted), " ".join(words), f"espeak-ng-{ESPEAK_VOICES[voice]}")

    def _say(self, words: list[str], voice: int) -> np.ndarray:
        """The words at 16 kHz, without the silence before and after them."""
        name = ESPEAK_VOICES[voice]
        speed, pitch = 145 + 5 * voice, 55 if "+f" in name else 40  # words a minute; from 0 to 99
        with tempfile.TemporaryDirectory() as folder:
            path = str(Path(folder) / "speech.wav")
            command = ["espeak-ng", "-v", name, "-s", str(speed), "-p", str(pitch), "-w", path, " ".join(words)]
            result = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
            if result.returncode != 0:
                raise RuntimeError(f"espeak-ng failed: {result.stderr.strip()}")
            samples, rate = soundfile.read(path)
        samples = resample_poly(samples, SAMPLE_RATE, rate)
        loud = np.flatnonzero(np.abs(samples) > 0.005)
        if not len(loud):
            raise RuntimeError(f"espeak-ng said nothing with the voice {name}")
        return samples[loud[0] : loud[-1] + 1]


def fit_length(samples: np.ndarray, length: int) -> np.ndarray:
    """Cut with a fade of 20 ms, or filled up with silence, to `length` samples."""
    if len(samples) <= length:
        return np.pad(samples, (0, length - len(samples)))
    fade = np.ones(length)
    fade[-SAMPLE_RATE // 50 :] = np.linspace(1.0, 0.0, SAMPLE_RATE // 50)
    return samples[:length] * fade
