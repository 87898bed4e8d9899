# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""The CSV files of benchmarks/results: their rows are read, written and replaced."""

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.files import replacing

RESULTS = Path(__file__).resolve().parent / "results"
csv.field_size_limit(2**24)  # loss curves


def read_rows(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV, all values as text; none if there is no file."""
    if not path.exists():
        return []
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def write_rows(path: Path, rows: Iterable[dict[str, Any]], columns: Sequence[str]) -> None:
    """Writes a CSV in the place of what was there."""
    with replacing(path) as unfinished, open(unfinished, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def replace_rows(path: Path, fresh: Sequence[dict[str, Any]], columns: Sequence[str], keys: Sequence[str]) -> None:
    """Adds rows to a CSV, in the place of those that have the same values in the columns `keys`."""

    def key(row: dict[str, Any]) -> tuple[str, ...]:
        return tuple(str(row.get(name, "")) for name in keys)

    replaced = {key(row) for row in fresh}
    kept = [row for row in read_rows(path) if key(row) not in replaced]
    write_rows(path, [*kept, *fresh], columns)


def print_row(row: dict[str, Any]) -> None:
    """Prints a row on one line."""
    print("  ".join(f"{name}={value}" for name, value in row.items()), flush=True)


def markdown(heads: Sequence[str], aligned: Sequence[str], rows: Iterable[Iterable[str]]) -> str:
    """A table in Markdown; `aligned` is what stands below each head."""
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (heads, aligned, *rows))
