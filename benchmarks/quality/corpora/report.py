# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""The report of a CSV: its tables in a Markdown file, and plots."""

from pathlib import Path

from benchmarks.quality.corpora.plot import draw_curves, draw_minutes, draw_steps
from benchmarks.quality.corpora.tables import errors, how, in_order, pretraining
from benchmarks.table import read_rows


def write_report(path: Path, output: Path) -> str:
    """Writes `{name of the CSV}.md` and plots into a folder; returns the Markdown.

    Raises:
        ValueError: there is no such CSV, or it has no rows
    """
    rows = read_rows(path)
    if not rows:
        raise ValueError(f"report={path}: there is no such file, or it has no rows")
    output.mkdir(parents=True, exist_ok=True)
    parts = []
    for name in in_order(rows, "on"):
        tested = [row for row in rows if row["on"] == name]
        parts.append(errors(name, tested))
        draw_minutes(output / f"{path.stem}-{name}-minutes.png", tested)
        draw_steps(output / f"{path.stem}-{name}-steps.png", tested)
        draw_curves(output / f"{path.stem}-{name}-curves.png", tested)
    text = "\n\n".join([*parts, pretraining(rows), how(rows)]) + "\n"
    (output / f"{path.stem}.md").write_text(text, encoding="utf-8")
    return text
