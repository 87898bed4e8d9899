# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""The plan's runs, those first that come first; runs with one pretrained encoder are one task."""

import json
import re
import time
import traceback
from functools import partial
from typing import Any

import torch

from benchmarks.files import differences
from benchmarks.quality.corpora.options import Options
from benchmarks.quality.corpora.plan import Plan, Run, read_plan
from benchmarks.quality.corpora.prepare import Prepared, checked_data, prepare
from benchmarks.quality.corpora.results import append, check_columns, circumstances
from benchmarks.quality.workers import workers
from benchmarks.shipped import CTC, UNIFORM, shipped_config
from benchmarks.table import read_rows
from nemo_streaming_ssl.check import InputError

Task = list[Run]


def run_plan(options: Options) -> int:
    """Everything; returns how many tasks have failed.

    Raises:
        ValueError: a plan or data that cannot be used, before any training
    """
    plan = read_plan(options.plan)
    check_overrides(plan)
    check_columns(options.csv)
    tasks = tasks_of(plan, options)
    parts, units = checked_data(options, plan)
    # a process's share of the threads that torch would take, which `OMP_NUM_THREADS` can make fewer
    threads = max(1, torch.get_num_threads() // options.jobs)
    set_up(threads)
    started = time.perf_counter()
    data = prepare(options, plan, parts, units)
    print(f"prepared, {time.perf_counter() - started:.0f} s; {sum(map(len, tasks))} runs to do", flush=True)
    with workers(options.jobs, set_up, threads) as each:
        return sum(each(partial(attempt, options, plan, data), tasks))


def check_overrides(plan: Plan) -> None:
    """Raises a ValueError for Hydra overrides that cannot be."""
    try:
        for arm in dict.fromkeys(run.arm for run in plan.runs):
            shipped_config(UNIFORM, plan.overrides(arm))
            shipped_config(CTC, plan.finetune_overrides(arm))
    except InputError as error:
        raise ValueError(f"arms.{arm}: {error}") from error


def tasks_of(plan: Plan, options: Options) -> list[Task]:
    """The runs that have no row yet and that `--only` takes, grouped by their encoder, in the plan's order."""
    done = {row["name"]: row for row in read_rows(options.csv)}
    tasks: dict[tuple, Task] = {}
    for run in plan.runs:
        if run.name in done:
            check_row(plan, run, done[run.name])
        elif re.search(options.only, run.name):
            tasks.setdefault(run.pretraining, []).append(run)
    return list(tasks.values())


def check_row(plan: Plan, run: Run, row: dict[str, str]) -> None:
    """Raises a ValueError if a run's row was made with other settings than the plan has now."""
    there, tuned = json.loads(row["configuration"]), json.loads(row["finetune_configuration"])
    wanted = {**plan.configuration(run), "finetune": plan.finetuning(run)}
    for what in differences({**there, "finetune": tuned}, wanted):
        raise ValueError(f"{run.name}: its row was made with {what}; remove the row, or give the arm another name")


def set_up(threads: int) -> None:
    """Gives a process its share of the cores."""
    torch.set_num_threads(threads)


def attempt(options: Options, plan: Plan, data: Prepared, task: Task) -> int:
    """Does a task; 1 if it failed, which does not keep others from being done."""
    try:
        do(options, plan, data, task)
        return 0
    except Exception:  # whatever it is, hours of other runs must not be lost
        print(f"{task[0].name}: failed\n{traceback.format_exc()}", flush=True)
        return 1


def do(options: Options, plan: Plan, data: Prepared, task: Task) -> None:
    """Pretrains, then fine-tunes for each amount of speech and number of steps, and tests; what is there is taken."""
    # NeMo takes seconds to import: not before everything is known to be good
    from benchmarks.quality.corpora.training import finetuned, pretrained

    encoder = pretrained(plan, task[0], data, options.work, options.device)
    for run in task:
        tuned = finetuned(plan, run, data, encoder["model"], options.work, options.device)
        append(options.csv, row_of(plan, run, data, encoder, tuned, options.device))


def row_of(plan: Plan, run: Run, data: Prepared, encoder: dict, tuned: dict, device: str) -> dict[str, Any]:
    """Tests the model; the run's row."""
    from benchmarks.quality.corpora.evaluate import evaluate
    from nemo.collections.asr.models import ASRModel

    model = ASRModel.restore_from(tuned["model"], map_location=device).eval()
    tested = evaluate(model, data.manifest(run.on))
    print(f"{run.name}: error {tested['error']:.4f}, {tested['test_seconds']:.0f} s", flush=True)
    arm, dev = plan.arms[run.arm], encoder["measured"]
    names = ("name", "arm", "steps", "seed", "minutes", "finetune_steps", "on")
    return {
        **{name: getattr(run, name) for name in names},
        "unit": data.unit,
        "objective": encoder["objective"] if run.steps else "none",
        **tested,
        "dev_loss_bits": dev.get("loss_bits"),
        "dev_target_entropy_bits": dev.get("target_entropy_bits"),
        "dev_metrics": dev,
        "pretrain_curve": encoder["curve"],
        "pretrain_seconds": encoder["seconds"],
        "finetune_curve": tuned["curve"],
        "finetune_seconds": tuned["seconds"],
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "encoder_parameters": sum(parameter.numel() for parameter in model.encoder.parameters()),
        "contexts": [list(context) for context in model.encoder.layer_contexts],
        "overrides": [*arm.overrides, *arm.finetune_overrides],
        "configuration": plan.configuration(run),
        "finetune_configuration": plan.finetuning(run),
        **circumstances(device),
    }
