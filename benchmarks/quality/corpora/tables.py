# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Tables (Markdown) of the results, from the CSV's rows alone."""

import json
from collections.abc import Iterable
from statistics import mean

from benchmarks.quality.corpora.plan import ALL
from benchmarks.table import markdown

Row = dict[str, str]
Arm = tuple[str, int]  # its name, and steps of pretraining
Tuning = tuple[str, int]  # minutes of labelled speech, and steps of fine-tuning


def in_order(rows: Iterable[Row], column: str) -> list[str]:
    """The different values of a column, in the order in which they come."""
    return list(dict.fromkeys(row[column] for row in rows))


def arm_of(row: Row) -> Arm:
    """How a row's encoder was pretrained."""
    return row["arm"], int(row["steps"])


def label_of(row: Row) -> str:
    """The same, in words."""
    name, steps = arm_of(row)
    return f"{name}, {steps} steps" if steps else name


def arms(rows: Iterable[Row]) -> list[Arm]:
    """Arms with their steps, arms in the order in which they come."""
    names = in_order(rows, "arm")
    return sorted({arm_of(row) for row in rows}, key=lambda arm: (names.index(arm[0]), arm[1]))


def of(rows: Iterable[Row], arm: Arm) -> list[Row]:
    """The rows of an arm, by seed."""
    return sorted((row for row in rows if arm_of(row) == arm), key=lambda row: int(row["seed"]))


def several_seeds(rows: list[Row]) -> list[Row]:
    """The rows of arms that were run with several seeds; all rows if there is no such arm."""
    return [row for row in rows if len(in_order(of(rows, arm_of(row)), "seed")) > 1] or rows


def tuning_of(row: Row) -> Tuning:
    """How a row's recogniser was fine-tuned."""
    return row["minutes"], int(row["finetune_steps"])


def tunings(rows: Iterable[Row]) -> list[Tuning]:
    """The ways of fine-tuning, the fewest labels first."""
    return sorted(
        {tuning_of(row) for row in rows}, key=lambda way: (float("inf" if way[0] == ALL else way[0]), way[1])
    )


def in_words(tuning: Tuning) -> str:
    """A way of fine-tuning as the head of a column, or in a plot."""
    minutes, steps = tuning
    return f"{'all labels' if minutes == ALL else f'{minutes} min'}, {steps} steps"


def errors(name: str, rows: list[Row]) -> str:
    """The table of the error rates on one set."""
    columns = tunings(rows)
    unit = "/".join(in_order(rows, "unit"))
    lines = []
    for arm in arms(rows):
        own = of(rows, arm)
        cells = [cell([100 * float(row["error"]) for row in own if tuning_of(row) == way], ".1f") for way in columns]
        lines.append([*map(str, arm), *cells])
    heads = ["arm", "pretraining steps", *map(in_words, columns)]
    table = markdown(heads, ["---", *["---:"] * (len(heads) - 1)], lines)
    return f"## Errors on {name}, % of the {unit}, by labelled speech and steps of fine-tuning\n\n{table}"


def pretraining(rows: list[Row]) -> str:
    """The table of what pretraining reached on the dev speakers."""
    lines = []
    for arm in arms(rows):
        own = list({row["seed"]: row for row in of(rows, arm)}.values())
        if arm[1]:
            spent = cell([float(row["pretrain_seconds"]) / 60 for row in own], ".1f")
            bits = [
                cell([float(row[name]) for row in own if row[name]], ".3f")
                for name in ("dev_loss_bits", "dev_target_entropy_bits")
            ]
            lines.append([*map(str, arm), own[0]["objective"], *bits, spent])
    heads = ["arm", "steps", "objective", "loss", "target entropy", "minutes of training"]
    table = markdown(heads, ["---", "---:", "---", "---:", "---:", "---:"], lines)
    return f"## Pretraining, bits per token on the dev speakers\n\n{table}"


def how(rows: list[Row]) -> str:
    """Where the numbers come from."""
    versions = [
        ", ".join(f"{key} {value}" for key, value in json.loads(text).items()) for text in in_order(rows, "versions")
    ]
    differences = [float(row["stream_difference"]) for row in rows if row["stream_difference"]]
    stream = f" Largest difference between stream and whole: {max(differences):.1g}." if differences else ""
    seeds = ", ".join(sorted(in_order(rows, "seed"), key=int))
    where = "; ".join([*in_order(rows, "device"), *versions, f"commit {', '.join(in_order(rows, 'commit'))}"])
    return f"Mean (every seed: {seeds}). {where}.{stream}"


def cell(values: list[float], form: str) -> str:
    """The mean, and every value if there are several; nothing if there is none."""
    if not values:
        return ""
    every = f" ({', '.join(format(value, form) for value in values)})" if len(values) > 1 else ""
    return format(mean(values), form) + every
