# Copyright (c) 2026, the streaming-ssl authors.
#
# Licensed under the Apache License, Version 2.0 (the "License");
# you may not use this file except in compliance with the License.
# You may obtain a copy of the License at
#
#     http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS,
# WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
# See the License for the specific language governing permissions and
# limitations under the License.

"""What all benchmarks of speed share: sides that take turns in one process, time, peak memory, rows of one CSV.

    make benchmark                                       # every part, on this machine
    python -m benchmarks.speed.attention --device cuda   # one part; its rows in the CSV are replaced
    python -m benchmarks.speed.attention --help          # sizes

A row is one side of one case. Its ratio is its median time (peak memory) over that of the fastest (smallest) NeMo side
of the case; ratios carry over to other machines, times do not. Peak memory is what the step allocates above what was
there before. On a CPU every part runs twice, in processes of their own: with glibc's default malloc, and with one that
keeps its pages (`TUNED_MALLOC`), since the default one flatters whoever allocates less.
"""

import argparse
import csv
import os
import platform
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable, Dict, Iterable, List

import numpy as np
import torch
from torch.profiler import ProfilerActivity, profile

import nemo
from nemo.utils import logging

RESULTS = Path(__file__).resolve().parents[1] / "results" / "speed.csv"
PERCENTILES = (20, 50, 80)
TUNED_MALLOC = {
    "MALLOC_MMAP_THRESHOLD_": str(2**32),
    "MALLOC_TRIM_THRESHOLD_": str(2**34),
    "MALLOC_TOP_PAD_": str(2**28),
}
COLUMNS = """
    part case side p20_ms p50_ms p80_ms peak_mib time_ratio memory_ratio turns
    malloc d_model heads batch device dtype threads torch nemo
""".split()
# what says which rows a new run replaces
KEYS = ("part", "malloc", "device", "dtype")


@dataclass
class Case:
    """Steps that do the same work.

    Args:
        part: the part of the benchmark
        settings: what tells this case from the others of its part
        ours: a step of ours; None if there is only something to compare with
        nemo: steps of NeMo, by name: its modes
        others: steps that are only shown, by name
    """

    part: str
    settings: Dict[str, object]
    ours: Callable[[], object]
    nemo: Dict[str, Callable[[], object]] = field(default_factory=dict)
    others: Dict[str, Callable[[], object]] = field(default_factory=dict)

    @property
    def sides(self) -> Dict[str, Callable[[], object]]:
        return {"ours": self.ours, **self.nemo, **self.others}


