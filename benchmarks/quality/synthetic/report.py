# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""The table: on the screen with means and spread, as CSV with every seed, the configuration and the versions."""

import csv
import json
import platform
from importlib.metadata import version
from pathlib import Path
from statistics import mean, stdev

from benchmarks.quality.synthetic.options import Options

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
SUMMARIES = ("mean", "spread")  # instead of a seed
COLUMNS = ("features", "seed", *MEASURES, "layer", "penalty", "contexts", "configuration", "versions")


def with_gains(rows: list[dict]) -> list[dict]:
    """The rows with the accuracy over the random encoder's of the same seed, whose speech is the same."""
    random = {row["seed"]: row["accuracy"] for row in rows if row["features"] == "random"}
    return [{**row, "gain_over_random": row["accuracy"] - random[row["seed"]]} for row in rows]


def by_features(rows: list[dict]) -> dict[str, list[dict]]:
    """{kind of features: its rows}, in the order of the rows."""
    return {
        name: [row for row in rows if row["features"] == name] for name in dict.fromkeys(r["features"] for r in rows)
    }


def spread(values: list[float]) -> float:
    """The standard deviation of the seeds; 0 with one seed."""
    return stdev(values) if len(values) > 1 else 0.0


def summaries(rows: list[dict]) -> list[dict]:
    """Two rows more for each kind of features, with `mean` and `spread` as their seed."""
    found = []
    for name, own in by_features(rows).items():
        measured = [key for key in MEASURES if key in own[0]]
        for label, function in zip(SUMMARIES, (mean, spread)):
            found.append({"features": name, "seed": label, **{k: function([r[k] for r in own]) for k in measured}})
    return found


def write_csv(path: Path, rows: list[dict], options: Options):
    """One row for each seed and kind of features, then mean and spread."""
    versions = {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}}
    same = {"configuration": json.dumps(options.configuration()), "versions": json.dumps(versions)}
    rows = with_gains(rows)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows({k: rounded(v) for k, v in {**row, **same}.items()} for row in rows + summaries(rows))


def read_seeds(path: Path) -> list[dict]:
    """The rows of seeds of a CSV, with numbers for what is plotted: accuracy, and that of the most frequent phone."""
    with path.open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["seed"] not in SUMMARIES]
    return [{**row, **{name: float(row[name]) for name in ("accuracy", "majority")}} for row in rows]


def rounded(value):
    return round(value, 5) if isinstance(value, float) else value


def table(rows: list[dict]) -> str:
    """A Markdown table of means and spreads."""
    lines = ["| features | phone accuracy, % | over random, points | best layer | loss, bits | target entropy, bits |"]
    lines += ["| --- | ---: | ---: | --- | ---: | ---: |"]
    lines += [table_line(name, own) for name, own in by_features(with_gains(rows)).items()]
    guesses = (f"{name} {mean(row[name] for row in rows):.1%}" for name in ("chance", "majority"))
    return "\n".join([*lines, "", f"{', '.join(guesses)}; mean ± standard deviation of the seeds"])


def table_line(name: str, own: list[dict]) -> str:
    layers = ", ".join(str(row["layer"]) for row in own if row["layer"] != name)
    cells = [name, share(own, "accuracy"), share(own, "gain_over_random", "+"), layers]
    cells += [bits(own, f"validation_{key}") for key in ("loss_bits", "target_entropy_bits")]
    return f"| {' | '.join(cells)} |"


def share(rows: list[dict], key: str, sign: str = "") -> str:
    values = [100 * row[key] for row in rows]
    return f"{mean(values):{sign}.1f} ± {spread(values):.1f}"


def bits(rows: list[dict], key: str) -> str:
    return f"{mean(row[key] for row in rows):.2f}" if key in rows[0] else ""
