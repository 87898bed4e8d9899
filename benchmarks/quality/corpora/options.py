# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""The command line's options, checked before anything is made."""

import argparse
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Options:
    """
    Where the data are and what of the plan is run.

    Args:
        plan: YAML, see `benchmarks.quality.corpora.plan`
        pretrain: manifests with `speaker`, for pretraining
        train: a manifest with `text` and `speaker`, for fine-tuning; a tenth of its speakers are the dev speakers
        test: a manifest with `text`
        noise: a manifest of noise, for arms with `noise: true`
        lexicon: lines of a word and its phones; labels are phones with it, characters without
        work: folder of the prepared data and the pretrained encoders
        results: the CSV; `results.csv` in `work` where it is left out
        jobs: processes at a time
        device: cpu, cuda, cuda:1, ...
        only: a regular expression; runs whose name it does not match anywhere are left out
    """

    plan: Path
    pretrain: tuple[Path, ...]
    train: Path
    test: Path
    work: Path
    noise: Path | None = None
    lexicon: Path | None = None
    results: Path | None = None
    jobs: int = 1
    device: str = "cpu"
    only: str = ""

    def __post_init__(self):
        manifests = {"plan": [self.plan], "pretrain": self.pretrain, "train": [self.train], "test": [self.test]}
        manifests.update(noise=[self.noise] if self.noise else [], lexicon=[self.lexicon] if self.lexicon else [])
        for name, paths in manifests.items():
            for path in paths:
                if not path.is_file():
                    raise ValueError(f"{name}={path}: there is no such file")
        if self.jobs < 1:
            raise ValueError(f"jobs={self.jobs}: must be 1 or more")
        if self.device.partition(":")[0] not in ("cpu", "cuda"):
            raise ValueError(f"device={self.device}: must be cpu or cuda, with an index if there are several")
        try:
            re.compile(self.only)
        except re.error as error:
            raise ValueError(f"only={self.only!r}: must be a regular expression ({error})") from error

    @property
    def csv(self) -> Path:
        """Where the rows are."""
        return self.results or self.work / "results.csv"


def parser() -> argparse.ArgumentParser:
    """The command's flags."""
    flags = argparse.ArgumentParser(prog="python -m benchmarks.quality", description="Error rates on real corpora.")
    for name in ("plan", "train", "test", "work"):
        flags.add_argument(f"--{name}", type=Path, required=True)
    flags.add_argument("--pretrain", type=Path, nargs="+", required=True)
    for name in ("noise", "lexicon", "results"):
        flags.add_argument(f"--{name}", type=Path)
    flags.add_argument("--jobs", type=int, default=1)
    flags.add_argument("--device", default="cpu")
    flags.add_argument("--only", default="", help="regular expression for names of runs")
    return flags


def read_options(arguments: Sequence[str] | None = None) -> Options:
    """The options of a command line; exits with status 2 and a message if they cannot be."""
    flags = parser()
    values = vars(flags.parse_args(arguments))
    try:
        return Options(**{key: tuple(value) if isinstance(value, list) else value for key, value in values.items()})
    except ValueError as error:
        flags.error(str(error))
