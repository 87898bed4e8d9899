# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""What is compared: arms (ways to pretrain) and runs (how much of which speech, with which seed)."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from itertools import product
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

ALL = "all"
SETS = ("test", "dev")
BLOCK = ("arms", "minutes", "seeds", "on", "steps", "finetune_steps")  # keys of an item of `runs`


@dataclass(frozen=True)
class Finetune:
    """Training of the recogniser: steps where a block of runs does not say how many, utterances in a batch, the
    highest rate, NeMo's spectrogram masks, and Hydra overrides for all arms."""

    steps: int = 800
    lr: float = 1e-3
    batch_size: int = 16
    freq_masks: int = 2
    freq_width: int = 27  # mel bins at most
    time_masks: int = 2
    time_width: float = 0.05  # share of the utterance at most
    overrides: tuple[str, ...] = ()


@dataclass(frozen=True)
class Settings:
    """
    What all arms share.

    Args:
        overrides: Hydra overrides of the shipped streaming config
        steps: of pretraining, where neither an arm nor a block of runs says how many
        batch_size: pieces of speech in a batch of pretraining
        crop_seconds: longer utterances are cut for pretraining
        lr: highest rate of pretraining, after `warmup` of the steps; then down to 0 (cosine)
        warmup: share of the steps, also of fine-tuning's
        weight_decay, betas: AdamW's, also of fine-tuning
        precision: Lightning's
        num_workers: processes that read audio, 0 is none
        masks_drawn: how often the dev speakers are masked anew to measure bits per token
        finetune: see `Finetune`
    """

    overrides: tuple[str, ...] = ()
    steps: int = 1000
    batch_size: int = 16
    crop_seconds: float = 8.0
    lr: float = 1.5e-3
    warmup: float = 0.08
    weight_decay: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.98)
    precision: int | str = 32
    num_workers: int = 0
    masks_drawn: int = 3
    finetune: Finetune = field(default_factory=Finetune)

    def __post_init__(self):
        for name in ("steps", "batch_size", "lr", "masks_drawn"):
            require(getattr(self, name) > 0, f"common.{name}", getattr(self, name), "above 0")
        require(self.crop_seconds >= 1, "common.crop_seconds", self.crop_seconds, "1 or more")
        require(0 <= self.warmup < 1, "common.warmup", self.warmup, "from 0 to below 1")
        for name in ("steps", "lr", "batch_size"):
            value = getattr(self.finetune, name)
            require(value > 0, f"common.finetune.{name}", value, "above 0")


@dataclass(frozen=True)
class Arm:
    """
    One way to pretrain.

    Args:
        overrides: Hydra overrides on top of those that all arms share
        steps: of pretraining, None: the common ones; 0 leaves the initial weights
        noise: whether noise and other speakers are mixed in
        lr: of pretraining, in place of the common one
        delay: encoder steps by which a masked token is predicted later, see `DelayedMaskedTokens`
        finetune_overrides: Hydra overrides for fine-tuning and test alone, such as other contexts
    """

    overrides: tuple[str, ...] = ()
    steps: int | None = None
    noise: bool = False
    lr: float | None = None
    delay: int = 0
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

    @property
    def finetuning(self) -> tuple[float | str, int]:
        """Runs with one encoder and the same one share a recogniser."""
        return self.minutes, self.finetune_steps


@dataclass(frozen=True)
class Plan:
    """Everything that a plan's file says; `runs` in the order of work."""

    common: Settings
    arms: dict[str, Arm]
    runs: list[Run]

    def configuration(self, run: Run) -> dict[str, Any]:
        """What decides a run's pretrained encoder, as plain values."""
        arm, common = asdict(self.arms[run.arm]), asdict(self.common)
        for name in ("finetune", "num_workers", "steps"):
            del common[name]
        del arm["finetune_overrides"], arm["steps"]
        return plain({"common": common, "arm": arm})

    def finetuning(self, run: Run) -> dict[str, Any]:
        """What decides its fine-tuning besides."""
        own = {"steps": run.finetune_steps, "finetune_overrides": self.arms[run.arm].finetune_overrides}
        return plain({**asdict(self.common.finetune), **own})


