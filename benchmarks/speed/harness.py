# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""What all benchmarks of speed share: sides that take turns in one process, time, peak memory, rows of one CSV.

    make benchmark                                       # every part, on this machine
    python -m benchmarks.speed.attention --device cuda   # one part; its rows in the CSV are replaced
    python -m benchmarks.speed.attention --help          # sizes

A row is one side of one case. Its ratio is its median time (peak memory) over that of the fastest (smallest) NeMo side
of the case; ratios carry over to other machines, times do not. Peak memory is what the step allocates above what was
there before. On a CPU every part runs twice, in processes of their own: with glibc's default malloc, and with one that
keeps its pages (benchmarks/malloc.py), since the default one flatters whoever allocates less.
"""

import argparse
import platform
import subprocess
import sys
from argparse import Namespace
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

import nemo
from benchmarks import malloc
from benchmarks.shipped import ROOT
from benchmarks.speed.timing import peak_mib, percentiles, take_turns
from benchmarks.table import RESULTS, print_row, replace_rows
from nemo.utils import logging

COLUMNS = """
    part case side p20_ms p50_ms p80_ms peak_mib time_ratio memory_ratio turns
    malloc d_model heads batch device dtype threads torch nemo
""".split()
Step = Callable[[], object]
# A new run replaces the rows that have the same values here.
KEYS = ("part", "malloc", "device", "dtype")


@dataclass
class Case:
    """Steps that do the same work.

    Args:
        part: the part of the benchmark
        settings: what tells this case from the others of its part
        ours: a step of ours
        nemo: steps of NeMo, by name: its modes
        others: steps that are only shown, by name
    """

    part: str
    settings: dict[str, object]
    ours: Step
    nemo: dict[str, Step] = field(default_factory=dict)
    others: dict[str, Step] = field(default_factory=dict)

    @property
    def sides(self) -> dict[str, Step]:
        return {"ours": self.ours, **self.nemo, **self.others}


def measure(case: Case, args: Namespace) -> Iterator[dict[str, Any]]:
    """The rows of a case, one for each side."""
    times = take_turns(case.sides, args.device, args.seconds)
    columns = {
        name: {**percentiles(times[name].wall), "peak_mib": peak_mib(step, args.device)}
        for name, step in case.sides.items()
    }
    settings = " ".join(f"{name}={value}" for name, value in case.settings.items())
    for name, values in columns.items():
        row = {"part": case.part, "case": settings, "side": name, "turns": len(times[name].wall)}
        row.update({key: f"{value:.3f}" for key, value in values.items()})
        for key, ratio in (("p50_ms", "time_ratio"), ("peak_mib", "memory_ratio")):
            if case.nemo:
                row[ratio] = f"{values[key] / max(min(columns[side][key] for side in case.nemo), 1e-9):.3f}"
        yield row


def run(cases: Callable[[Namespace], Iterable[Case]], args: Namespace) -> None:
    """Measures the cases in this process, and puts their rows into the CSV in the place of older ones of the kind."""
    record(args, [(row for case in cases(args) for row in measure(case, args))], COLUMNS, KEYS)


def record(
    args: Namespace, groups: Iterable[Iterable[dict[str, Any]]], columns: Sequence[str], keys: Sequence[str]
) -> None:
    """Measures groups of rows, each when it is its turn; prints each row, and puts a group into the CSV of the run."""
    logging.setLevel(logging.ERROR)
    torch.set_num_threads(args.threads)
    for rows in groups:
        fresh = []
        for row in rows:
            around = {name: value for name, value in surroundings(args).items() if name in columns}
            fresh.append({**row, **around})
            print_row(fresh[-1])
        replace_rows(args.output, fresh, columns, keys)


def surroundings(args: Namespace) -> dict[str, Any]:
    """The columns that are the same in every row of a run: sizes, device, precision, versions."""
    cuda = args.device.type == "cuda"
    return {
        **{name: getattr(args, name) for name in ("d_model", "heads", "layers", "batch") if hasattr(args, name)},
        "malloc": "" if cuda else malloc.kind(),
        "device": torch.cuda.get_device_name(args.device) if cuda else f"cpu {platform.machine()}",
        "dtype": args.dtype,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "nemo": nemo.__version__,
    }


def argument_parser(description: str, output: Path) -> argparse.ArgumentParser:
    """The flags that every benchmark of speed has: where, how large, how many threads."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--device", type=torch.device, default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--d-model", type=int, default=256)
    parser.add_argument("--heads", type=int, default=8)
    parser.add_argument("--threads", type=int, default=2, help="of torch on the CPU; 1 is steadiest")
    parser.add_argument("--output", type=Path, default=output)
    return parser


def check_sizes(parser: argparse.ArgumentParser, args: Namespace, *others: int) -> None:
    """Ends the command with a message if a size is below 1, or the width is no multiple of the heads."""
    if min(args.d_model, args.heads, args.threads, *others) < 1 or args.d_model % args.heads:
        parser.error("sizes must be 1 or more, and --d-model a multiple of --heads")


def parse_arguments(description: str, argv: list[str]) -> Namespace:
    """The flags of every part."""
    parser = argument_parser(description, RESULTS / "speed.csv")
    parser.add_argument("--dtype", choices=["float32", "bfloat16"], default="float32", help="bfloat16 is autocast")
    parser.add_argument("--batch", type=int, default=4, help="utterances")
    parser.add_argument("--seconds", type=float, default=5.0, help="per case, at least")
    parser.add_argument("--malloc", choices=["tuned", "default", "both", "this"], default="both")
    args = parser.parse_args(argv)
    check_sizes(parser, args, args.batch)
    return args


def main(part: str, description: str, cases: Callable, argv: list[str] | None = None) -> int:
    """The command `python -m benchmarks.speed.<part>`."""
    argv = sys.argv[1:] if argv is None else argv
    args = parse_arguments(description, argv)
    if args.malloc == "this" or args.device.type == "cuda":
        run(cases, args)
        return 0
    for kind in ("tuned", "default") if args.malloc == "both" else (args.malloc,):
        print(f"{part}, malloc {kind}", flush=True)
        command = [sys.executable, "-m", f"benchmarks.speed.{part}", *argv, "--malloc", "this"]
        subprocess.run(command, check=True, env=malloc.environment(kind), cwd=ROOT)
    return 0


def forward_backward(function: Callable[[], torch.Tensor], inputs: Iterable[torch.Tensor], args: Namespace) -> Step:
    """A step: `function()`, under autocast if asked for, and its gradients in `inputs`."""
    tensors, upstream = list(inputs), list[torch.Tensor]()

    def step() -> None:
        for tensor in tensors:
            tensor.grad = None
        with autocast(args):
            output = function()
        if not upstream:
            upstream.append(torch.randn(output.shape, dtype=output.dtype, device=output.device))
        output.backward(upstream[0])

    return step


def autocast(args: Namespace) -> torch.autocast:
    """Mixed precision, if asked for."""
    return torch.autocast(args.device.type, torch.bfloat16, enabled=args.dtype == "bfloat16")
