# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""What is compared: arms (ways to pretrain) and runs (how much of which speech, with which seed)."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from itertools import product
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from benchmarks.quality.flags import require

ALL = "all"
SETS = ("test", "dev")
BLOCK = ("arms", "minutes", "seeds", "on", "steps", "finetune_steps")  # keys of an item of `runs`


@dataclass(frozen=True)
class Finetune:
    """Training of the recogniser: steps where a block of runs does not say how many, and Hydra overrides of the
    shipped `finetune_streaming_ctc` for all arms."""

    steps: int = 800
    overrides: tuple[str, ...] = ()


@dataclass(frozen=True)
class Settings:
    """
    What all arms share.

    Args:
        overrides: Hydra overrides of the shipped `nest_fast-conformer_streaming`
        steps: of pretraining, where neither an arm nor a block of runs says how many
        crop_seconds: longer utterances are cut for pretraining
        finetune: see `Finetune`
    """

    overrides: tuple[str, ...] = ()
    steps: int = 1000
    crop_seconds: float = 8.0
    finetune: Finetune = field(default_factory=Finetune)

    def __post_init__(self) -> None:
        require(self.steps > 0, "common.steps", self.steps, "above 0")
        require(self.crop_seconds >= 1, "common.crop_seconds", self.crop_seconds, "1 or more")
        require(self.finetune.steps > 0, "common.finetune.steps", self.finetune.steps, "above 0")


@dataclass(frozen=True)
class Arm:
    """
    One way to pretrain.

    Args:
        overrides: Hydra overrides of pretraining, on top of those that all arms share
        steps: of pretraining, None: the common ones; 0 leaves the initial weights
        noise: whether noise and other speakers are mixed in, as the shipped config has it
        finetune_overrides: Hydra overrides of fine-tuning, on top of those that all arms share, such as other contexts
    """

    overrides: tuple[str, ...] = ()
    steps: int | None = None
    noise: bool = False
    finetune_overrides: tuple[str, ...] = ()


@dataclass(frozen=True)
class Run:
    """One row of the results. `steps` of pretraining, `minutes` of labelled speech (or `all`); `on` is what is tested
    on, `test` or `dev`."""

    arm: str
    steps: int
    seed: int
    minutes: float | str
    finetune_steps: int
    on: str

    @property
    def name(self) -> str:
        """What `--only` looks at, and the row's key."""
        return f"{self.arm}-steps{self.steps}-seed{self.seed}-min{self.minutes}-ft{self.finetune_steps}-{self.on}"

    @property
    def pretraining(self) -> tuple[str, int, int]:
        """Runs with the same one share an encoder."""
        return self.arm, self.steps, self.seed


@dataclass(frozen=True)
class Plan:
    """Everything that a plan's file says; `runs` in the order of work."""

    common: Settings
    arms: dict[str, Arm]
    runs: list[Run]

    def overrides(self, arm: str) -> list[str]:
        """Hydra overrides of an arm's pretraining."""
        return [*self.common.overrides, *self.arms[arm].overrides]

    def finetune_overrides(self, arm: str) -> list[str]:
        """Those of its fine-tuning."""
        return [*self.common.finetune.overrides, *self.arms[arm].finetune_overrides]

    def configuration(self, run: Run) -> dict[str, Any]:
        """What decides a run's pretrained encoder, as plain values."""
        arm, common = self.arms[run.arm], self.common
        return {
            "common": {"overrides": list(common.overrides), "crop_seconds": common.crop_seconds},
            "arm": {"overrides": list(arm.overrides), "noise": arm.noise},
        }

    def finetuning(self, run: Run) -> dict[str, Any]:
        """What decides its fine-tuning besides."""
        own = list(self.arms[run.arm].finetune_overrides)
        overrides = list(self.common.finetune.overrides)
        return {"steps": run.finetune_steps, "overrides": overrides, "finetune_overrides": own}


