# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""The tables of docs/recognizer.md, from benchmarks/results/live.csv and recognition.csv.

    python -m benchmarks.speed.live_table
"""

import sys
from collections.abc import Iterator

from benchmarks.table import RESULTS, read_rows

SIDES = ("nemo", "session", "onnx", "onnx int8")


def steps(rows: list[dict[str, str]]) -> Iterator[str]:
    """A line for each size, number of streams and piece: p50 in ms of each side, and its ratio to NeMo's."""
    yield "| size, streams | piece, ms | NeMo's loop, ms | session | ONNX | ONNX int8 | int8 / fp32 |"
    yield "| --- | ---: | ---: | ---: | ---: | ---: | ---: |"
    groups: dict[tuple, dict[str, dict[str, str]]] = {}
    for row in rows:
        if not row["minute"]:
            groups.setdefault((row["size"], row["streams"], row["chunk_ms"]), {})[row["side"]] = row
    for (size, streams, piece), sides in groups.items():
        p50 = [f"{float(sides[side]['p50_ms']):.1f}" for side in SIDES]
        ratios = [f" ({float(sides[side]['ratio_nemo_p50']):.2f})" for side in SIDES[1:]]
        cells = [f"{size}, {streams}", piece, p50[0], *map("".join, zip(p50[1:], ratios))]
        yield f"| {' | '.join(cells)} | {float(sides['onnx int8']['ratio_onnx_p50']):.2f} |"


def recognition(rows: list[dict[str, str]]) -> Iterator[str]:
    """A line for each side of each model: error rates in %, how late first tokens are, cuts with the same text."""
    yield "| side | characters wrong, % | first token, p50 and p95 in ms | random cuts with the same text |"
    yield "| --- | ---: | ---: | ---: |"
    for row in rows:
        late = ", ".join(row[f"first_token_p{p}_ms"] for p in (50, 95)) if row["first_token_p50_ms"] else ""
        cuts = f"{row['equal_cuts']} of {row['cuts']}" if row["cuts"] else ""
        yield f"| {row['side']} | {100 * float(row['cer']):.1f} | {late} | {cuts} |"


def main() -> int:
    for name, table in (("live", steps), ("recognition", recognition)):
        print("\n".join(table(read_rows(RESULTS / f"{name}.csv"))), end="\n\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