def require(fine: bool, name: str, value: Any, allowed: str):
    """Raises a ValueError that names an item of the plan, unless it is fine."""
    if not fine:
        raise ValueError(f"{name}={value}: must be {allowed}")


def plain(value: Any) -> Any:
    """The same with lists in place of tuples, as JSON gives it back."""
    if isinstance(value, Mapping):
        return {key: plain(each) for key, each in value.items()}
    return [plain(each) for each in value] if isinstance(value, (list, tuple)) else value


def differences(there: Mapping[str, Mapping], wanted: Mapping[str, Mapping]) -> Iterator[str]:
    """What differs between two configurations, in words; keys that only one of them knows do not count."""
    for part, values in wanted.items():
        for key, value in values.items():
            if there[part].get(key, value) != value:
                yield f"{part}.{key}={there[part][key]}, the plan has {value}"


def filled(cls, given: Mapping, where: str):
    """An object of `cls` from a part of the plan."""
    require(isinstance(given, Mapping), where, given, "a mapping")
    known = [each.name for each in fields(cls)]
    for key in given:
        if key not in known:
            raise ValueError(f'{where}.{key}: unknown key of the plan; allowed are {", ".join(known)}')
        if key.endswith("overrides"):
            require(isinstance(given[key], list), f"{where}.{key}", given[key], "a list")
    values = {key: tuple(value) if isinstance(value, list) else value for key, value in given.items()}
    if isinstance(values.get("finetune"), Mapping):
        values["finetune"] = filled(Finetune, values["finetune"], f"{where}.finetune")
    return cls(**values)


def read_plan(path: Path) -> Plan:
    """The plan of a file.

    Raises:
        ValueError: an unknown key or arm, or a value that is not allowed
    """
    given = OmegaConf.to_container(OmegaConf.load(path), resolve=True)
    require(isinstance(given, Mapping), "plan", path, "a mapping with common, arms and runs")
    for key in given:
        require(key in ("common", "arms", "runs"), "plan", key, "common, arms or runs")
    arms = {name: filled(Arm, arm or {}, f"arms.{name}") for name, arm in (given.get("arms") or {}).items()}
    common = filled(Settings, given.get("common") or {}, "common")
    for name, arm in arms.items():
        for key in ("steps", "delay"):
            value = getattr(arm, key)
            fine = value is None or (isinstance(value, int) and value >= 0)
            require(fine, f"arms.{name}.{key}", value, "0 or more")
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


def check_block(block: Mapping, where: str, arms: Mapping[str, Arm]):
    """Raises a ValueError for an item of `runs` that cannot be."""
    require(isinstance(block, Mapping), where, block, "a mapping")
    for key in block:
        require(key in BLOCK, where, key, f'one of {", ".join(BLOCK)}')
    for key in ("arms", "minutes", "seeds", "steps", "finetune_steps"):
        optional = key.endswith("steps") and key not in block
        require(optional or isinstance(block.get(key), list), f"{where}.{key}", block.get(key), "a list")
    for arm in block["arms"]:
        require(arm in arms, f"{where}.arms", arm, f'one of {", ".join(arms)}')
    for minutes in block["minutes"]:
        fine = minutes == ALL or (is_number(minutes) and minutes > 0)
        require(fine, f"{where}.minutes", minutes, f"above 0, or {ALL}")
    for key in ("seeds", "steps"):
        for value in block.get(key, []):
            require(isinstance(value, int) and value >= 0, f"{where}.{key}", value, "0 or more")
    for value in block.get("finetune_steps", []):
        require(isinstance(value, int) and value > 0, f"{where}.finetune_steps", value, "above 0")
    require(block.get("on", "test") in SETS, f"{where}.on", block.get("on"), " or ".join(SETS))


def is_number(value: Any) -> bool:
    """True for an int or a float, not for a bool."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)
