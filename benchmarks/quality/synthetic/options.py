# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""The command line's options, checked before anything is made."""

import argparse
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

RESULTS = Path(__file__).resolve().parents[2] / "results"


@dataclass(frozen=True)
class Options:
    """
    What is run. The defaults are sized for two CPU cores.

    Args:
        seeds: each has its own voices, words, initial weights, batches and masks.
        minutes: of speech for each seed, a fifth of it by the two validation voices.
        steps: optimizer steps of each pretraining.
        batch_size: crops in a batch.
        crop_seconds: length of a crop; utterances that are shorter are padded.
        lr: the highest learning rate, reached after `warmup` of the steps, then down to 0 (cosine).
        warmup: share of the steps.
        mask_prob: probability that a feature frame starts a masked block.
        block_size: feature frames (10 ms) in a masked block.
        d_model, layers, heads, classes: size of the encoder and of the codebook.
        contexts: left contexts of the hierarchical encoder in encoder frames (80 ms), one for each layer.
        device: cpu, cuda, cuda:1, ...
        jobs: processes at a time; on CPU each has its share of the cores.
        output: folder of `quality.csv` and `quality.png`.
    """

    seeds: tuple[int, ...] = (0, 1, 2)
    minutes: float = 10.0
    steps: int = 300
    batch_size: int = 8
    crop_seconds: float = 4.8
    lr: float = 7e-4
    warmup: float = 0.1
    mask_prob: float = 0.06
    block_size: int = 8
    d_model: int = 96
    layers: int = 4
    heads: int = 4
    classes: int = 64
    contexts: tuple[int, ...] = (8, 16, 24, 48)
    device: str = "cpu"
    jobs: int = 2
    output: Path = RESULTS

    def __post_init__(self):
        for name in ("minutes", "steps", "batch_size", "crop_seconds", "lr", "block_size", "layers", "heads", "jobs"):
            self._require(getattr(self, name) > 0, name, "above 0")
        self._require(self.classes > 1, "classes", "2 or more")
        self._require(0 <= self.warmup < 1, "warmup", "from 0 to below 1")
        self._require(0 < self.mask_prob <= 1, "mask_prob", "above 0 and at most 1")
        self._require(self.crop_seconds >= 0.5, "crop_seconds", "0.5 or more")
        self._require(min(self.seeds, default=-1) >= 0, "seeds", "one or more, each 0 or more")
        self._require(len(set(self.seeds)) == len(self.seeds), "seeds", "different from each other")
        self._require(
            self.d_model > 0 and self.d_model % self.heads == 0, "d_model", f"a multiple of {self.heads} heads"
        )
        known = self.device.partition(":")[0] in ("cpu", "cuda", "mps")
        self._require(known, "device", "cpu, cuda or mps, with an index if there are several")
        self._check_contexts()

    def _check_contexts(self):
        self._require(len(self.contexts) == self.layers, "contexts", f"{self.layers}, one for each layer")
        self._require(min(self.contexts) > 0, "contexts", "above 0, in encoder frames")
        shares = sum(self.contexts) % self.layers == 0
        self._require(shares, "contexts", f"of a sum that {self.layers} layers can share evenly")

    def _require(self, fine: bool, name: str, allowed: str):
        if not fine:
            raise ValueError(f"{name}={getattr(self, name)}: must be {allowed}")

    def configuration(self) -> dict:
        """What decides the result, for the CSV: everything but where it is written and how many processes do it."""
        return {name: value for name, value in asdict(self).items() if name not in ("seeds", "output", "jobs")}


def read_options(arguments: Sequence[str] | None = None) -> Options:
    """The options of a command line; exits with status 2 and a message if they cannot be."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.quality", description="Phone probes on features.")
    for name, default in asdict(Options()).items():
        kind = type(default[0] if isinstance(default, tuple) else default)
        several = {"nargs": "+"} if isinstance(default, tuple) else {}
        flag = "--" + name.replace("_", "-")
        parser.add_argument(flag, type=kind, default=default, help="default: %(default)s", **several)
    values = vars(parser.parse_args(arguments))
    try:
        return Options(**{key: tuple(value) if isinstance(value, list) else value for key, value in values.items()})
    except ValueError as error:
        parser.error(str(error))
