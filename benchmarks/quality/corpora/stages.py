# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""The stages of a run, each the shipped script of its kind: pretraining an encoder, fine-tuning a recogniser."""

from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from benchmarks.quality import training
from benchmarks.quality.corpora.plan import Plan, Run
from benchmarks.quality.corpora.prepare import Prepared
from benchmarks.shipped import CTC


def pretrained(plan: Plan, run: Run, data: Prepared, work: Path, device: str) -> dict[str, Any]:
    """A run's pretrained model, see `training.trained`."""
    folder = work / "pretrained" / f"{run.arm}-steps{run.steps}-seed{run.seed}"
    cfg = pretraining_config(plan, run, data, folder, device)
    return {**training.pretrained(cfg, folder, plan.configuration(run)), "objective": cfg.model.objective}


def pretraining_config(plan: Plan, run: Run, data: Prepared, folder: Path, device: str) -> DictConfig:
    """The config of its pretraining."""
    parts = [data.manifest(name) for name in ("pretrain", "dev_pieces")]
    noise = data.manifest("noise") if plan.arms[run.arm].noise else None
    place = training.Place(folder, run.seed, device)
    return training.pretraining_config(plan.overrides(run.arm), run.steps, place, parts, noise)


def finetuned(plan: Plan, run: Run, data: Prepared, encoder: Path, work: Path, device: str) -> dict[str, Any]:
    """A run's recogniser, see `training.trained`; `encoder` is the pretrained model's file."""
    name = f"{run.arm}-steps{run.steps}-seed{run.seed}-min{run.minutes}-ft{run.finetune_steps}"
    folder, overrides = work / "finetuned" / name, plan.finetune_overrides(run.arm)
    cfg = training.config_of_run(CTC, overrides, run.finetune_steps, training.Place(folder, run.seed, device))
    cfg.pretrained.path, cfg.model.labels, cfg.model.use_cer = str(encoder), data.labels, True
    cfg.model.train_ds.manifest_filepath = str(data.subset(run.minutes, run.seed))
    cfg.model.validation_ds.manifest_filepath = str(data.manifest("dev"))
    wanted = {**plan.configuration(run), "finetune": plan.finetuning(run)}
    return training.trained("finetune_streaming_asr", cfg, folder, wanted)
