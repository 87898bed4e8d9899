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

"""The plots of the benchmark of attention: time and peak memory over NeMo's, over the number of frames.

    python -m benchmarks.speed.plot     # from benchmarks/results/speed.csv to speed.png beside it
"""

import re
import sys
from pathlib import Path
from typing import List

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from benchmarks.speed.table import RESULTS, read_rows

PANELS = (("time_ratio", "time, ours / NeMo"), ("memory_ratio", "peak memory, ours / NeMo"))
COLOURS = ("#3b6ea5", "#c2703d", "#5b8c5a")


def curves(rows: List[dict], column: str) -> dict:
    """`{context: [(frames, ratio), ...]}` of our attention, the tuned malloc's where there are two."""
    found = {}
    for row in rows:
        if row["part"] == "attention" and row["side"] == "ours" and row["malloc"] != "default":
            case = dict(re.findall(r"(\w+)=(\S+)", row["case"]))
            context = f"[{case['left']}, {case['right']}]"
            found.setdefault(context, []).append((int(case["frames"]), float(row[column])))
    return {context: sorted(points) for context, points in found.items()}


def draw(results: Path):
    """Writes the plot beside the CSV."""
    rows = read_rows(results)
    figure = Figure(figsize=(8, 3.2), layout="constrained")
    FigureCanvasAgg(figure)
    for axes, (column, label) in zip(figure.subplots(1, 2), PANELS):
        for colour, (context, points) in zip(COLOURS, curves(rows, column).items()):
            axes.plot(*zip(*points), "o-", color=colour, label=context)
        axes.axhline(1.0, color="black", linestyle=":", linewidth=1)
        axes.set(xlabel="encoder frames (80 ms)", title=label, ylim=(0, 1.1))
        axes.spines[["top", "right"]].set_visible(False)
    axes.legend(title="context", frameon=False)
    figure.savefig(results.with_suffix(".png"), dpi=110)


if __name__ == "__main__":
    draw(Path(sys.argv[1]) if len(sys.argv) > 1 else RESULTS / "speed.csv")
