# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""The data, once: audio as WAV, speech cut for pretraining, dev speakers held out, constants for the features."""

import hashlib
import json
import math
import shutil
from pathlib import Path

import soundfile
import torch

from benchmarks.quality.corpora import manifests
from benchmarks.quality.corpora.files import locked, replacing
from benchmarks.quality.corpora.manifests import Entry
from benchmarks.quality.corpora.options import Options
from benchmarks.quality.corpora.phones import Characters, Phones
from benchmarks.quality.corpora.plan import Plan

SAMPLE_RATE = 16000
DEV_SHARE = 0.1  # of the speakers of --train


def dev_speakers(train: list[Entry]) -> set[str]:
    """A tenth of the speakers, one at least, whatever the order of the entries."""
    speakers = {str(entry["speaker"]) for entry in train}
    by_hash = sorted(speakers, key=lambda speaker: hashlib.sha256(speaker.encode()).hexdigest())
    return set(by_hash[: math.ceil(DEV_SHARE * len(speakers))])


def pieces(entry: Entry, seconds: float) -> list[Entry]:
    """The entry, cut into pieces of the same length if it is longer than `seconds`."""
    count = math.ceil(entry["duration"] / seconds)
    length, start = entry["duration"] / count, entry.get("offset") or 0.0
    return [{**entry, "text": "", "offset": start + i * length, "duration": length} for i in range(count)]


def read_all(options: Options, noise: bool) -> dict[str, list[Entry]]:
    """Entries of `pretrain`, `train`, `dev`, `test` and `noise`; dev speakers are in `dev` alone.

    Raises:
        ValueError: an entry that cannot be used, or speakers of the test in the training
    """
    labelled = manifests.read(options.train, ("text", "speaker"))
    dev = dev_speakers(labelled)
    parts = {
        "pretrain": [entry for path in options.pretrain for entry in manifests.read(path, ("speaker",))],
        "train": labelled,
    }
    parts = {name: [entry for entry in part if str(entry["speaker"]) not in dev] for name, part in parts.items()}
    parts["dev"] = [entry for entry in labelled if str(entry["speaker"]) in dev]
    parts["test"] = manifests.read(options.test, ("text",))
    parts["noise"] = manifests.read(options.noise) if noise else []
    for name in ("pretrain", "train"):
        if not parts[name]:
            raise ValueError(f"{name}: has no speakers besides the {len(dev)} dev speakers")
        check_strangers(name, parts[name], parts["test"])
    return parts


def check_strangers(name: str, part: list[Entry], test: list[Entry]):
    """Raises a ValueError if a speaker of the test is trained on."""
    known = {str(entry["speaker"]) for entry in part} & {str(entry.get("speaker")) for entry in test}
    if known:
        raise ValueError(f"{name}: has speakers of the test: {', '.join(sorted(known)[:10])}")


def check_minutes(plan: Plan, train: list[Entry]):
    """Raises a ValueError if a run wants more labelled speech than there is."""
    there = manifests.minutes_of(train)
    for run in plan.runs:
        if not isinstance(run.minutes, str) and run.minutes > there:
            raise ValueError(f"minutes={run.minutes}: must be at most {there:.1f}, without the dev speakers")


def checked_data(options: Options, plan: Plan) -> tuple[dict[str, list[Entry]], Phones | Characters]:
    """The entries of each part, and what spells their texts.

    Raises:
        ValueError: data that cannot be used for the plan
    """
    noise = any(plan.arms[run.arm].noise for run in plan.runs)
    if noise and not options.noise:
        raise ValueError("noise: must be given, the plan has arms with noise")
    parts = read_all(options, noise=options.noise is not None)
    check_minutes(plan, parts["train"])
    units = Phones(options.lexicon) if options.lexicon else Characters()
    units.check(parts["train"] + parts["dev"] + parts["test"])
    return parts, units


def prepare(options: Options, plan: Plan, parts: dict[str, list[Entry]], units: Phones | Characters) -> Path:
    """The folder of the prepared data; makes it if it is not there.

    Raises:
        ValueError: the folder was prepared from other files
    """
    about = describe(options, plan)
    folder = options.work / "data"
    with locked(folder):
        if not folder.exists():
            make(folder, parts, units, plan, about)
        check_same(folder, about)
    return folder


