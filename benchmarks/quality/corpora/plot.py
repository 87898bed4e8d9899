# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Plots of the results with every seed: errors over labelled speech and over steps of pretraining, and loss curves of
fine-tuning."""

import json
from collections.abc import Iterable
from pathlib import Path
from statistics import mean
from typing import Any

from benchmarks.quality.corpora.results import CURVE_STEPS
from benchmarks.quality.corpora.tables import Row, in_words, label_of, several_seeds, tuning_of, tunings
from nemo_streaming_ssl.plot_style import GREY, MARKERS, SERIES, canvas, in_style, legend_below, save

Values = dict[float, list[float]]  # place on the x axis: the errors of all seeds in percent
Lines = dict[str, Values]
PANELS_SIDE_BY_SIDE = 2
LEGEND = "way of pretraining, and its steps"
LONG_LABEL = 28  # letters, of which three do not fit side by side


@in_style()
def draw_minutes(path: Path, rows: list[Row]) -> None:
    """Writes a PNG with a line for each arm that was tested with several amounts of speech, all fine-tuned as long;
    amounts stand side by side."""
    columns = list(dict.fromkeys(minutes for minutes, _ in tunings(rows)))
    lines: dict[tuple[str, str], Values] = {}
    for row in rows:
        values = lines.setdefault((label_of(row), row["finetune_steps"]), {})
        values.setdefault(columns.index(row["minutes"]), []).append(100 * float(row["error"]))
    lines = longest(lines)
    steps = sorted({steps for _, steps in lines}, key=int)
    axes = canvas_of(rows, f"minutes of labelled speech, {' or '.join(steps)} steps of fine-tuning")
    axes.set_title("Errors after fine-tuning, by labelled speech; each seed has a mark")
    axes.set_xticks(range(len(columns)), columns)
    draw(axes, {in_words_of(*line, len(steps) > 1): values for line, values in lines.items()}, rows, dodge=0.03)
    save(axes.figure, path)


def in_words_of(label: str, steps: str, several: bool) -> str:
    """The label of a line; with its steps of fine-tuning where lines differ in them."""
    return f"{label}; {steps} of fine-tuning" if several else label


@in_style()
def draw_steps(path: Path, rows: list[Row]) -> None:
    """Writes a PNG with a line for each arm that has several lengths of pretraining, and each way of fine-tuning; none
    if there is no such arm."""
    lines: Lines = {}
    for row in rows:
        label = f"{row['arm']}, {in_words(tuning_of(row))} of fine-tuning"
        lines.setdefault(label, {}).setdefault(float(row["steps"]), []).append(100 * float(row["error"]))
    lines = {label: values for label, values in lines.items() if len(values) > 1}
    if lines:
        axes = canvas_of(rows, "steps of pretraining")
        axes.set_title("Errors after fine-tuning, by length of pretraining; each seed has a mark")
        draw(axes, lines, rows, legend="way of pretraining, and fine-tuning")
        save(axes.figure, path)


@in_style()
def draw_curves(path: Path, rows: list[Row]) -> None:
    """Writes a PNG with the loss of fine-tuning over its steps: a panel for each way, a line for each seed."""
    rows = several_seeds(rows)
    ways = tunings(rows)
    looks = looks_of(map(label_of, rows), rows)
    columns = min(PANELS_SIDE_BY_SIDE, len(ways))
    lines = -(-len(ways) // columns)
    figure = canvas(0.8 + 1.7 * lines)
    panels = figure.subplots(lines, columns, squeeze=False, sharey=True)
    for axes, way in zip(panels.flat, ways):
        axes.set_title(f"Fine-tuning on {in_words(way)}")
        draw_curves_of(axes, [row for row in rows if tuning_of(row) == way], looks)
    for axes in panels.flat[len(ways) :]:
        axes.set_axis_off()
    for axes in panels[:, 0]:
        axes.set_ylabel("CTC loss, nats")
    for axes in panels[-1]:
        axes.set_xlabel("steps of fine-tuning")
    shown = {line.get_label(): line for axes in panels.flat for line in axes.get_lines()}
    legend_below(figure, panels[0, 0], 3, handles=[shown[label] for label in looks if label in shown], title=LEGEND)
    save(figure, path)


def draw_curves_of(axes: Any, rows: list[Row], looks: dict[str, tuple[str, str]]) -> None:
    """A line for each row."""
    for row in rows:
        curve = json.loads(row["finetune_curve"])
        places = [min((index + 1) * CURVE_STEPS, int(row["finetune_steps"])) for index in range(len(curve))]
        axes.plot(places, curve, color=looks[label_of(row)][0], label=label_of(row), linewidth=1)


def looks_of(labels: Iterable[str], rows: list[Row]) -> dict[str, tuple[str, str]]:
    """{label: (colour, marker)}; grey is what was not pretrained."""
    plain = {row["arm"] for row in rows if not int(row["steps"])}
    looks: dict[str, tuple[str, str]] = {}
    for label in dict.fromkeys(labels):
        place = len(looks) % len(SERIES)
        looks[label] = (SERIES[place], MARKERS[place])
    return {label: (GREY, look[1]) if label.split(";")[0] in plain else look for label, look in looks.items()}


def canvas_of(rows: list[Row], label: str) -> Any:
    """The axes of a new figure."""
    axes = canvas(3.4).add_subplot()
    axes.set_xlabel(label)
    axes.set_ylabel(f"errors on {rows[0]['on']}, % of the {rows[0]['unit']}")
    return axes


def longest(lines: dict) -> dict:
    """The lines with several places, or all if there is none."""
    return {label: values for label, values in lines.items() if len(values) > 1} or lines


def draw(axes: Any, lines: Lines, rows: list[Row], dodge: float = 0.0, legend: str = LEGEND) -> None:
    """A line through the means, a mark for every seed; `dodge` is how far lines stand apart on the x axis."""
    looks = looks_of(lines, rows)
    for index, (label, values) in enumerate(lines.items()):
        colour, marker = looks[label]
        shift = dodge * (index - (len(lines) - 1) / 2)
        places = sorted(values)
        axes.plot([place + shift for place in places], [mean(values[place]) for place in places], color=colour)
        for place in places:
            axes.plot(
                [place + shift] * len(values[place]), values[place], marker, color=colour, alpha=0.7, markeredgewidth=0
            )
        axes.plot([], [], marker, linestyle="-", color=colour, label=label)
    legend_below(axes.figure, axes, 2 if max(map(len, lines)) > LONG_LABEL else 3, title=legend)
