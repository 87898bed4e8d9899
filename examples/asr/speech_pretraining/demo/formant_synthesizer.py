# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""
A small formant synthesiser: speech-like audio of random phones, with the time of every phone.

It follows the source-filter theory (G. Fant, "Acoustic Theory of Speech Production", 1960) in the cascade form of
D. Klatt, "Software for a cascade/parallel formant synthesizer", JASA 67 (1980):

- source: a pulse train of derived glottal flow (the polynomial pulse of Klatt & Klatt 1990) with jitter, shimmer and
  declination, plus noise for aspiration;
- filter: a cascade of second-order resonators that move from phone to phone, and a pole-zero pair for nasals;
- frication and bursts: noise through a band-pass of their own, beside the cascade.

Vowel formants are the averages for men of G. Peterson & H. Barney, "Control methods used in a study of the vowels",
JASA 24 (1952); a voice scales them to its vocal tract. The filters change every 5 ms, and all frames of an utterance
are filtered at once, in the frequency domain: no loop goes over samples.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from scipy.fft import irfft, rfft
from scipy.signal import lfilter

SAMPLE_RATE = 16000  # Hz
FRAME_LENGTH = 80  # samples: 5 ms
FRAME_SECONDS = FRAME_LENGTH / SAMPLE_RATE
RINGING_FRAMES = 13  # 65 ms, in which the narrowest resonance dies away by 100 dB
SILENCE = "sil"

FORMANT_BANDWIDTHS = (70.0, 90.0, 130.0)  # Hz
HIGH_FORMANTS = (3500.0, 4500.0, 5500.0, 6500.0)  # Hz, the same for all phones of a voice
HIGH_BANDWIDTHS = (200.0, 250.0, 300.0, 350.0)  # Hz
NEUTRAL_FORMANTS = (500.0, 1500.0, 2500.0)  # Hz, of a uniform tube of 17.5 cm
NASAL_POLE, NASAL_BANDWIDTH = 270.0, 100.0  # Hz


@dataclass(frozen=True)
class Target:
    """
    One stretch of a phone during which its articulation aims at one position.

    Args:
        seconds: length at a speaking rate of 1.
        formants: the first three formants in Hz, or None to glide from what comes before to what follows.
        voicing, aspiration, frication: levels of the three sources, relative to a vowel's voicing.
        band: centre and bandwidth in Hz of the frication noise.
        nasal_zero: frequency in Hz of the zero which the closed mouth adds; None for an oral sound.
    """

    seconds: float
    formants: tuple[float, float, float] | None = None
    voicing: float = 0.0
    aspiration: float = 0.0
    frication: float = 0.0
    band: tuple[float, float] = (4000.0, 4000.0)
    nasal_zero: float | None = None


Phone = tuple[Target, ...]
Phones = dict[str, Phone]


@dataclass(frozen=True)
class Voice:
    """
    One speaker.

    Args:
        f0: mean fundamental frequency in Hz.
        formant_scale: formants relative to an average man's; about 1.15 for women.
        rate: speaking rate; 2 is twice as fast.
        jitter, shimmer: relative standard deviations of the length and the amplitude of single periods.
        breathiness: level of the aspiration that goes with voicing.
        open_quotient: part of each period during which the glottis is open.
        tilt: coefficient in [0, 1) of the one-pole low-pass after the source; more is softer.
    """

    f0: float
    formant_scale: float
    rate: float = 1.0
    jitter: float = 0.01
    shimmer: float = 0.05
    breathiness: float = 0.03
    open_quotient: float = 0.6
    tilt: float = 0.3


@dataclass(frozen=True)
class Utterance:
    """`samples` at 16 kHz, not yet levelled, and its `phones` as (label, start, end) in seconds, without gaps."""

    samples: np.ndarray
    phones: list[tuple[str, float, float]]


def _vowel(*formants: float) -> Phone:
    return (Target(0.13, formants, voicing=1.0),)