def describe(options: Options, plan: Plan) -> dict:
    """What the prepared data depend on."""
    named = {name: getattr(options, name) for name in ("train", "test", "noise", "lexicon")}
    paths = {**named, **{f"pretrain{i}": path for i, path in enumerate(options.pretrain)}}
    sums = {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in paths.items() if path}
    return {"files": sums, "crop_seconds": plan.common.crop_seconds}


def check_same(folder: Path, about: dict):
    """Raises a ValueError if the folder was prepared from something else."""
    there = json.loads((folder / "about.json").read_text())
    if there != about:
        raise ValueError(f"{folder}: was prepared from other files or with another crop_seconds; use another --work")


def make(folder: Path, parts: dict[str, list[Entry]], units, plan: Plan, about: dict):
    """Writes everything into a folder of its own, which takes its name at the end."""
    with replacing(folder) as unfinished:
        shutil.rmtree(unfinished, ignore_errors=True)
        labels = units.labels(parts["train"] + parts["dev"])
        for part in parts.values():
            decode(part, unfinished / "audio", folder / "audio")
        for name in ("train", "dev", "test"):
            spelled = [{**entry, "text": units.spelled(entry["text"])} for entry in parts[name]]
            manifests.write(unfinished / f"{name}.json", spelled)
        for name, part in (("pretrain", parts["pretrain"]), ("dev_pieces", parts["dev"])):
            cut = [piece for entry in part for piece in pieces(entry, plan.common.crop_seconds)]
            manifests.write(unfinished / f"{name}.json", cut)
        if parts["noise"]:
            manifests.write(unfinished / "noise.json", parts["noise"])
        save(unfinished / "labels.json", {"unit": units.unit, "labels": labels})
        save(unfinished / "constants.json", constants(unfinished, folder, plan))
        save(unfinished / "about.json", about)


def save(path: Path, value: object):
    """Writes JSON."""
    path.write_text(json.dumps(value))


def decode(part: list[Entry], folder: Path, final: Path):
    """Writes the audio of a part as 16 kHz mono WAV into `folder` and names it in the entries as it is in `final`."""
    from nemo.collections.asr.parts.preprocessing.segment import AudioSegment

    folder.mkdir(parents=True, exist_ok=True)
    for entry in part:
        name = hashlib.sha256(entry["audio_filepath"].encode()).hexdigest()[:20] + ".wav"
        if not (folder / name).exists():
            audio = AudioSegment.from_file(
                entry["audio_filepath"], target_sr=SAMPLE_RATE, channel_selector="average"
            ).samples
            soundfile.write(str(folder / name), audio, SAMPLE_RATE, subtype="PCM_16")
        entry["audio_filepath"] = str(final.resolve() / name)


@torch.no_grad()
def constants(folder: Path, final: Path, plan: Plan) -> dict[str, list[float]]:
    """Mean and standard deviation of every mel bin over all frames of the pretraining set."""
    from benchmarks.quality.corpora.model_config import model_config
    from nemo.collections.asr.modules import AudioToMelSpectrogramPreprocessor

    cfg = dict(model_config(plan.common.overrides).preprocessor)
    del cfg["_target_"]
    preprocessor = AudioToMelSpectrogramPreprocessor(**cfg).eval()
    count, total, squares = 0, torch.zeros(cfg["features"]).double(), torch.zeros(cfg["features"]).double()
    for path in sorted({entry["audio_filepath"] for entry in manifests_of(folder / "pretrain.json")}):
        audio = torch.from_numpy(soundfile.read(folder / "audio" / Path(path).name, dtype="float32")[0])
        feats, length = preprocessor(input_signal=audio.unsqueeze(0), length=torch.tensor([len(audio)]))
        frames = feats[0, :, : int(length)].double()
        count, total, squares = count + frames.size(1), total + frames.sum(1), squares + frames.square().sum(1)
    mean = total / count
    return {"mean": mean.tolist(), "std": (squares / count - mean.square()).sqrt().clamp(min=1e-3).tolist()}


def manifests_of(path: Path) -> list[Entry]:
    """The entries of a manifest whose audio has not its final place yet."""
    return [json.loads(line) for line in path.read_text().splitlines()]
