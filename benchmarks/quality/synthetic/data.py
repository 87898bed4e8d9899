# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Speech with known phones: made, turned into features, and labelled for each encoder frame."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.quality import manifests
from benchmarks.shipped import SCRIPTS
from nemo.collections.asr.parts.preprocessing.segment import AudioSegment

DEMO = SCRIPTS / "demo"
STRIDE = 8  # feature frames per encoder frame
FRAME_SECONDS = 0.08  # of an encoder frame


@dataclass(frozen=True)
class Utterance:
    """Normalised log-mel `feats` (80, T), the phone of each of the T // 8 encoder frames, and who says it."""

    feats: Tensor
    phones: list[str]
    voice: str


@dataclass(frozen=True)
class Speech:
    """`train` and `validation` have no voice in common."""

    train: list[Utterance]
    validation: list[Utterance]


def frame_phones(phones: Sequence, n_frames: int) -> list[str]:
    """The phone at the centre of each of `n_frames` encoder frames, 40 ms, 120 ms, ... after the start.

    Args:
        phones: [[label, start, end], ...] in seconds, without gaps; what comes after the last has the last's label
    """
    ends = np.array([end for _, _, end in phones])
    centres = (np.arange(n_frames) + 0.5) * FRAME_SECONDS
    places = np.minimum(np.searchsorted(ends, centres, side="right"), len(phones) - 1)
    return [phones[place][0] for place in places]


def synthesise(folder: Path, minutes: float, seed: int) -> None:
    """Writes the demo's set with the built-in synthesiser, which knows its phones."""
    sys.path.insert(0, str(DEMO))
    try:
        from make_demo_data import make_demo_data
    finally:
        sys.path.remove(str(DEMO))
    make_demo_data(folder, minutes, seed, "builtin")


def read_utterances(manifest: Path, preprocessor: Any) -> list[Utterance]:
    """Every utterance that has an encoder frame, with features that are not normalised yet."""
    utterances = []
    for entry in manifests.read(manifest):
        audio = AudioSegment.from_file(entry["audio_filepath"]).samples
        signal, length = torch.from_numpy(audio).unsqueeze(0), torch.tensor([len(audio)])
        feats, feats_len = preprocessor(input_signal=signal, length=length)
        feats = feats[0, :, : int(feats_len)]
        if feats.size(1) > STRIDE:
            labels = frame_phones(entry["phones"], feats.size(1) // STRIDE)
            utterances.append(Utterance(feats, labels, entry["voice"]))
    return utterances


def normalised(speech: Speech) -> Speech:
    """Every feature with mean 0 and deviation 1 over all training frames: constants, which a stream can use too."""
    frames = torch.cat([utterance.feats for utterance in speech.train], dim=1)
    mean, deviation = frames.mean(dim=1, keepdim=True), frames.std(dim=1, keepdim=True)

    def of(utterances: list[Utterance]) -> list[Utterance]:
        return [Utterance((each.feats - mean) / deviation, each.phones, each.voice) for each in utterances]

    return Speech(of(speech.train), of(speech.validation))


def make_speech(folder: Path, minutes: float, seed: int, preprocessor: Any) -> Speech:
    """The set of a seed, synthesised into `folder`."""
    synthesise(folder, minutes, seed)
    parts = [read_utterances(folder / f"{part}.json", preprocessor) for part in ("train", "validation")]
    return normalised(Speech(*parts))