def _diphthong(start: tuple[float, float, float], end: tuple[float, float, float]) -> Phone:
    return Target(0.1, start, voicing=1.0), Target(0.09, end, voicing=0.9)


def _glide(*formants: float) -> Phone:
    return (Target(0.07, formants, voicing=0.6),)


def _nasal(second_formant: float, zero: float) -> Phone:
    return (Target(0.08, (270.0, second_formant, 2300.0), voicing=0.45, nasal_zero=zero),)


def _fricative(locus: float, band: tuple[float, float], level: float, voiced: bool) -> Phone:
    formants, seconds = (300.0, locus, 2500.0), 0.07 if voiced else 0.11
    level = 0.6 * level if voiced else level
    return (Target(seconds, formants, voicing=0.25 if voiced else 0.0, frication=level, band=band),)


def _stop(locus: tuple[float, float], band: tuple[float, float], voiced: bool) -> Phone:
    formants = (220.0,) + locus
    closure = Target(0.06, formants, voicing=0.08 if voiced else 0.0)
    burst = Target(0.015, formants, voicing=0.1 if voiced else 0.0, frication=0.6, band=band)
    aspiration = Target(0.04, aspiration=0.3)
    return (closure, burst) if voiced else (closure, burst, aspiration)


VOWELS: Phones = {
    "iy": _vowel(270.0, 2290.0, 3010.0),
    "ih": _vowel(390.0, 1990.0, 2550.0),
    "eh": _vowel(530.0, 1840.0, 2480.0),
    "ae": _vowel(660.0, 1720.0, 2410.0),
    "aa": _vowel(730.0, 1090.0, 2440.0),
    "ao": _vowel(570.0, 840.0, 2410.0),
    "uh": _vowel(440.0, 1020.0, 2240.0),
    "uw": _vowel(300.0, 870.0, 2240.0),
    "ah": _vowel(640.0, 1190.0, 2390.0),
    "er": _vowel(490.0, 1350.0, 1690.0),
    "ay": _diphthong((730.0, 1090.0, 2440.0), (390.0, 1990.0, 2550.0)),
    "aw": _diphthong((730.0, 1090.0, 2440.0), (440.0, 1020.0, 2240.0)),
    "oy": _diphthong((570.0, 840.0, 2410.0), (390.0, 1990.0, 2550.0)),
}
GLIDES: Phones = {
    "w": _glide(290.0, 610.0, 2150.0),
    "y": _glide(260.0, 2070.0, 3020.0),
    "r": _glide(310.0, 1060.0, 1380.0),
    "l": _glide(310.0, 1050.0, 2880.0),
}
NASALS: Phones = {
    "m": _nasal(1000.0, 900.0),
    "n": _nasal(1500.0, 1600.0),
    "ng": _nasal(2000.0, 3200.0),
}
FRICATIVES: Phones = {
    "s": _fricative(1700.0, (6000.0, 2000.0), 0.5, voiced=False),
    "sh": _fricative(1900.0, (3000.0, 1200.0), 0.5, voiced=False),
    "f": _fricative(1100.0, (4500.0, 7000.0), 0.15, voiced=False),
    "th": _fricative(1400.0, (7200.0, 2000.0), 0.15, voiced=False),
    "z": _fricative(1700.0, (6000.0, 2000.0), 0.5, voiced=True),
    "zh": _fricative(1900.0, (3000.0, 1200.0), 0.5, voiced=True),
    "v": _fricative(1100.0, (4500.0, 7000.0), 0.2, voiced=True),
    "hh": (Target(0.07, aspiration=0.3),),
}
STOPS: Phones = {
    "p": _stop((800.0, 2200.0), (900.0, 900.0), voiced=False),
    "t": _stop((1800.0, 2700.0), (4500.0, 2500.0), voiced=False),
    "k": _stop((2000.0, 2300.0), (2000.0, 700.0), voiced=False),
    "b": _stop((800.0, 2200.0), (900.0, 900.0), voiced=True),
    "d": _stop((1800.0, 2700.0), (4500.0, 2500.0), voiced=True),
    "g": _stop((2000.0, 2300.0), (2000.0, 700.0), voiced=True),
}
PHONES: Phones = {SILENCE: (Target(0.15),), **VOWELS, **GLIDES, **NASALS, **FRICATIVES, **STOPS}


