# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Where the prepared data are, and subsets of the labelled speech."""

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from benchmarks.quality.corpora import manifests
from benchmarks.quality.corpora.manifests import Entry
from benchmarks.quality.corpora.plan import ALL


@dataclass(frozen=True)
class Prepared:
    """The files of a folder that `prepare` has made."""

    folder: Path

    @property
    def pretrain(self) -> Path:
        """Pieces of speech of everybody but the dev and test speakers."""
        return self.folder / "pretrain.json"

    @property
    def dev_pieces(self) -> Path:
        """Those of the dev speakers."""
        return self.folder / "dev_pieces.json"

    @property
    def noise(self) -> Path | None:
        """Noise, if some was given."""
        path = self.folder / "noise.json"
        return path if path.exists() else None

    def labelled(self, name: str) -> Path:
        """`train`, `dev` or `test`, texts spelled in labels."""
        return self.folder / f"{name}.json"

    @cached_property
    def constants(self) -> dict:
        """Mean and standard deviation of each mel bin."""
        return json.loads((self.folder / "constants.json").read_text())

    @cached_property
    def labels(self) -> list[str]:
        """The alphabet."""
        return json.loads((self.folder / "labels.json").read_text())["labels"]

    @property
    def unit(self) -> str:
        """What a label is: phones or characters."""
        return json.loads((self.folder / "labels.json").read_text())["unit"]

    def subset(self, minutes: float | str, seed: int) -> Path:
        """A manifest of so much labelled speech: utterances drawn with the seed. It is part of any larger one."""
        entries = drawn(manifests.read(self.labelled("train"), ("text",)), minutes, seed)
        path = self.folder / "subsets" / f"min{minutes}-seed{seed}.json"
        manifests.write(path, entries)
        return path


def drawn(entries: list[Entry], minutes: float | str, seed: int) -> list[Entry]:
    """The first of the shuffled utterances, until there are so many minutes."""
    order = np.random.default_rng(seed).permutation(len(entries))
    chosen, seconds = [], 0.0
    for index in order:
        if minutes != ALL and seconds >= 60 * minutes:
            break
        chosen.append(entries[index])
        seconds += entries[index]["duration"]
    return chosen
