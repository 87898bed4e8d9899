# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""The plot: a bar for the mean, its standard deviation, and a dot for every seed."""

from pathlib import Path
from statistics import mean

from benchmarks.quality.synthetic.report import by_features, spread
from nemo_streaming_ssl.plot_style import BLUE, INK, SKY, canvas, in_style, save

UNTRAINED = "#B5B5B5"
COLOURS = {"log-mel": UNTRAINED, "random": UNTRAINED, "full, offline": SKY}
PRETRAINED = BLUE


@in_style()
def draw(path: Path, rows: list[dict]):
    """Writes phone accuracy in percent, for each kind of features, as a PNG."""
    figure = canvas(3)
    axes = figure.add_subplot()
    names = list(by_features(rows))
    for place, (name, own) in enumerate(by_features(rows).items()):
        draw_kind(axes, place, COLOURS.get(name, PRETRAINED), [100 * row["accuracy"] for row in own])
    majority = 100 * mean(row["majority"] for row in rows)
    axes.axhline(majority, color=INK, linestyle=":", linewidth=1)
    axes.text(len(names) - 0.4, majority, "most\nfrequent\nphone", ha="left", va="center", fontsize=8)
    axes.set_xlim(-0.5, len(names) - 0.4)
    axes.set_xticks(range(len(names)), names)
    axes.set_ylabel("phone accuracy, %")
    axes.set_title("Phones that a linear probe reads from frozen features, on new voices")
    save(figure, path)


def draw_kind(axes, place: int, colour: str, values: list[float]):
    """The bar of one kind of features at its place on the x axis."""
    bars = {"elinewidth": 1, "ecolor": INK, "capsize": 4}
    axes.bar(place, mean(values), 0.6, yerr=spread(values), color=colour, error_kw=bars)
    offsets = [place + 0.2 * (index - (len(values) - 1) / 2) for index in range(len(values))]
    axes.plot(offsets, values, "o", color=INK, markersize=3.5)