# ---- what is said ---------------------------------------------------------------------------------------------------


def random_voice(rng: np.random.Generator, high: bool) -> Voice:
    """A speaker with a high voice and a short vocal tract, or with a low voice and a long one."""
    return Voice(
        f0=rng.uniform(170.0, 240.0) if high else rng.uniform(90.0, 140.0),
        formant_scale=rng.uniform(1.1, 1.2) if high else rng.uniform(0.95, 1.05),
        rate=rng.uniform(0.85, 1.2),
        jitter=rng.uniform(0.004, 0.015),
        shimmer=rng.uniform(0.02, 0.08),
        breathiness=rng.uniform(0.01, 0.05),
        open_quotient=rng.uniform(0.5, 0.7),
        tilt=rng.uniform(0.0, 0.5),
    )


def random_word(rng: np.random.Generator) -> list[str]:
    """One to three syllables: a consonant, a vowel, and sometimes a consonant that closes the syllable."""
    onsets = [label for label in (*GLIDES, *NASALS, *FRICATIVES, *STOPS) if label != "ng"]
    codas = [label for label in (*NASALS, *FRICATIVES, *STOPS) if label != "hh"]
    word = []
    for _ in range(rng.choice(3, p=(0.45, 0.4, 0.15)) + 1):
        word += [onsets[rng.integers(len(onsets))], list(VOWELS)[rng.integers(len(VOWELS))]]
        word += [codas[rng.integers(len(codas))]] if rng.random() < 0.35 else []
    return word


def random_sentence(lexicon: Sequence[list[str]], seconds: float, rng: np.random.Generator) -> list[str]:
    """Phones of words of the lexicon, the first of which are the most frequent, for about `seconds` at rate 1."""
    weights = 1.0 / np.arange(10, len(lexicon) + 10)
    sentence: list[str] = []
    while nominal_seconds(sentence) < seconds:
        sentence += [SILENCE] if sentence and rng.random() < 0.15 else []
        sentence += lexicon[rng.choice(len(lexicon), p=weights / weights.sum())]
    while len(sentence) > 1 and (nominal_seconds(sentence[:-1]) >= seconds or sentence[-1] == SILENCE):
        sentence.pop()
    return sentence


def nominal_seconds(labels: Sequence[str]) -> float:
    """Length of the phones at a speaking rate of 1."""
    return sum(target.seconds for label in labels for target in PHONES[label])


# ---- tracks: one value per 5 ms frame -------------------------------------------------------------------------------


def plan_frames(labels: Sequence[str], seconds: float, rng: np.random.Generator) -> np.ndarray:
    """Number of frames of every target of every phone: in all `seconds`, each target by chance longer or shorter."""
    lengths = np.array([target.seconds for label in labels for target in PHONES[label]])
    lengths = lengths * rng.uniform(0.8, 1.2, len(lengths))
    ends = np.cumsum(lengths) / lengths.sum() * seconds / FRAME_SECONDS
    return np.maximum(1, np.diff(np.rint(ends), prepend=0)).astype(int)


