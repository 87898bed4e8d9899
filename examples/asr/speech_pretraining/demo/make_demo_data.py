# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""
Writes a few minutes of speech-like audio and of noise, with manifests, to try pretraining on without a corpus.

    python make_demo_data.py OUT_DIR [--minutes 4] [--seed 0] [--synthesizer auto|espeak-ng|builtin]

OUT_DIR then holds `train.json`, `validation.json` and `noise.json`, which are manifests in NeMo's format, the 16 kHz
WAV files in `audio/`, and the parameters in `demo_data.json`. Paths in the manifests are relative to their folder, so
OUT_DIR can be moved. Validation is spoken by voices that training does not have. The training set has two utterances
of 0.3 and 0.5 s besides those of 1 to 12 s, because very short utterances are where masking is most easily wrong.

The built-in synthesiser (formant_synthesizer.py) speaks random phones, and its manifest lines have one key more,
`phones`: [[label, start, end], ...] in seconds. The same seed and synthesizer give the same bytes.
"""

import argparse
import json
import math
import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from demo_speakers import TRAIN_VOICES, VALIDATION_VOICES, BuiltinSpeaker, EspeakSpeaker, Spoken, fit_length
from formant_synthesizer import SAMPLE_RATE
from tqdm import tqdm

FORMAT_VERSION = 2  # to be raised when the same parameters give other bytes than before
SYNTHESIZERS = ("auto", "espeak-ng", "builtin")
MANIFESTS = ("train", "validation", "noise")
NOISES = ("white", "pink", "brown", "babble_0", "babble_1", "hum_and_clicks")

SHORT_SECONDS = (0.3, 0.5)
MIN_SECONDS, MAX_SECONDS = 1.0, 12.0
VALIDATION_SHARE = 0.2

SPEECH_LEVEL_DB, LEVEL_SPREAD_DB = -20.0, 2.0  # RMS in dBFS
FLOOR_DB = -70.0  # recording noise below everything, so that silence is not digital zero
PEAK_LIMIT = 0.95


class Refusal(ValueError):
    """What was asked for is impossible, or would overwrite something."""


def plan_lengths(total: float, rng: np.random.Generator) -> list[float]:
    """Lengths in seconds, each from MIN_SECONDS to MAX_SECONDS, that sum up to `total` (at least to MIN_SECONDS)."""
    lengths, left = [], max(total, MIN_SECONDS)
    while left >= 2 * MIN_SECONDS:
        lengths.append(round(min(rng.uniform(MIN_SECONDS, MAX_SECONDS), left - MIN_SECONDS), 2))
        left -= lengths[-1]
    return lengths + [max(MIN_SECONDS, round(left, 2))]


def to_pcm(samples: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """16-bit samples at SPEECH_LEVEL_DB (RMS), give or take LEVEL_SPREAD_DB, less where peaks would clip."""
    level = SPEECH_LEVEL_DB + rng.uniform(-LEVEL_SPREAD_DB, LEVEL_SPREAD_DB)
    samples = samples * 10 ** (level / 20) / np.sqrt(np.mean(samples**2))
    samples = samples + 10 ** (FLOOR_DB / 20) * rng.standard_normal(len(samples))
    samples = samples * min(1.0, PEAK_LIMIT / np.abs(samples).max())
    return np.rint(samples * 32767).astype(np.int16)


def write_audio(folder: Path, name: str, samples: np.ndarray, rng: np.random.Generator) -> dict[str, Any]:
    """Writes audio/NAME.wav and returns the keys of its manifest line that say where it is and how long."""
    path = f"audio/{name}.wav"
    soundfile.write(folder / path, to_pcm(samples, rng), SAMPLE_RATE, subtype="PCM_16")
    return {"audio_filepath": path, "duration": len(samples) / SAMPLE_RATE}


def plan_speech(minutes: float, seed: int) -> list[tuple[str, float, int]]:
    """(part, seconds, voice) of every utterance."""
    rng = np.random.default_rng([seed, 1])
    parts = (("train", 1 - VALIDATION_SHARE, TRAIN_VOICES), ("validation", VALIDATION_SHARE, VALIDATION_VOICES))
    plan = []
    for part, share, voices in parts:
        lengths = [*(SHORT_SECONDS if part == "train" else ()), *plan_lengths(60 * minutes * share, rng)]
        plan += [(part, seconds, voices[index % len(voices)]) for index, seconds in enumerate(lengths)]
    return plan


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


def make_noise(kind: str, speaker: Any, rng: np.random.Generator) -> Spoken:
    """5 to 10 s of one kind of noise."""
    length = int(rng.uniform(5.0, 10.0) * SAMPLE_RATE)
    if kind.startswith("babble"):
        return Spoken(babble(length, speaker, rng))
    if kind == "hum_and_clicks":
        return Spoken(hum_and_clicks(length, rng))
    return Spoken(coloured_noise(length, {"white": 0.0, "pink": 1.0, "brown": 2.0}[kind], rng))


def write_set(folder: Path, parameters: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """Writes the set into `folder`, every file with a random generator of its own; returns the manifests' lines."""
    (folder / "audio").mkdir(parents=True)
    seed = parameters["seed"]
    speaker = BuiltinSpeaker(seed) if parameters["synthesizer"] == "builtin" else EspeakSpeaker()
    plan: list[tuple[str, str, list[int], Callable]] = []
    for index, (part, seconds, voice) in enumerate(plan_speech(parameters["minutes"], seed)):
        plan.append((part, f"{part}_{index:04d}", [seed, 2, index], partial(speaker.speak, seconds, voice)))
    for index, kind in enumerate(NOISES):
        plan.append(("noise", f"noise_{kind}", [seed, 3, index], partial(make_noise, kind, speaker)))
    manifests: dict[str, list[dict[str, Any]]] = {name: [] for name in MANIFESTS}
    for part, name, seeds, make in tqdm(plan, unit="file", desc="demo data"):
        rng = np.random.default_rng(seeds)
        made = make(rng)._asdict()
        line = write_audio(folder, name, made.pop("samples"), rng)
        manifests[part].append(line | {key: value for key, value in made.items() if value is not None})
    texts = {name: "".join(json.dumps(line) + "\n" for line in manifests[name]) for name in MANIFESTS}
    for name, text in {**texts, "demo_data": json.dumps(parameters, indent=2) + "\n"}.items():
        (folder / f"{name}.json").write_text(text, encoding="utf-8", newline="\n")
    return manifests