def wait(device: torch.device):
    """Until the device is idle."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def timed(step: Callable, device: torch.device) -> float:
    """Milliseconds of a step, from an idle device to an idle device: on a GPU between two of its events."""
    wait(device)
    if device.type == "cuda":
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        step()
        end.record()
        wait(device)
        return start.elapsed_time(end)
    began = time.perf_counter()
    step()
    return 1000.0 * (time.perf_counter() - began)


def take_turns(sides: Dict[str, Callable], device: torch.device, seconds: float) -> Dict[str, List[float]]:
    """Times of each side, in alternating order, until so many seconds have passed: at least 5 turns, at most 200."""
    times = {name: [] for name in sides}
    for step in sides.values():
        timed(step, device)
        timed(step, device)
    start, turns = time.perf_counter(), 0
    while turns < 5 or (time.perf_counter() - start < seconds and turns < 200):
        for name in list(sides)[:: 1 if turns % 2 else -1]:
            times[name].append(timed(sides[name], device))
        turns += 1
    return times


def peak_mib(step: Callable, device: torch.device) -> float:
    """The most that a step has allocated at a time, in MiB."""
    if device.type == "cuda":
        wait(device)
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        step()
        return (torch.cuda.max_memory_allocated(device) - before) / 2**20
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as recorded:
        step()
    events = [event for event in recorded.profiler.kineto_results.events() if event.name() == "[memory]"]
    changes = [event.nbytes() for event in sorted(events, key=lambda event: event.start_ns())]
    return max(np.cumsum(changes), default=0) / 2**20


def measure(case: Case, args) -> Iterable[dict]:
    """The rows of a case, one for each side."""
    times = take_turns(case.sides, args.device, args.seconds)
    columns = {
        name: {
            **{f"p{p}_ms": np.percentile(times[name], p) for p in PERCENTILES},
            "peak_mib": peak_mib(step, args.device),
        }
        for name, step in case.sides.items()
    }
    for name, own in columns.items():
        row = {"part": case.part, "case": _words(case.settings), "side": name, "turns": len(times[name])}
        row.update({key: f"{value:.3f}" for key, value in own.items()})
        for key, ratio in (("p50_ms", "time_ratio"), ("peak_mib", "memory_ratio")):
            if case.nemo:
                row[ratio] = f"{own[key] / max(min(columns[side][key] for side in case.nemo), 1e-9):.3f}"
        yield row


def _words(settings: Dict[str, object]) -> str:
    return " ".join(f"{name}={value}" for name, value in settings.items())


def surroundings(args) -> dict:
    """The columns that are the same in every row of a run."""
    cuda = args.device.type == "cuda"
    return {
        "malloc": "" if cuda else malloc(),
        "d_model": args.d_model,
        "heads": args.heads,
        "batch": args.batch,
        "device": torch.cuda.get_device_name(args.device) if cuda else f"cpu {platform.machine()}",
        "dtype": args.dtype,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "nemo": nemo.__version__,
    }


def malloc() -> str:
    """How this process allocates."""
    return "tuned" if all(os.environ.get(name) == value for name, value in TUNED_MALLOC.items()) else "default"


def read_rows(path: Path) -> List[dict]:
    """The rows of the CSV, none if there is no file."""
    if not path.exists():
        return []
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def write_rows(path: Path, rows: List[dict]):
    """Writes the CSV in the place of what was there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".part")
    with open(temporary, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    temporary.replace(path)


def run(cases: Callable[[argparse.Namespace], Iterable[Case]], args):
    """Measures the cases in this process, and puts their rows into the CSV in the place of older ones of the kind."""
    logging.setLevel(logging.ERROR)
    torch.set_num_threads(args.threads)
    same, fresh = surroundings(args), []
    for case in cases(args):
        for row in measure(case, args):
            fresh.append({**row, **{key: str(value) for key, value in same.items()}})
            print("  ".join(f"{key}={value}" for key, value in row.items()), flush=True)
    replaced = {tuple(row[key] for key in KEYS) for row in fresh}
    kept = [row for row in read_rows(args.output) if tuple(row[key] for key in KEYS) not in replaced]
    write_rows(args.output, kept + fresh)


def parse_arguments(description: str, argv) -> argparse.Namespace:
    """The flags of every part."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--device", type=torch.device, default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--dtype", choices=["float32", "bfloat16"], default="float32", help="bfloat16 is autocast")
    parser.add_argument("--d-model", type=int, default=256)
    parser.add_argument("--heads", type=int, default=8)
    parser.add_argument("--batch", type=int, default=4, help="utterances")
    parser.add_argument("--threads", type=int, default=2, help="of torch on the CPU")
    parser.add_argument("--seconds", type=float, default=5.0, help="per case, at least")
    parser.add_argument("--malloc", choices=["tuned", "default", "both", "this"], default="both")
    parser.add_argument("--output", type=Path, default=RESULTS)
    args = parser.parse_args(argv)
    if min(args.d_model, args.heads, args.batch, args.threads) < 1 or args.d_model % args.heads:
        parser.error("sizes must be 1 or more, and --d-model a multiple of --heads")
    return args


def main(part: str, description: str, cases: Callable, argv=None) -> int:
    """The command `python -m benchmarks.speed.<part>`."""
    argv = sys.argv[1:] if argv is None else argv
    args = parse_arguments(description, argv)
    if args.malloc == "this" or args.device.type == "cuda":
        run(cases, args)
        return 0
    for kind in ("tuned", "default") if args.malloc == "both" else (args.malloc,):
        environment = {name: value for name, value in os.environ.items() if name not in TUNED_MALLOC}
        environment.update(TUNED_MALLOC if kind == "tuned" else {})
        print(f"{part}, malloc {kind}", flush=True)
        command = [sys.executable, "-m", f"benchmarks.speed.{part}", *argv, "--malloc", "this"]
        subprocess.run(command, check=True, env=environment, cwd=Path(__file__).resolve().parents[2])
    return 0


def forward_backward(function: Callable[[], torch.Tensor], inputs: Iterable[torch.Tensor], args) -> Callable[[], None]:
    """A step: `function()`, under autocast if asked for, and its gradients in `inputs`."""
    inputs, upstream = list(inputs), []

    def step():
        for tensor in inputs:
            tensor.grad = None
        with autocast(args):
            output = function()
        if not upstream:
            upstream.append(torch.randn(output.shape, dtype=output.dtype, device=output.device))
        output.backward(upstream[0])

    return step


def autocast(args):
    """Mixed precision, if asked for."""
    return torch.autocast(args.device.type, torch.bfloat16, enabled=args.dtype == "bfloat16")