def formant_tracks(
    targets: Sequence[Target], frames: np.ndarray, voice: Voice, rng: np.random.Generator
) -> np.ndarray:
    """
    The first three formants, of shape (frames, 3): steady in the middle of each target, straight lines between.

    Every target is missed by some 3 %, as speakers do; targets without formants are passed through on the way.
    """
    ends = np.cumsum(frames)
    known = [index for index, target in enumerate(targets) if target.formants is not None]
    if not known:
        return np.tile(voice.formant_scale * np.array(NEUTRAL_FORMANTS), (ends[-1], 1))
    wanted = np.array([targets[index].formants for index in known])
    wanted = wanted * voice.formant_scale * np.clip(rng.normal(1.0, 0.03, wanted.shape), 0.92, 1.08)
    times = np.stack([ends[known] - 0.7 * frames[known], ends[known] - 0.3 * frames[known]], axis=1).ravel()
    positions = np.arange(ends[-1]) + 0.5
    tracks = [np.interp(positions, times, np.repeat(column, 2)) for column in wanted.T]
    return np.stack(tracks, axis=1)


def pitch_track(n_frames: int, voice: Voice, rng: np.random.Generator) -> np.ndarray:
    """Fundamental frequency: it falls by a fifth through the utterance, with slow accents on top."""
    seconds = np.arange(n_frames) * FRAME_SECONDS
    accents = [
        0.05 * np.sin(2 * np.pi * (rng.uniform(low, 2 * low) * seconds + rng.random())) for low in (0.4, 0.8, 1.6)
    ]
    return voice.f0 * (np.linspace(1.1, 0.88, n_frames) + sum(accents))


def smooth_gain(levels: np.ndarray, seconds: float = 0.008) -> np.ndarray:
    """Gain per sample from a level per frame, its steps softened over `seconds`."""
    window = np.hanning(int(seconds * SAMPLE_RATE) + 2)
    return np.convolve(np.repeat(levels, FRAME_LENGTH), window / window.sum(), mode="same")


# ---- source ---------------------------------------------------------------------------------------------------------


def glottal_source(pitch: np.ndarray, voice: Voice, rng: np.random.Generator) -> np.ndarray:
    """
    Derivative of the glottal flow u^2 - u^3 (u: 0 to 1 while the glottis is open), one pulse per period.

    Args:
        pitch: fundamental frequency in Hz of every sample.

    Returns:
        The source, of unit RMS, of the same length; the derivative stands for the radiation at the lips.
    """
    period = np.floor(np.cumsum(pitch) / SAMPLE_RATE).astype(int)
    jitter = 1.0 + voice.jitter * rng.standard_normal(period[-1] + 1)
    phase = rng.random() + np.cumsum(pitch * jitter[period]) / SAMPLE_RATE
    period = np.floor(phase).astype(int)
    opening = (phase - period) / voice.open_quotient
    pulses = np.where(opening < 1.0, 2.0 * opening - 3.0 * opening**2, 0.0)
    pulses *= 1.0 + voice.shimmer * rng.standard_normal(period[-1] + 1)[period]
    pulses = lfilter([1.0 - voice.tilt], [1.0, -voice.tilt], pulses)
    return pulses / np.sqrt(np.mean(pulses**2))


# ---- filters --------------------------------------------------------------------------------------------------------


