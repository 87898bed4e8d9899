# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""The table on the screen and the plot, with means and spread; the CSV with every seed, and how it was run."""

import json
import platform
from collections.abc import Callable, Iterable, Sequence
from importlib.metadata import version
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from benchmarks.quality.synthetic.options import Options
from benchmarks.table import markdown, read_rows, write_rows
from nemo_streaming_ssl.plot_style import BLUE, INK, SKY, canvas, in_style, save

PACKAGES = ("nemo_toolkit", "torch", "scikit-learn", "numpy")
MEASURES = (
    "accuracy",
    "gain_over_random",
    "held_out_accuracy",
    "train_loss_bits",
    "train_target_entropy_bits",
    "train_masked_share",
    "validation_loss_bits",
    "validation_target_entropy_bits",
    "validation_masked_share",
    "chance",
    "majority",
    "seconds",
)
COLUMNS = ("features", "seed", *MEASURES, "layer", "penalty", "contexts", "configuration", "versions")
UNTRAINED = "#B5B5B5"
COLOURS = {"log-mel": UNTRAINED, "random": UNTRAINED, "full, offline": SKY}  # of others, which were pretrained: BLUE
Row = dict[str, Any]


def write_report(rows: list[Row], options: Options) -> str:
    """Writes CSV and plot into the folder of the options; returns the table, and where they are."""
    path = options.output / "quality.csv"
    write_csv(path, rows, options)
    draw(path.with_suffix(".png"), read_rows(path))
    return f"\n{table(rows)}\n\n{path}\n{path.with_suffix('.png')}"


def with_gains(rows: list[Row]) -> list[Row]:
    """The rows with the accuracy over the random encoder's of the same seed, whose speech is the same."""
    random = {row["seed"]: row["accuracy"] for row in rows if row["features"] == "random"}
    return [{**row, "gain_over_random": row["accuracy"] - random[row["seed"]]} for row in rows]


def by_features(rows: list[Row]) -> dict[str, list[Row]]:
    """{kind of features: its rows}, in the order of the rows."""
    names = dict.fromkeys(row["features"] for row in rows)
    return {name: [row for row in rows if row["features"] == name] for name in names}


def spread(values: Sequence[float]) -> float:
    """The standard deviation of the seeds; 0 with one seed."""
    return stdev(values) if len(values) > 1 else 0.0


SUMMARIES: dict[str, Callable[[Sequence[float]], float]] = {"mean": mean, "spread": spread}  # instead of a seed


def summaries(rows: list[Row]) -> list[Row]:
    """Two rows more for each kind of features, with `mean` and `spread` as their seed."""
    return [
        {
            "features": name,
            "seed": label,
            **{key: function([row[key] for row in own]) for key in own[0] if key in MEASURES},
        }
        for name, own in by_features(rows).items()
        for label, function in SUMMARIES.items()
    ]


def write_csv(path: Path, rows: list[Row], options: Options) -> None:
    """One row for each seed and kind of features, then mean and spread."""
    versions = {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}}
    same = {"configuration": json.dumps(options.configuration()), "versions": json.dumps(versions)}
    rows = with_gains(rows)
    every = [{**row, **same} for row in rows + summaries(rows)]
    short = ({k: round(v, 5) if isinstance(v, float) else v for k, v in row.items()} for row in every)
    write_rows(path, short, COLUMNS)


def table(rows: list[Row]) -> str:
    """A Markdown table of means and spreads."""
    heads = [
        "features",
        "phone accuracy, %",
        "over random, points",
        "best layer",
        "loss, bits",
        "target entropy, bits",
    ]
    lines = [cells(name, own) for name, own in by_features(with_gains(rows)).items()]
    guesses = (f"{name} {mean(row[name] for row in rows):.1%}" for name in ("chance", "majority"))
    made = markdown(heads, ["---", "---:", "---:", "---", "---:", "---:"], lines)
    return f"{made}\n\n{', '.join(guesses)}; mean ± standard deviation of the seeds"


def cells(name: str, own: list[Row]) -> Iterable[str]:
    """A line of the table: the rows of one kind of features."""
    yield name
    for key, sign in (("accuracy", ""), ("gain_over_random", "+")):
        values = [100 * row[key] for row in own]
        yield f"{mean(values):{sign}.1f} ± {spread(values):.1f}"
    yield ", ".join(str(row["layer"]) for row in own if row["layer"] != name)
    for key in ("validation_loss_bits", "validation_target_entropy_bits"):
        yield f"{mean(row[key] for row in own):.2f}" if key in own[0] else ""


@in_style()
def draw(path: Path, rows: list[dict[str, str]]) -> None:
    """Writes phone accuracy in percent, for each kind of features, as a PNG; `rows` are those of the CSV."""
    figure = canvas(3)
    axes = figure.add_subplot()
    rows = [row for row in rows if row["seed"] not in SUMMARIES]
    names = list(by_features(rows))
    for place, (name, own) in enumerate(by_features(rows).items()):
        draw_kind(axes, place, COLOURS.get(name, BLUE), [100 * float(row["accuracy"]) for row in own])
    majority = 100 * mean(float(row["majority"]) for row in rows)
    axes.axhline(majority, color=INK, linestyle=":", linewidth=1)
    axes.text(len(names) - 0.4, majority, "most\nfrequent\nphone", ha="left", va="center", fontsize=8)
    axes.set_xlim(-0.5, len(names) - 0.4)
    axes.set_xticks(range(len(names)), names)
    axes.set_ylabel("phone accuracy, %")
    axes.set_title("Phones that a linear probe reads from frozen features, on new voices")
    save(figure, path)


def draw_kind(axes: Any, place: int, colour: str, values: list[float]) -> None:
    """The bar of one kind of features at its place on the x axis."""
    bars = {"elinewidth": 1, "ecolor": INK, "capsize": 4}
    axes.bar(place, mean(values), 0.6, yerr=spread(values), color=colour, error_kw=bars)
    offsets = [place + 0.2 * (index - (len(values) - 1) / 2) for index in range(len(values))]
    axes.plot(offsets, values, "o", color=INK, markersize=3.5)
