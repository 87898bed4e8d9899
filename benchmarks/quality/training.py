# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""What this repository ships, called: the scripts of pretraining and of fine-tuning, with the overrides of a plan.

Each run has a folder with all that the script writes. A run that was stopped goes on where it was, as the script does.
"""

import json
import runpy
import time
import warnings
from collections.abc import Mapping, Sequence
from logging import ERROR, getLogger
from pathlib import Path
from statistics import mean
from typing import Any, NamedTuple

import lightning.pytorch as pl
from omegaconf import DictConfig

from benchmarks.files import differences, locked, replacing
from benchmarks.shipped import SCRIPTS, UNIFORM, shipped_config
from nemo.collections.asr.models import EncDecDenoiseMaskedTokenPredModel
from nemo.utils import logging

CURVE_STEPS = 50  # of which a value of a loss curve is the mean


def be_quiet() -> None:
    """Leaves errors to say; to be called after all imports, because Lightning's packages set levels of their own."""
    logging.setLevel(ERROR)
    warnings.filterwarnings("ignore")
    for name in ("lightning.pytorch", "lightning.fabric", "pytorch_lightning", "lightning_fabric"):
        getLogger(name).setLevel(ERROR)


class Place(NamedTuple):
    """Where a run is done: the folder that gets all files, with which seed, and on what device, as `cuda:1`."""

    folder: Path
    seed: int
    device: str


def config_of_run(name: str, overrides: Sequence[str], steps: int, place: Place) -> DictConfig:
    """A shipped config with a plan's overrides. Unless these say otherwise, it is validated once, at the end."""
    validation = [f"trainer.val_check_interval={steps}", "trainer.check_val_every_n_epoch=null"]
    cfg = shipped_config(name, [*validation, *overrides])
    cfg.model.seed, cfg.name, cfg.exp_manager.exp_dir = place.seed, place.folder.name, str(place.folder.parent)
    kind, _, index = place.device.partition(":")
    cfg.trainer.accelerator = "gpu" if kind == "cuda" else kind
    cfg.trainer.devices = [int(index or 0)] if kind == "cuda" else 1
    cfg.trainer.update(max_steps=steps, max_epochs=-1, strategy="auto", enable_progress_bar=False, log_every_n_steps=1)
    return cfg


def pretraining_config(
    overrides: Sequence[str], steps: int, place: Place, manifests: Sequence[Path], noise: Path | None
) -> DictConfig:
    """The config of the shipped pretraining script for manifests of training and validation, and one of noise; without
    noise, the model hears clean speech."""
    cfg = config_of_run(UNIFORM, overrides, steps, place)
    cfg.model.train_ds.manifest_filepath, cfg.model.validation_ds.manifest_filepath = map(str, manifests)
    cfg.model.train_ds.noise_manifest = None if noise is None else str(noise)
    del cfg.model.validation_ds.batch_augmentor
    if noise is None:
        del cfg.model.train_ds.batch_augmentor
    return cfg


def pretrained(cfg: DictConfig, folder: Path, configuration: Mapping[str, Any]) -> dict[str, Any]:
    """What the shipped pretraining script makes of its config, see `trained`; the initial weights for 0 steps."""
    return trained("hierarchical_streaming_nest" if cfg.trainer.max_steps else "", cfg, folder, configuration)


def trained(script: str, cfg: DictConfig, folder: Path, configuration: Mapping[str, Any]) -> dict[str, Any]:
    """Runs a script of `SCRIPTS`, if that was not done; no script leaves the initial weights.

    Returns:
        `model`, the .nemo file; `curve`, the mean loss of every 50 steps in nats; `measured`, what was logged last, by
        its name; `seconds`, of the last start

    Raises:
        ValueError: what is in the folder was made with other settings
        RuntimeError: training ended before all steps were taken
    """
    record = folder.with_name(f"{folder.name}.json")  # a script moves what it finds in its folder
    with locked(folder):
        there = json.loads(record.read_text()) if record.exists() else {"configuration": configuration}
        for what in differences(there["configuration"], configuration):
            raise ValueError(f"{folder}: was made with {what}; remove it, or give the arm another name")
        if "model" not in there:
            write(record, there)  # before anything is trained that is not to be gone on with otherwise
            be_quiet()
            started = time.perf_counter()
            model = run_script(script, cfg, folder) if script else initial(cfg, folder)
            curve, measured = logged(folder)
            if script and len(curve) < cfg.trainer.max_steps:
                raise RuntimeError(f"training stopped after {len(curve)} of {cfg.trainer.max_steps} steps")
            parts = [curve[i : i + CURVE_STEPS] for i in range(0, len(curve), CURVE_STEPS)]
            there.update(model=str(model), curve=[round(mean(part), 4) for part in parts], measured=measured)
            there["seconds"] = time.perf_counter() - started
            write(record, there)
            print(f"{folder.name}: trained, {there['seconds']:.0f} s", flush=True)
    return there


def write(record: Path, values: Mapping[str, Any]) -> None:
    """Writes what is known of a run."""
    with replacing(record) as unfinished:
        unfinished.write_text(json.dumps(values))


def run_script(name: str, cfg: DictConfig, folder: Path) -> Path:
    """Calls a script's `main`; its model is kept, its checkpoints are not."""
    runpy.run_path(str(SCRIPTS / f"{name}.py"))["main"](cfg)
    for checkpoint in folder.rglob("*.ckpt"):
        checkpoint.unlink()
    (model,) = folder.rglob("*.nemo")
    return model


def initial(cfg: DictConfig, folder: Path) -> Path:
    """Saves a model with the weights that the script would begin with."""
    pl.seed_everything(cfg.model.seed, workers=True, verbose=False)
    cfg.model.train_ds = cfg.model.validation_ds = None
    model = folder / f"{folder.name}.nemo"
    folder.mkdir(parents=True, exist_ok=True)
    EncDecDenoiseMaskedTokenPredModel(cfg=cfg.model).save_to(str(model))
    return model


def logged(folder: Path) -> tuple[list[float], dict[str, float]]:
    """The loss of each step, and the last value of everything, from what the script has written."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    losses: dict[int, float] = {}
    measured: dict[str, float] = {}
    for file in sorted(folder.rglob("events.out.tfevents.*")):  # one for each start
        events = EventAccumulator(str(file), size_guidance={"scalars": 0})
        for tag in events.Reload().Tags()["scalars"]:
            values = events.Scalars(tag)
            measured[tag] = round(values[-1].value, 5)
            if tag == "train_loss":
                losses.update((event.step, event.value) for event in values)
    return [losses[step] for step in sorted(losses)], measured