def resonator(frequency: np.ndarray, bandwidth: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Coefficients a, b, c of Klatt's resonator y[n] = a x[n] + b y[n-1] + c y[n-2]; its gain at 0 Hz is 1."""
    frequency, bandwidth = np.broadcast_arrays(frequency, bandwidth)
    radius = np.exp(-np.pi * bandwidth / SAMPLE_RATE)
    c = -(radius**2)
    b = 2.0 * radius * np.cos(2.0 * np.pi * frequency / SAMPLE_RATE)
    return 1.0 - b - c, b, c


def vocal_tract(formants: np.ndarray, nasal_zero: np.ndarray) -> np.ndarray:
    """
    The moving part of the cascade as second-order sections, (frames, 4, 6), in the layout of scipy's `sosfilt`.

    Args:
        formants: of shape (frames, 3), in Hz.
        nasal_zero: of shape (frames,), in Hz; where it equals NASAL_POLE, pole and zero cancel.
    """
    sections = np.zeros((len(formants), formants.shape[1] + 1, 6))
    sections[:, :, 3] = 1.0
    a, b, c = resonator(formants, np.array(FORMANT_BANDWIDTHS))
    sections[:, 1:, 0], sections[:, 1:, 4], sections[:, 1:, 5] = a, -b, -c
    pole_a, pole_b, pole_c = resonator(np.array(NASAL_POLE), np.array(NASAL_BANDWIDTH))
    zero_a, zero_b, zero_c = resonator(nasal_zero, np.array(NASAL_BANDWIDTH))
    numerator = np.stack([np.ones_like(zero_b), -zero_b, -zero_c], axis=1)
    sections[:, 0, :3] = numerator * (pole_a / zero_a)[:, None]
    sections[:, 0, 4:] = -pole_b, -pole_c
    return sections


def high_formants(source: np.ndarray, voice: Voice) -> np.ndarray:
    """The part of the cascade that stays the same while a voice speaks."""
    frequencies = np.minimum(voice.formant_scale * np.array(HIGH_FORMANTS), 0.96 * SAMPLE_RATE / 2)
    for a, b, c in zip(*resonator(frequencies, np.array(HIGH_BANDWIDTHS))):
        source = lfilter([a], [1.0, -b, -c], source)
    return source


def noise_bands(bands: np.ndarray) -> np.ndarray:
    """Two equal band-passes in a row, of shape (frames, 2, 6), that turn unit white noise into about unit noise."""
    centre, bandwidth = bands[:, 0], bands[:, 1]
    _, b, c = resonator(centre, bandwidth)
    gain = (1.0 + c) / 2.0 * (SAMPLE_RATE / 2 / np.minimum(np.pi / 4 * bandwidth, SAMPLE_RATE / 2)) ** 0.25
    section = np.stack([gain, np.zeros_like(b), -gain, np.ones_like(b), -b, -c], axis=1)
    return np.repeat(section[:, None], 2, axis=1)


def frequency_response(sections: np.ndarray, length: int) -> np.ndarray:
    """Complex gain of every frame's filter, (frames, length // 2 + 1), at the frequencies of an FFT of that length."""
    delay = np.exp(-2j * np.pi * np.arange(length // 2 + 1) / length)
    numerator = denominator = np.ones((len(sections), 1))
    for b0, b1, b2, a0, a1, a2 in np.moveaxis(sections, (1, 2), (0, 1))[..., None]:
        numerator = numerator * (b0 + delay * (b1 + delay * b2) if b1.any() or b2.any() else b0)
        denominator = denominator * (a0 + delay * (a1 + delay * a2))
    return numerator / denominator


def filter_frames(source: np.ndarray, sections: np.ndarray) -> np.ndarray:
    """
    Filters every frame of the source with its own sections.

    Frames overlap by half under Hann windows, each rings out in its own filter, and the sum is taken: filters that
    were switched every 5 ms instead would click at every switch.

    Args:
        source: of shape (frames * FRAME_LENGTH,).
        sections: of shape (frames, sections, 6), in the layout of scipy's `sosfilt`.

    Returns:
        The filtered source, of the same length; what rings on beyond its end is cut off.
    """
    half, length = FRAME_LENGTH // 2, RINGING_FRAMES * FRAME_LENGTH
    blocks = sliding_window_view(np.pad(source, half), 2 * FRAME_LENGTH)[::FRAME_LENGTH]
    blocks = blocks * np.hanning(2 * FRAME_LENGTH + 1)[:-1]
    heard = np.flatnonzero(blocks.any(axis=1))
    ringing = irfft(rfft(blocks[heard], length) * frequency_response(sections[heard], length), length)
    ringing = ringing.reshape(len(heard), RINGING_FRAMES, FRAME_LENGTH)
    output = np.zeros((len(sections) + RINGING_FRAMES, FRAME_LENGTH))
    for index in range(RINGING_FRAMES):
        output[heard + index] += ringing[:, index]
    return output.ravel()[half : half + len(source)]


# ---- all together ---------------------------------------------------------------------------------------------------


def voiced_part(
    targets: Sequence[Target], frames: np.ndarray, voice: Voice, rng: np.random.Generator
) -> tuple[np.ndarray, float]:
    """Voicing and aspiration through the vocal tract, and the RMS that fully voiced stretches have in it."""
    n_frames = int(frames.sum())
    emphasis = rng.uniform(0.75, 1.1, len(targets))
    voicing = np.repeat(emphasis * [target.voicing for target in targets], frames)
    aspiration = np.repeat([target.aspiration for target in targets], frames) + voice.breathiness * voicing
    pitch = np.interp(
        np.arange(n_frames * FRAME_LENGTH) / FRAME_LENGTH, np.arange(n_frames), pitch_track(n_frames, voice, rng)
    )
    source = glottal_source(pitch, voice, rng) * smooth_gain(voicing, 0.02)
    source += rng.standard_normal(len(source)) * smooth_gain(aspiration)
    zeros = np.repeat([target.nasal_zero or NASAL_POLE for target in targets], frames)
    samples = filter_frames(
        high_formants(source, voice), vocal_tract(formant_tracks(targets, frames, voice, rng), zeros)
    )
    vowels = np.repeat(voicing > 0.7, FRAME_LENGTH)
    return samples, float(np.sqrt(np.mean(samples[vowels] ** 2))) if vowels.any() else 1.0


def frication_part(targets: Sequence[Target], frames: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Noise of fricatives and bursts, at the levels of the targets, each in its band."""
    bands = np.repeat([target.band for target in targets], frames, axis=0)
    levels = np.repeat([target.frication for target in targets], frames)
    noise = rng.standard_normal(len(bands) * FRAME_LENGTH) * smooth_gain(levels)
    return filter_frames(noise, noise_bands(bands))


def synthesize(
    labels: Sequence[str], seconds: float, voice: Voice, rng: np.random.Generator, margin: float = 0.0
) -> Utterance:
    """
    Speaks the phones `labels` (keys of PHONES) in `seconds`, with `margin` seconds of silence before and after them.

    Raises:
        ValueError: if a label is unknown, there is none, or they do not fit into `seconds`.
    """
    unknown = sorted(set(labels) - set(PHONES))
    if unknown or not labels:
        raise ValueError(f"unknown phones {unknown}" if unknown else "there are no phones to speak")
    if seconds < 2 * FRAME_SECONDS * sum(len(PHONES[label]) for label in labels):
        raise ValueError(f"{len(labels)} phones do not fit into {seconds} s")
    frames = plan_frames(labels, seconds, rng)
    if margin > 0:
        labels = [SILENCE, *labels, SILENCE]
        frames = np.pad(frames, 1, constant_values=max(1, round(margin / FRAME_SECONDS)))
    targets = [target for label in labels for target in PHONES[label]]
    voiced, vowel_level = voiced_part(targets, frames, voice, rng)
    samples = voiced / vowel_level + frication_part(targets, frames, rng)
    return Utterance(samples, phone_times(labels, frames))


def phone_times(labels: Sequence[str], frames: np.ndarray) -> list[tuple[str, float, float]]:
    """(label, start, end) in seconds of every phone, from the number of frames of every target."""
    last = np.cumsum([len(PHONES[label]) for label in labels]) - 1
    ends = np.round(np.cumsum(frames)[last] * FRAME_SECONDS, 3).tolist()
    return list(zip(labels, [0.0] + ends[:-1], ends))


def speak_randomly(lexicon: Sequence[list[str]], seconds: float, voice: Voice, rng: np.random.Generator) -> Utterance:
    """A random sentence with a short silence before and after it, in `seconds` altogether."""
    margin = min(0.15, 0.1 * seconds)
    sentence = random_sentence(lexicon, (seconds - 2 * margin) * voice.rate, rng)
    return synthesize(sentence, seconds - 2 * margin, voice, rng, margin)
