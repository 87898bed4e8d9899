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

"""Plots of the error rates: over labelled speech, and over steps of pretraining. Lines are means, dots are seeds."""

from pathlib import Path
from statistics import mean
from typing import Dict, List, Tuple

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from benchmarks.quality.corpora.plan import ALL

Row = Dict[str, str]
Values = Dict[float, List[float]]  # place on the x axis: the errors of all seeds in percent


def draw_minutes(path: Path, rows: List[Row]):
    """Writes a PNG with a line for each arm and number of steps; amounts of speech stand side by side."""
    columns = sorted({row['minutes'] for row in rows}, key=lambda value: float('inf' if value == ALL else value))
    lines: Dict[Tuple, Values] = {}
    for row in rows:
        steps = f", {row['steps']} steps" if int(row['steps']) else ''
        place = columns.index(row['minutes'])
        lines.setdefault((row['arm'] + steps,), {}).setdefault(place, []).append(100 * float(row['error']))
    figure, axes = canvas(rows, 'minutes of labelled speech')
    axes.set_xticks(range(len(columns)), columns)
    draw(axes, lines)
    figure.savefig(path, dpi=110)


def draw_steps(path: Path, rows: List[Row]):
    """Writes a PNG with a line for each arm and amount of labelled speech, unless each arm has one number of steps."""
    lines: Dict[Tuple, Values] = {}
    for row in rows:
        key = row['arm'], f"{row['minutes']} min" if row['minutes'] != ALL else 'all labels'
        lines.setdefault(key, {}).setdefault(float(row['steps']), []).append(100 * float(row['error']))
    if all(len(values) == 1 for values in lines.values()):
        return
    figure, axes = canvas(rows, 'steps of pretraining')
    draw(axes, lines)
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


def draw(axes, lines: Dict[Tuple, Values]):
    """A line through the means and a dot for every seed."""
    for key, values in lines.items():
        places = sorted(values)
        (drawn,) = axes.plot(places, [mean(values[place]) for place in places], label=', '.join(key))
        for place in places:
            axes.plot([place] * len(values[place]), values[place], 'o', color=drawn.get_color(), markersize=4)
    axes.legend(frameon=False, fontsize=8)
