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

"""Plots of the results, dots are seeds: errors over labelled speech and over steps of pretraining, and loss curves of
fine-tuning."""

import json
from pathlib import Path
from statistics import mean
from typing import Dict, List

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from benchmarks.quality.corpora.results import CURVE_STEPS
from benchmarks.quality.corpora.tables import Row, in_words, label_of, several_seeds, tuning_of, tunings

Values = Dict[float, List[float]]  # place on the x axis: the errors of all seeds in percent
Lines = Dict[str, Values]


def draw_minutes(path: Path, rows: List[Row]):
    """Writes a PNG with a line for each arm that was tested with several amounts of speech, all fine-tuned as long;
    amounts stand side by side."""
    ways = tunings(rows)
    columns = list(dict.fromkeys(minutes for minutes, _ in ways))
    lines: Lines = {}
    for row in rows:
        label = f"{label_of(row)}, {row['finetune_steps']} steps of fine-tuning"
        lines.setdefault(label, {}).setdefault(columns.index(row['minutes']), []).append(100 * float(row['error']))
    figure, axes = canvas(rows, 'minutes of labelled speech')
    axes.set_xticks(range(len(columns)), columns)
    draw(axes, longest(lines))
    figure.savefig(path, dpi=110)


def draw_steps(path: Path, rows: List[Row]):
    """Writes a PNG with a line for each arm that has several lengths of pretraining, and each way of fine-tuning; none
    if there is no such arm."""
    lines: Lines = {}
    for row in rows:
        label = f"{row['arm']}, {in_words(tuning_of(row))} of fine-tuning"
        lines.setdefault(label, {}).setdefault(float(row['steps']), []).append(100 * float(row['error']))
    lines = {label: values for label, values in lines.items() if len(values) > 1}
    if lines:
        figure, axes = canvas(rows, 'steps of pretraining')
        draw(axes, lines)
        figure.savefig(path, dpi=110)


def draw_curves(path: Path, rows: List[Row]):
    """Writes a PNG with the loss of fine-tuning over its steps: a panel for each way, a line for each seed."""
    rows = several_seeds(rows)
    ways = tunings(rows)
    figure = Figure(figsize=(4 * len(ways) + 1, 4), layout='constrained')
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, len(ways), squeeze=False, sharey=True)[0]
    colours = {label: f'C{index}' for index, label in enumerate(dict.fromkeys(map(label_of, rows)))}
    for axes, way in zip(panels, ways):
        axes.set_title(in_words(way), fontsize=9)
        axes.set_xlabel('steps of fine-tuning')
        axes.spines[['top', 'right']].set_visible(False)
        for row in (row for row in rows if tuning_of(row) == way):
            curve = json.loads(row['finetune_curve'])
            places = [min((index + 1) * CURVE_STEPS, way[1]) for index in range(len(curve))]
            axes.plot(places, curve, color=colours[label_of(row)], label=label_of(row), linewidth=1)
    panels[0].set_ylabel('CTC loss of training, nats')
    lines = [line for axes in panels for line in axes.get_lines()]
    panels[-1].legend(handles=list({line.get_label(): line for line in lines}.values()), frameon=False, fontsize=8)
    figure.savefig(path, dpi=110)


def canvas(rows: List[Row], label: str):
    """A figure and its axes."""
    figure = Figure(figsize=(8, 4.5), layout='constrained')
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.set_xlabel(label)
    axes.set_ylabel(f"errors on {rows[0]['on']}, % of the {rows[0]['unit']}")
    axes.spines[['top', 'right']].set_visible(False)
    return figure, axes


def longest(lines: Lines) -> Lines:
    """The lines with several places, or all if there is none."""
    return {label: values for label, values in lines.items() if len(values) > 1} or lines


def draw(axes, lines: Lines):
    """A line through the means and a dot for every seed."""
    for label, values in lines.items():
        places = sorted(values)
        (drawn,) = axes.plot(places, [mean(values[place]) for place in places], label=label)
        for place in places:
            axes.plot([place] * len(values[place]), values[place], 'o', color=drawn.get_color(), markersize=4)
    axes.legend(frameon=False, fontsize=8)
