# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Writes tests/durations.md: which tests take longest, from what the last `make test-all` has left in build/matrix.

    python tests/durations.py
"""

import csv
import sys
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TABLE = ROOT / "tests/durations.md"
SLOWEST = 30


def read(step: str) -> list:
    """The rows of one step on the oldest release; none if it has not run."""
    files = sorted(ROOT.glob(f"build/matrix/*/{step}.csv"))
    if not files:
        return []
    with open(files[0], newline="") as file:
        return list(csv.DictReader(file))


def by_test(rows: list) -> Counter:
    """Seconds of each test function, all of its cases and phases together."""
    seconds = Counter()
    for row in rows:
        if row["phase"] != "collection":
            seconds[row["test"].removeprefix("tests/streaming_ssl/").partition("[")[0]] += float(row["seconds"])
    return seconds


def table(rows: list) -> str:
    """The slowest tests of a step, and their share."""
    seconds = by_test(rows)
    whole, slowest = sum(seconds.values()), seconds.most_common(SLOWEST)
    collection = max((float(row["seconds"]) for row in rows if row["phase"] == "collection"), default=0)
    cases = len({row["test"] for row in rows if row["phase"] == "call"})
    share = sum(spent for _, spent in slowest) / whole
    lines = [f"{cases} cases of {len(seconds)} tests take {whole:.0f} s, importing and collecting {collection:.0f} s."]
    lines += [f"The {len(slowest)} slowest take {share:.0%} of it:", "", "| s | test |", "| ---: | --- |"]
    return "\n".join(lines + [f"| {spent:.1f} | `{test}` |" for test, spent in slowest])


def main():
    """Writes the page."""
    parts = {"`make test`": read("tests"), "Long runs, `make test-all`": read("long")}
    if not any(parts.values()):
        sys.exit("build/matrix has no durations: run `make test` or `make test-all` first")
    head = "# How long tests take\n\nMade by `python tests/durations.py`: seconds of a process, two on two cores.\n"
    tables = (f"\n## {title}\n\n{table(rows)}\n" for title, rows in parts.items() if rows)
    TABLE.write_text(head + "".join(tables))


if __name__ == "__main__":
    main()
