# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""The command line's options, checked before anything is made."""

import argparse
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.quality.flags import options_of, require, require_device
from benchmarks.table import RESULTS


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

    def __post_init__(self) -> None:
        for name in ("minutes", "steps", "batch_size", "lr", "block_size", "d_model", "layers", "heads", "jobs"):
            require(getattr(self, name) > 0, name, getattr(self, name), "above 0")
        require(self.classes > 1, "classes", self.classes, "2 or more")
        require(0 <= self.warmup < 1, "warmup", self.warmup, "from 0 to below 1")
        require(0 < self.mask_prob <= 1, "mask_prob", self.mask_prob, "above 0 and at most 1")
        require(self.crop_seconds >= 0.5, "crop_seconds", self.crop_seconds, "0.5 or more")
        require(min(self.seeds, default=-1) >= 0, "seeds", self.seeds, "one or more, each 0 or more")
        require(len(set(self.seeds)) == len(self.seeds), "seeds", self.seeds, "different from each other")
        require(self.d_model % self.heads == 0, "d_model", self.d_model, f"a multiple of {self.heads} heads")
        require_device(self.device, "cpu", "cuda", "mps")
        fine = len(self.contexts) == self.layers
        require(fine, "contexts", self.contexts, f"{self.layers}, one for each layer")
        require(min(self.contexts) > 0, "contexts", self.contexts, "above 0, in encoder frames")
        fine = sum(self.contexts) % self.layers == 0
        require(fine, "contexts", self.contexts, f"of a sum that {self.layers} layers can share evenly")

    def configuration(self) -> dict:
        """What decides the result, for the CSV: everything but where it is written and how many processes do it."""
        return {name: value for name, value in asdict(self).items() if name not in ("seeds", "output", "jobs")}


def read_options(arguments: Sequence[str] | None = None) -> Options:
    """The options of a command line; exits with status 2 and a message if they cannot be."""
    flags = argparse.ArgumentParser(prog="python -m benchmarks.quality", description="Phone probes on features.")
    for name, default in asdict(Options()).items():
        several = isinstance(default, tuple)
        kind: type = type(default[0] if several else default)
        flag, nargs = "--" + name.replace("_", "-"), "+" if several else None
        flags.add_argument(flag, type=kind, default=default, help="default: %(default)s", nargs=nargs)
    return options_of(Options, flags, arguments)
