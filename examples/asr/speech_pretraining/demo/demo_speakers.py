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
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from formant_synthesizer import SAMPLE_RATE, SILENCE, random_voice, random_word, speak_randomly
from scipy.signal import resample_poly

TRAIN_VOICES = range(0, 8)
VALIDATION_VOICES = range(8, 10)
LEXICON_SIZE = 300  # words of the built-in synthesiser
ESPEAK_VOICES = (  # voice, words per minute, pitch (0 to 99)
    ("en-us+m1", 160, 40),
    ("en-us+f1", 170, 55),
    ("en-gb+m2", 150, 45),
    ("en-gb+f2", 180, 60),
    ("en-us+m3", 185, 35),
    ("en-us+f3", 155, 50),
    ("en-gb-scotland+m4", 165, 50),
    ("en-gb+f4", 145, 65),
    ("en-us+m7", 170, 45),
    ("en-gb-scotland+f5", 160, 55),
)
ESPEAK_WORDS = """
about above across after again air all along always animal answer any apple around ask away back ball bank bear
beautiful because been before begin behind believe below best better between big bird black blue boat body book both
bottom bread bridge bring brother brown build busy buy call car careful carry cat center change cheese child choose
church circle city clean clear close cloud coat cold color come corner could country course cross dark daughter day
deep different doctor door down dream drink drive early earth east easy eight engine enough evening every example eye
face fall family farm father few field finger fire fish five floor flower follow food forest four fresh friend garden
give glass go gold good grass great green ground grow hand happy hard head hear heart heavy help high hill history
horse hour house hundred idea island join journey jump just keep kitchen know lady large laugh leaf learn leave light
listen little long lunch machine measure meet middle milk minute money month morning mother mountain music name nature
near never new night nose nothing number ocean often old open orange other over paper people picture place plant please
pleasure question quick quiet rain reach read ready red remember rice river road rock room round school season second
seven shape sharp ship shoe short should show simple sister sleep slow small smooth snow soft song south speak spring
stand star start station stone story street strong summer sun sure table teacher television ten that think thousand
three through time today together town train travel tree under usual valley very village visit voice walk warm watch
water weather week west wheel where white wide wild wind window winter wonder wood word work world write year yellow
yesterday young
""".split()


@dataclass(frozen=True)
class Spoken:
    """`samples` at 16 kHz, `text`, name of the `voice`; `phones` are [[label, start, end], ...] in seconds."""

    samples: np.ndarray
    text: str
    voice: str
    phones: list[list[Any]] | None = None


class BuiltinSpeaker:
    """Speaks random words of a lexicon that the seed has made, with the formant synthesiser."""

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng([seed, 0])
        n_voices = len(TRAIN_VOICES) + len(VALIDATION_VOICES)
        self.voices = [random_voice(rng, high=index % 2 == 1) for index in range(n_voices)]
        self.lexicon = [random_word(rng) for _ in range(LEXICON_SIZE)]

    def speak(self, seconds: float, voice: int, rng: np.random.Generator) -> Spoken:
        utterance = speak_randomly(self.lexicon, seconds, self.voices[voice], rng)
        text = " ".join(label for label, _, _ in utterance.phones if label != SILENCE)
        return Spoken(utterance.samples, text, f"builtin-{voice}", [list(phone) for phone in utterance.phones])


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
        return Spoken(fit_length(samples, wanted), " ".join(words), f"espeak-ng-{ESPEAK_VOICES[voice][0]}")

    def _say(self, words: Sequence[str], voice: int) -> np.ndarray:
        """The words at 16 kHz, without the silence before and after them."""
        name, speed, pitch = ESPEAK_VOICES[voice]
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
