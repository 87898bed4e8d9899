# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""The CSV: one row for each run, written as soon as it is there."""

import csv
import json
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from benchmarks.files import locked
from benchmarks.table import read_rows, write_rows

COLUMNS = (
    "name arm objective steps seed minutes finetune_steps on unit error substitutions deletions insertions "
    "labels_tested dev_loss_bits dev_target_entropy_bits parameters encoder_parameters contexts stream_difference "
    "pretrain_seconds finetune_seconds test_seconds overrides configuration finetune_configuration dev_metrics "
    "pretrain_curve finetune_curve commit versions device"
).split()

CURVE_STEPS = 50  # of which a value of a loss curve is the mean


def append(path: Path, row: dict[str, Any]) -> None:
    """Adds a row; several processes may do so at the same time.

    Raises:
        ValueError: the file has other columns
    """
    with locked(path):
        check_columns(path)
        write_rows(path, [*read_rows(path), {name: as_text(row.get(name)) for name in COLUMNS}], COLUMNS)


def check_columns(path: Path) -> None:
    """Raises a ValueError if the CSV is there and has other columns."""
    if not path.exists() or path.stat().st_size == 0:
        return
    with open(path, newline="", encoding="utf-8") as file:
        header = next(csv.reader(file), [])
    if header != COLUMNS:
        raise ValueError(f"results={path}: has other columns; name another file")


def as_text(value: Any) -> str:
    """A value of a cell: numbers short, lists and mappings as JSON, nothing for None."""
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.6g}"
    return json.dumps(value) if isinstance(value, (list, dict, tuple)) else str(value)


def circumstances(device: str) -> dict[str, Any]:
    """Commit, versions and hardware."""
    names = ("nemo_toolkit", "torch", "lightning")
    kind = torch.cuda.get_device_name(device) if device.startswith("cuda") else processor()
    return {"commit": commit(), "versions": {name: version(name) for name in names}, "device": kind}


def processor() -> str:
    """The CPU's name where Linux says it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def commit() -> str:
    """The commit of the repository, with `+dirty` if files under version control differ from it."""

    def git(*arguments: str) -> str:
        command = ["git", *arguments]
        return subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, check=True).stdout

    try:
        return git("rev-parse", "--short", "HEAD").strip() + "+dirty" * bool(git("status", "--porcelain", "-uno"))
    except (OSError, subprocess.CalledProcessError):
        return ""
