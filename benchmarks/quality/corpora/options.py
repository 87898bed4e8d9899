# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""The command line's options, checked before anything is made."""

import argparse
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.quality.flags import options_of, require, require_device


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

    def __post_init__(self) -> None:
        for name in ("plan", "train", "test", "noise", "lexicon"):
            self._require_files(name, getattr(self, name))
        self._require_files("pretrain", *self.pretrain)
        require(self.jobs >= 1, "jobs", self.jobs, "1 or more")
        require_device(self.device, "cpu", "cuda")
        try:
            re.compile(self.only)
        except re.error as error:
            raise ValueError(f"only={self.only!r}: must be a regular expression ({error})") from error

    @staticmethod
    def _require_files(name: str, *paths: Path | None) -> None:
        for path in paths:
            if path is not None and not path.is_file():
                raise ValueError(f"{name}={path}: there is no such file")

    @property
    def csv(self) -> Path:
        """Where the rows are."""
        return self.results or self.work / "results.csv"


def read_options(arguments: Sequence[str] | None = None) -> Options:
    """The options of a command line; exits with status 2 and a message if they cannot be."""
    flags = argparse.ArgumentParser(prog="python -m benchmarks.quality", description="Error rates on real corpora.")
    for name in ("plan", "train", "test", "work"):
        flags.add_argument(f"--{name}", type=Path, required=True)
    flags.add_argument("--pretrain", type=Path, nargs="+", required=True)
    for name in ("noise", "lexicon", "results"):
        flags.add_argument(f"--{name}", type=Path)
    flags.add_argument("--jobs", type=int, default=1)
    flags.add_argument("--device", default="cpu")
    flags.add_argument("--only", default="", help="regular expression for names of runs")
    return options_of(Options, flags, arguments)
