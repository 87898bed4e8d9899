# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""The plan's runs, those first that come first; runs with one pretrained encoder are one task."""

import json
import re
import time
import traceback
from functools import partial
from pathlib import Path

import torch

from benchmarks.quality.corpora.model_config import model_config
from benchmarks.quality.corpora.options import Options
from benchmarks.quality.corpora.plan import Plan, Run, differences, plain, read_plan
from benchmarks.quality.corpora.prepare import checked_data, prepare
from benchmarks.quality.corpora.results import append, check_columns, circumstances, read_rows
from benchmarks.quality.workers import workers

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
    data = checked_data(options, plan)
    # NeMo takes seconds to import: not before everything is known to be good
    threads = threads_of(options.jobs)
    set_up(threads)
    started = time.perf_counter()
    folder = prepare(options, plan, *data)
    print(f"prepared, {time.perf_counter() - started:.0f} s; {sum(map(len, tasks))} runs to do", flush=True)
    with workers(options.jobs, set_up, threads) as each:
        return sum(each(partial(attempt, options, plan, folder), tasks))


def check_overrides(plan: Plan):
    """Raises a ValueError for Hydra overrides that cannot be."""
    for name in {run.arm: None for run in plan.runs}:
        arm = plan.arms[name]
        model_config([*plan.common.overrides, *arm.overrides])
        tuning = [*plan.common.finetune.overrides, *arm.finetune_overrides]
        model_config([*plan.common.overrides, *arm.overrides, *tuning])


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


def check_row(plan: Plan, run: Run, row: dict[str, str]):
    """Raises a ValueError if a run's row was made with other settings than the plan has now."""
    there, tuned = json.loads(row["configuration"]), json.loads(row["finetune_configuration"])
    wanted = {**plan.configuration(run), "finetune": plan.finetuning(run)}
    for what in differences({**there, "finetune": tuned}, wanted):
        raise ValueError(f"{run.name}: its row was made with {what}; remove the row, or give the arm another name")


def threads_of(jobs: int) -> int:
    """A process's share of the threads that torch would take, which `OMP_NUM_THREADS` can make fewer."""
    return max(1, torch.get_num_threads() // jobs)


def set_up(threads: int):
    """Gives a process its share of the cores, and only errors to say."""
    from benchmarks.quality.corpora.training import be_quiet

    torch.set_num_threads(threads)
    be_quiet()


def attempt(options: Options, plan: Plan, folder: Path, task: Task) -> int:
    """Does a task; 1 if it failed, which does not keep others from being done."""
    try:
        do(options, plan, folder, task)
        return 0
    except Exception:  # whatever it is, hours of other runs must not be lost
        print(f"{task[0].name}: failed\n{traceback.format_exc()}", flush=True)
        return 1


def do(options: Options, plan: Plan, folder: Path, task: Task):
    """Pretrains, or finds the encoder, then fine-tunes for each amount of speech and number of steps, and tests."""
    from benchmarks.quality.corpora.finetune import finetune
    from benchmarks.quality.corpora.prepared import Prepared
    from benchmarks.quality.corpora.pretrain import pretrained

    data = Prepared(folder)
    found = pretrained(plan, task[0], data, options.work, options.device)
    for tuning in {run.finetuning: None for run in task}:
        runs = [run for run in task if run.finetuning == tuning]
        model, tuned = finetune(plan, runs[0], data, found["encoder"], options.device)
        print(f"{runs[0].name}: fine-tuned, {tuned['finetune_seconds']:.0f} s", flush=True)
        for run in runs:
            append(options.csv, row_of(plan, run, data, found, model, tuned, options.device))


def row_of(plan: Plan, run: Run, data, found: dict, model, tuned: dict, device: str) -> dict:
    """Tests the model; the run's row."""
    from benchmarks.quality.corpora.evaluate import evaluate

    tested = evaluate(model, data, run.on)
    print(f"{run.name}: error {tested['error']:.4f}, {tested['test_seconds']:.0f} s", flush=True)
    arm, dev = plan.arms[run.arm], found["dev"]
    names = ("arm", "steps", "seed", "minutes", "finetune_steps", "on")
    return {
        "name": run.name,
        **{name: getattr(run, name) for name in names},
        "unit": data.unit,
        "objective": found["objective"] if run.steps else "none",
        **tested,
        **tuned,
        "dev_loss_bits": dev.get("loss_bits"),
        "dev_target_entropy_bits": dev.get("target_entropy_bits"),
        "dev_metrics": dev,
        "pretrain_curve": found["curve"],
        "pretrain_seconds": found["seconds"],
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "encoder_parameters": sum(parameter.numel() for parameter in model.encoder.parameters()),
        "contexts": plain([list(context) for context in model.encoder.layer_contexts]),
        "overrides": [*arm.overrides, *arm.finetune_overrides],
        "configuration": plan.configuration(run),
        "finetune_configuration": plan.finetuning(run),
        **circumstances(device),
    }
