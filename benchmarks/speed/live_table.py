# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""The tables of docs/recognizer.md, from benchmarks/results/live.csv and recognition.csv.

    python -m benchmarks.speed.live_table
"""

import sys

from benchmarks.table import RESULTS, markdown, read_rows

SIDES = ("nemo", "session", "onnx", "onnx int8")


def steps(rows: list[dict[str, str]]) -> str:
    """A line for each size, number of streams and piece: p50 in ms of each side, and its ratio to NeMo's."""
    groups: dict[tuple[str, ...], dict[str, dict[str, str]]] = {}
    for row in rows:
        if not row["minute"]:
            groups.setdefault((row["size"], row["streams"], row["chunk_ms"]), {})[row["side"]] = row
    lines = []
    for (size, streams, piece), sides in groups.items():
        nemo, *ours = (f"{float(sides[side]['p50_ms']):.1f}" for side in SIDES)
        ratios = [f"({float(sides[side]['ratio_nemo_p50']):.2f})" for side in SIDES[1:]]
        int8 = f"{float(sides['onnx int8']['ratio_onnx_p50']):.2f}"
        lines.append([f"{size}, {streams}", piece, nemo, *map(" ".join, zip(ours, ratios)), int8])
    heads = ["size, streams", "piece, ms", "NeMo's loop, ms", "session", "ONNX", "ONNX int8", "int8 / fp32"]
    return markdown(heads, ["---", *["---:"] * 6], lines)


def recognition(rows: list[dict[str, str]]) -> str:
    """A line for each side of each model: error rates in %, how late first tokens are, cuts with the same text."""
    lines = []
    for row in rows:
        late = ", ".join(row[f"first_token_p{p}_ms"] for p in (50, 95)) if row["first_token_p50_ms"] else ""
        cuts = f"{row['equal_cuts']} of {row['cuts']}" if row["cuts"] else ""
        lines.append([row["side"], f"{100 * float(row['cer']):.1f}", late, cuts])
    heads = ["side", "characters wrong, %", "first token, p50 and p95 in ms", "random cuts with the same text"]
    return markdown(heads, ["---", *["---:"] * 3], lines)


def main() -> int:
    for name, table in (("live", steps), ("recognition", recognition)):
        print(table(read_rows(RESULTS / f"{name}.csv")), end="\n\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
