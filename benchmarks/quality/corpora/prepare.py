# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""The data, once: audio as WAV, speech cut for pretraining, dev speakers held out, a manifest for each use."""

import hashlib
import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.files import replacing
from benchmarks.quality import manifests
from benchmarks.quality.corpora.options import Options
from benchmarks.quality.corpora.phones import Characters, Phones
from benchmarks.quality.corpora.plan import ALL, Plan
from benchmarks.quality.manifests import Entry

SAMPLE_RATE = 16000
DEV_SHARE = 0.1  # of the speakers of --train


@dataclass(frozen=True)
class Prepared:
    """The manifests of a folder that `prepare` has made."""

    folder: Path

    def manifest(self, name: str) -> Path:
        """Of `train`, `dev` and `test`, texts spelled in labels; of `pretrain` and `dev_pieces`, cut; of `noise`."""
        return self.folder / f"{name}.json"

    @cached_property
    def _labels(self) -> dict[str, Any]:
        return json.loads((self.folder / "labels.json").read_text())

    @property
    def labels(self) -> list[str]:
        """The alphabet."""
        return self._labels["labels"]

    @property
    def unit(self) -> str:
        """What a label is: phones or characters."""
        return self._labels["unit"]

    def subset(self, minutes: float | str, seed: int) -> Path:
        """A manifest of so much labelled speech: utterances drawn with the seed. It is part of any larger one."""
        path = self.folder / "subsets" / f"min{minutes}-seed{seed}.json"
        manifests.write(path, drawn(manifests.read(self.manifest("train"), ("text",)), minutes, seed))
        return path


def drawn(entries: list[Entry], minutes: float | str, seed: int) -> list[Entry]:
    """The first of the shuffled utterances, until there are so many minutes."""
    order = np.random.default_rng(seed).permutation(len(entries))
    wanted = math.inf if minutes == ALL else 60 * float(minutes)
    chosen: list[Entry] = []
    seconds = 0.0
    for index in order:
        if seconds >= wanted:
            break
        chosen.append(entries[index])
        seconds += entries[index]["duration"]
    return chosen


def dev_speakers(train: list[Entry]) -> set[str]:
    """A tenth of the speakers, one at least, whatever the order of the entries."""
    speakers = {str(entry["speaker"]) for entry in train}
    by_hash = sorted(speakers, key=lambda speaker: hashlib.sha256(speaker.encode()).hexdigest())
    return set(by_hash[: math.ceil(DEV_SHARE * len(speakers))])


def read_all(options: Options) -> dict[str, list[Entry]]:
    """Entries of `pretrain`, `train`, `dev`, `test` and `noise`; dev speakers are in `dev` alone.

    Raises:
        ValueError: an entry that cannot be used, or speakers of the test in the training
    """
    labelled = manifests.read(options.train, ("text", "speaker"))
    unlabelled = [entry for path in options.pretrain for entry in manifests.read(path, ("speaker",))]
    dev = dev_speakers(labelled)
    test = manifests.read(options.test, ("text",))
    parts = {}
    for name, part in (("pretrain", unlabelled), ("train", labelled)):
        parts[name] = [entry for entry in part if str(entry["speaker"]) not in dev]
        if not parts[name]:
            raise ValueError(f"{name}: has no speakers besides the {len(dev)} dev speakers")
        if known := {str(entry["speaker"]) for entry in part} & {str(entry.get("speaker")) for entry in test}:
            raise ValueError(f"{name}: has speakers of the test: {', '.join(sorted(known)[:10])}")
    parts["dev"] = [entry for entry in labelled if str(entry["speaker"]) in dev]
    return {**parts, "test": test, "noise": manifests.read(options.noise) if options.noise else []}


def checked_data(options: Options, plan: Plan) -> tuple[dict[str, list[Entry]], Phones | Characters]:
    """The entries of each part, and what spells their texts.

    Raises:
        ValueError: data that cannot be used for the plan, or more labelled speech is wanted than there is
    """
    if not options.noise and any(plan.arms[run.arm].noise for run in plan.runs):
        raise ValueError("noise: must be given, the plan has arms with noise")
    parts = read_all(options)
    there = manifests.minutes_of(parts["train"])
    for run in plan.runs:
        if run.minutes != ALL and float(run.minutes) > there:
            raise ValueError(f"minutes={run.minutes}: must be at most {there:.1f}, without the dev speakers")
    units = Phones(options.lexicon) if options.lexicon else Characters()
    units.check(parts["train"] + parts["dev"] + parts["test"])
    return parts, units


def prepare(options: Options, plan: Plan, parts: dict[str, list[Entry]], units: Phones | Characters) -> Prepared:
    """The prepared data; makes what is not there.

    Raises:
        ValueError: the folder was prepared from other files
    """
    folder, wanted = options.work / "data", about(options, plan)
    file = folder / "about.json"
    if not file.exists():
        for part in parts.values():
            decode(part, options.work / "audio")
        crop = plan.common.crop_seconds
        for name in ("train", "dev", "test"):
            spelled = [{**entry, "text": units.spelled(entry["text"])} for entry in parts[name]]
            manifests.write(folder / f"{name}.json", spelled)
        for name, part in (("pretrain", parts["pretrain"]), ("dev_pieces", parts["dev"])):
            manifests.write(
                folder / f"{name}.json", [piece for entry in part for piece in manifests.pieces(entry, crop)]
            )
        manifests.write(folder / "noise.json", parts["noise"])
        labels = units.labels(parts["train"] + parts["dev"])
        (folder / "labels.json").write_text(json.dumps({"unit": units.unit, "labels": labels}))
        file.write_text(json.dumps(wanted))
    if json.loads(file.read_text()) != wanted:
        raise ValueError(f"{folder}: was prepared from other files or with another crop_seconds; use another --work")
    return Prepared(folder)


def about(options: Options, plan: Plan) -> dict[str, Any]:
    """What the prepared data depend on."""
    named = {name: getattr(options, name) for name in ("train", "test", "noise", "lexicon")}
    paths = {**named, **{f"pretrain{i}": path for i, path in enumerate(options.pretrain)}}
    sums = {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in paths.items() if path}
    return {"files": sums, "crop_seconds": plan.common.crop_seconds}


def decode(part: Iterable[Entry], folder: Path) -> None:
    """Writes the audio of a part as 16 kHz mono WAV, which is read many times, and names it in the entries."""
    import soundfile

    from nemo.collections.asr.parts.preprocessing.segment import AudioSegment

    for entry in part:
        source = entry["audio_filepath"]
        file = folder.resolve() / f"{hashlib.sha256(source.encode()).hexdigest()[:20]}.wav"
        if not file.exists():
            audio = AudioSegment.from_file(source, target_sr=SAMPLE_RATE, channel_selector="average").samples
            with replacing(file) as unfinished:
                soundfile.write(str(unfinished), audio, SAMPLE_RATE, subtype="PCM_16")
        entry["audio_filepath"] = str(file)