def check_parameters(minutes: float, seed: int, synthesizer: str) -> dict[str, Any]:
    """The parameters as they are written into demo_data.json, `auto` resolved; Refusal where one is impossible."""
    if isinstance(minutes, bool) or not isinstance(minutes, (int, float)) or not 0 < minutes < math.inf:
        raise Refusal(f"minutes must be a number above 0, but is {minutes!r}")
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise Refusal(f"seed must be an integer of 0 or more, but is {seed!r}")
    if synthesizer not in SYNTHESIZERS:
        raise Refusal(f"synthesizer must be one of {', '.join(SYNTHESIZERS)}, but is {synthesizer!r}")
    installed = shutil.which("espeak-ng") is not None
    if synthesizer == "espeak-ng" and not installed:
        raise Refusal("espeak-ng is not installed; use --synthesizer builtin (or auto)")
    if synthesizer == "auto":
        synthesizer = "espeak-ng" if installed else "builtin"
    return {"format": FORMAT_VERSION, "minutes": float(minutes), "seed": seed, "synthesizer": synthesizer}


def is_finished(out_dir: Path, parameters: dict[str, Any]) -> bool:
    """True if out_dir holds this very set, False if it is free; Refusal if it holds anything else."""
    if not out_dir.exists():
        return False
    if not out_dir.is_dir():
        raise Refusal(f"{out_dir} is a file, not a folder")
    if not any(out_dir.iterdir()):
        return False
    try:
        found = json.loads((out_dir / "demo_data.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise Refusal(f"{out_dir} is not empty and holds no finished demo data; choose another folder") from None
    if found != parameters:
        raise Refusal(f"{out_dir} holds demo data made with {found}, not with {parameters}; choose another folder")
    missing = [name for name in MANIFESTS if not (out_dir / f"{name}.json").is_file()]
    if missing:
        raise Refusal(f"{out_dir} holds demo data, but its manifests {missing} are missing; remove the folder")
    return True


def make_demo_data(out_dir: Path, minutes: float = 4.0, seed: int = 0, synthesizer: str = "auto") -> bool:
    """
    Writes the set into a temporary folder nearby and moves it to `out_dir` when it is whole.

    Args:
        out_dir: a folder that does not exist, or is empty, or already holds the same set.
        minutes: speech in training and validation together.
        seed: of everything random, 0 or more.
        synthesizer: one of SYNTHESIZERS; auto takes espeak-ng where it is installed.

    Returns:
        False if out_dir held the set already.

    Raises:
        Refusal (a ValueError): if a parameter is impossible or out_dir holds anything else.
    """
    out_dir = Path(out_dir).expanduser().resolve()
    parameters = check_parameters(minutes, seed, synthesizer)
    if is_finished(out_dir, parameters):
        print(f"{out_dir} already holds this demo data")
        return False
    nearby = next(folder for folder in out_dir.parents if folder.exists())
    if not nearby.is_dir():
        raise Refusal(f"{nearby} is a file, not a folder")
    with tempfile.TemporaryDirectory(prefix=f".{out_dir.name}.", dir=nearby) as temporary:
        made = Path(temporary) / "set"
        manifests = write_set(made, parameters)
        out_dir.parent.mkdir(parents=True, exist_ok=True)
        if out_dir.exists():
            out_dir.rmdir()  # it was empty; if it is not any more, this fails
        made.rename(out_dir)
    for name, lines in manifests.items():
        minutes = sum(line["duration"] for line in lines) / 60
        print(f"{name:10s} {len(lines):4d} files  {minutes:5.1f} min  {out_dir / f'{name}.json'}")
    print(f"spoken by {parameters['synthesizer']}")
    return True


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description="Writes speech-like audio, noise and manifests to try pretraining on."
    )
    parser.add_argument("out_dir", type=Path, help="folder to write")
    parser.add_argument("--minutes", type=float, default=4.0, help="minutes of speech (default: 4)")
    parser.add_argument("--seed", type=int, default=0, help="the same seed gives the same files (default: 0)")
    parser.add_argument("--synthesizer", default="auto", help=f"one of {', '.join(SYNTHESIZERS)} (default: auto)")
    options = parser.parse_args(arguments)
    try:
        make_demo_data(**vars(options))
    except Refusal as error:
        print(f"make_demo_data: {error}", file=sys.stderr)
        return 2
    except (OSError, RuntimeError) as error:
        print(f"make_demo_data: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("make_demo_data: interrupted, nothing was written", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
