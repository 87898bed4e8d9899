# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""The plots of the benchmark of attention: time and peak memory over NeMo's, over the number of frames.

    python -m benchmarks.figures speed     # from benchmarks/results/speed.csv to speed.png beside it
"""

import re
from pathlib import Path
from typing import Any

from nemo_streaming_ssl.plot_style import GREY, MARKERS, SERIES, canvas, in_style, legend_below, save

PANELS = (("time_ratio", "Time of attention"), ("memory_ratio", "Peak memory of attention"))
SECONDS_OF_A_FRAME = 0.08
Curves = dict[str, list[tuple[int, float]]]


def curves(rows: list[dict[str, str]], column: str) -> Curves:
    """`{context: [(frames, ratio), ...]}` of our attention, the tuned malloc's where there are two."""
    found: Curves = {}
    for row in rows:
        if row["part"] == "attention" and row["side"] == "ours" and row["malloc"] != "default":
            case = dict(re.findall(r"(\w+)=(\S+)", row["case"]))
            context = f"[{case['left']}, {case['right']}]"
            found.setdefault(context, []).append((int(case["frames"]), float(row[column])))
    return {context: sorted(points) for context, points in found.items()}


@in_style()
def draw(path: Path, rows: list[dict[str, str]]) -> None:
    """Writes the plot of the CSV's rows, a PNG."""
    figure = canvas(2.8)
    panels = figure.subplots(1, 2, sharey=True)
    for axes, (column, title) in zip(panels, PANELS):
        draw_panel(axes, curves(rows, column))
        axes.set_title(title)
    panels[0].set_ylabel("ours / NeMo's")
    legend_below(figure, axes, 4, title="attention context [back, ahead], encoder frames of 80 ms")
    save(figure, path)


def draw_panel(axes: Any, lines: Curves) -> None:
    """A curve for each context, and NeMo's at 1."""
    for colour, marker, (context, points) in zip(SERIES, MARKERS, lines.items()):
        seconds = [frames * SECONDS_OF_A_FRAME for frames, _ in points]
        axes.plot(seconds, [ratio for _, ratio in points], marker, linestyle="-", color=colour, label=context)
    axes.axhline(1.0, color=GREY, linestyle=":", linewidth=1, label="NeMo")
    axes.set(xlabel="length of the audio, s", xlim=(0, None), ylim=(0, 1.1))
