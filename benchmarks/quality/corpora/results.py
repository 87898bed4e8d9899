# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""The CSV: one row for each run, written as soon as it is there."""

import csv
import json
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path

import torch

from benchmarks.quality.corpora.files import locked

COLUMNS = (
    "name arm objective steps seed minutes finetune_steps on unit error substitutions deletions insertions "
    "labels_tested dev_loss_bits dev_target_entropy_bits parameters encoder_parameters contexts stream_difference "
    "pretrain_seconds finetune_seconds test_seconds overrides configuration finetune_configuration dev_metrics "
    "pretrain_curve finetune_curve commit versions device"
).split()
CURVE_STEPS = 50  # of which a value of a loss curve is the mean
csv.field_size_limit(2**24)


def read_rows(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV, all values as text; none if it is not there."""
    if not path.exists():
        return []
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def append(path: Path, row: dict):
    """Adds a row; several processes may do so at the same time.

    Raises:
        ValueError: the file has other columns
    """
    with locked(path):
        exists = path.exists() and path.stat().st_size > 0
        check_columns(path)
        with open(path, "a", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, COLUMNS)
            if not exists:
                writer.writeheader()
            writer.writerow({name: as_text(row.get(name)) for name in COLUMNS})


def check_columns(path: Path):
    """Raises a ValueError if the CSV is there and has other columns."""
    if not path.exists() or path.stat().st_size == 0:
        return
    with open(path, newline="", encoding="utf-8") as file:
        header = next(csv.reader(file), [])
    if header != COLUMNS:
        raise ValueError(f"results={path}: has other columns; name another file")


def as_text(value) -> str:
    """A value of a cell: numbers short, lists and mappings as JSON, nothing for None."""
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.6g}"
    return json.dumps(value) if isinstance(value, (list, dict, tuple)) else str(value)


def circumstances(device: str) -> dict:
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
    folder = Path(__file__).parent

    def git(*arguments: str) -> str:
        return subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=True).stdout

    try:
        return git("rev-parse", "--short", "HEAD").strip() + "+dirty" * bool(git("status", "--porcelain", "-uno"))
    except (OSError, subprocess.CalledProcessError):
        return ""
