# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""The tables of the benchmarks of speed: CSV files in benchmarks/results, and where their rows were measured."""

import csv
import platform
from collections.abc import Iterable, Sequence
from pathlib import Path

import torch

import nemo
from benchmarks import malloc

RESULTS = Path(__file__).resolve().parents[1] / "results"


def read_rows(path: Path) -> list[dict]:
    """The rows of a CSV, none if there is no file."""
    if not path.exists():
        return []
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def write_rows(path: Path, rows: Sequence[dict], columns: Sequence[str]):
    """Writes a CSV in the place of what was there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".part")
    with open(temporary, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    temporary.replace(path)


def replace_rows(path: Path, fresh: Sequence[dict], columns: Sequence[str], keys: Sequence[str]):
    """Adds rows to a CSV, in the place of those that have the same values in the columns `keys`."""

    def key(row: dict) -> tuple:
        return tuple(str(row.get(name, "")) for name in keys)

    replaced = {key(row) for row in fresh}
    kept = [row for row in read_rows(path) if key(row) not in replaced]
    write_rows(path, [*kept, *fresh], columns)


def record(args, groups: Iterable[Iterable[dict]], columns: Sequence[str], keys: Sequence[str]):
    """Measures groups of rows, each when it is its turn, prints them and puts them into the CSV of the run."""
    for rows in groups:
        measured = list(rows)
        around = {**surroundings(args), "layers": args.layers}
        same = {name: value for name, value in around.items() if name in columns}
        fresh = [{**row, **same} for row in measured]
        for row in fresh:
            print_row(row)
        replace_rows(args.output, fresh, columns, keys)


def print_row(row: dict):
    """Prints a row on one line."""
    print("  ".join(f"{name}={value}" for name, value in row.items()), flush=True)


def surroundings(args) -> dict:
    """The columns that are the same in every row of a run: sizes, device, precision, versions."""
    cuda = args.device.type == "cuda"
    return {
        "malloc": "" if cuda else malloc.kind(),
        "d_model": args.d_model,
        "heads": args.heads,
        "device": torch.cuda.get_device_name(args.device) if cuda else f"cpu {platform.machine()}",
        "dtype": args.dtype,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "nemo": nemo.__version__,
    }
