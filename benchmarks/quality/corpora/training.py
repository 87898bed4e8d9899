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
from typing import Any

import lightning.pytorch as pl
from omegaconf import DictConfig

from benchmarks.files import differences, locked, replacing
from benchmarks.quality.corpora.plan import Plan, Run
from benchmarks.quality.corpora.prepare import Prepared
from benchmarks.quality.corpora.results import CURVE_STEPS
from benchmarks.shipped import CTC, SCRIPTS, UNIFORM, shipped_config
from nemo.collections.asr.models import EncDecDenoiseMaskedTokenPredModel
from nemo.utils import logging


def be_quiet() -> None:
    """Leaves errors to say; to be called after all imports, because Lightning's packages set levels of their own."""
    logging.setLevel(ERROR)
    warnings.filterwarnings("ignore")
    for name in ("lightning.pytorch", "lightning.fabric", "pytorch_lightning", "lightning_fabric"):
        getLogger(name).setLevel(ERROR)


def pretrained(plan: Plan, run: Run, data: Prepared, work: Path, device: str) -> dict[str, Any]:
    """A run's pretrained model, see `trained`; the initial weights for 0 steps."""
    folder = work / "pretrained" / f"{run.arm}-steps{run.steps}-seed{run.seed}"
    cfg = pretraining_config(plan, run, data, folder, device)
    script = "hierarchical_streaming_nest" if run.steps else ""
    return {**trained(script, cfg, folder, plan.configuration(run)), "objective": cfg.model.objective}


def pretraining_config(plan: Plan, run: Run, data: Prepared, folder: Path, device: str) -> DictConfig:
    """The config of its pretraining; without noise, the model hears clean speech."""
    cfg = config_of_run(UNIFORM, plan.overrides(run.arm), run.steps, folder, run.seed, device)
    cfg.model.train_ds.manifest_filepath = str(data.manifest("pretrain"))
    cfg.model.train_ds.noise_manifest = str(data.manifest("noise"))
    cfg.model.validation_ds.manifest_filepath = str(data.manifest("dev_pieces"))
    del cfg.model.validation_ds.batch_augmentor
    if not plan.arms[run.arm].noise:
        del cfg.model.train_ds.batch_augmentor
        cfg.model.train_ds.noise_manifest = None
    return cfg


def finetuned(plan: Plan, run: Run, data: Prepared, encoder: Path, work: Path, device: str) -> dict[str, Any]:
    """A run's recogniser, see `trained`; `encoder` is the pretrained model's file."""
    name = f"{run.arm}-steps{run.steps}-seed{run.seed}-min{run.minutes}-ft{run.finetune_steps}"
    folder, overrides = work / "finetuned" / name, plan.finetune_overrides(run.arm)
    cfg = config_of_run(CTC, overrides, run.finetune_steps, folder, run.seed, device)
    cfg.pretrained.path, cfg.model.labels, cfg.model.use_cer = str(encoder), data.labels, True
    cfg.model.train_ds.manifest_filepath = str(data.subset(run.minutes, run.seed))
    cfg.model.validation_ds.manifest_filepath = str(data.manifest("dev"))
    wanted = {**plan.configuration(run), "finetune": plan.finetuning(run)}
    return trained("finetune_streaming_asr", cfg, folder, wanted)


def config_of_run(name: str, overrides: Sequence[str], steps: int, folder: Path, seed: int, device: str) -> DictConfig:
    """A shipped config with a plan's overrides; how long, where and on what it is run. Unless the plan says otherwise,
    it is validated once, at the end."""
    validation = [f"trainer.val_check_interval={steps}", "trainer.check_val_every_n_epoch=null"]
    cfg = shipped_config(name, [*validation, *overrides])
    cfg.model.seed, cfg.name, cfg.exp_manager.exp_dir = seed, folder.name, str(folder.parent)
    kind, _, index = device.partition(":")
    cfg.trainer.accelerator = "gpu" if kind == "cuda" else kind
    cfg.trainer.devices = [int(index or 0)] if kind == "cuda" else 1
    cfg.trainer.update(max_steps=steps, max_epochs=-1, strategy="auto", enable_progress_bar=False, log_every_n_steps=1)
    return cfg


def trained(script: str, cfg: DictConfig, folder: Path, configuration: Mapping[str, Any]) -> dict[str, Any]:
    """Runs a script of `SCRIPTS`, if that was not done; no script leaves the initial weights.

    Returns:
        `model`, the .nemo file; `curve`, the mean loss of every 50 steps in nats; `measured`, what the last
        validation has logged, by names without `val_`; `seconds`, of the last start

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
    """The loss of each step, and the metrics of the last validation, from what the script has written."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    losses: dict[int, float] = {}
    measured: dict[str, float] = {}
    for file in sorted(folder.rglob("events.out.tfevents.*")):  # one for each start
        events = EventAccumulator(str(file), size_guidance={"scalars": 0})
        for tag in events.Reload().Tags()["scalars"]:
            values = events.Scalars(tag)
            if tag == "train_loss":
                losses.update((event.step, event.value) for event in values)
            elif tag.startswith("val_"):
                measured[tag.removeprefix("val_")] = round(values[-1].value, 5)
    return [losses[step] for step in sorted(losses)], measured