def filled(cls: Any, given: Mapping, where: str) -> Any:
    """An object of `cls` from a part of the plan."""
    require(isinstance(given, Mapping), where, given, "a mapping")
    known = [each.name for each in fields(cls)]
    for key in given:
        if key not in known:
            raise ValueError(f'{where}.{key}: unknown key of the plan; allowed are {", ".join(known)}')
        if key.endswith("overrides"):
            require(isinstance(given[key], list), f"{where}.{key}", given[key], "a list")
    values: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in given.items()}
    if isinstance(values.get("finetune"), Mapping):
        values["finetune"] = filled(Finetune, values["finetune"], f"{where}.finetune")
    return cls(**values)


def read_plan(path: Path) -> Plan:
    """The plan of a file.

    Raises:
        ValueError: an unknown key or arm, or a value that is not allowed
    """
    given: Any = OmegaConf.to_container(OmegaConf.load(path), resolve=True)
    require(isinstance(given, Mapping), "plan", path, "a mapping with common, arms and runs")
    for key in given:
        require(key in ("common", "arms", "runs"), "plan", key, "common, arms or runs")
    arms = {name: filled(Arm, arm or {}, f"arms.{name}") for name, arm in (given.get("arms") or {}).items()}
    common = filled(Settings, given.get("common") or {}, "common")
    for name, arm in arms.items():
        require(arm.steps is None or is_above(arm.steps, -1), f"arms.{name}.steps", arm.steps, "0 or more")
    return Plan(common, arms, read_runs(given.get("runs") or [], arms, common))


def read_runs(blocks: list[Mapping], arms: Mapping[str, Arm], common: Settings) -> list[Run]:
    """Every run once, in order: within a block by seed, then arm, then minutes."""
    runs: dict[str, Run] = {}
    for number, block in enumerate(blocks):
        where = f"runs[{number}]"
        if isinstance(block, Mapping):
            block = {"on" if key is True else key: value for key, value in block.items()}  # YAML reads `on` as true
        check_block(block, where, arms)
        for run in runs_of(block, arms, common):
            runs.setdefault(run.name, run)
    return list(runs.values())


def runs_of(block: Mapping, arms: Mapping[str, Arm], common: Settings) -> Iterator[Run]:
    """The runs of one item of `runs`."""
    for seed, arm in product(block["seeds"], block["arms"]):
        own = arms[arm].steps
        lengths = block.get("steps", [common.steps if own is None else own])
        tuned = block.get("finetune_steps", [common.finetune.steps])
        for steps, minutes, finetune_steps in product(lengths, block["minutes"], tuned):
            yield Run(arm, steps, seed, minutes, finetune_steps, block.get("on", "test"))


def check_block(block: Mapping, where: str, arms: Mapping[str, Arm]) -> None:
    """Raises a ValueError for an item of `runs` that cannot be."""
    require(isinstance(block, Mapping), where, block, "a mapping")
    for key in block:
        require(key in BLOCK, where, key, f"one of {', '.join(BLOCK)}")
    allowed: dict[str, tuple[Callable[[Any], bool], str]] = {
        "arms": (lambda arm: arm in arms, f"one of {', '.join(arms)}"),
        "minutes": (lambda minutes: minutes == ALL or is_above(minutes, 0, (int, float)), f"above 0, or {ALL}"),
        "seeds": (lambda seed: is_above(seed, -1), "0 or more"),
        "steps": (lambda steps: is_above(steps, -1), "0 or more"),
        "finetune_steps": (lambda steps: is_above(steps, 0), "above 0"),
    }
    for key, (is_fine, what) in allowed.items():
        if key in block or not key.endswith("steps"):
            require(isinstance(block.get(key), list), f"{where}.{key}", block.get(key), "a list")
            for value in block[key]:
                require(is_fine(value), f"{where}.{key}", value, what)
    require(block.get("on", "test") in SETS, f"{where}.on", block.get("on"), " or ".join(SETS))


def is_above(value: Any, least: int, kinds: Any = int) -> bool:
    """True for a number of one of these kinds, not for a bool, that is above `least`."""
    return isinstance(value, kinds) and not isinstance(value, bool) and value > least
