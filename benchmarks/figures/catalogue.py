# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Which pictures there are: the name of each, where it lies, and what draws it."""

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from benchmarks.shipped import CONFIGS, HIERARCHICAL
from benchmarks.table import RESULTS, read_rows


@dataclass(frozen=True)
class Picture:
    """One picture.

    Args:
        path: where it lies in the repository
        drawer: module and function that write it to a path
        rows: the CSV of benchmarks/results whose rows the function takes as well, if it does
    """

    path: str
    drawer: str
    rows: str = ""

    def draw(self, path: Path) -> None:
        """Writes it to a path. What it needs is imported here: NeMo takes many seconds, some need only a CSV."""
        module, _, function = self.drawer.rpartition(".")
        given = [read_rows(RESULTS / self.rows)] if self.rows else []
        getattr(import_module(module), function)(path, *given)


def draw_contexts(path: Path) -> None:
    """What `nemo-streaming-ssl plot` makes of the shipped config."""
    from nemo_streaming_ssl.plot import picture
    from nemo_streaming_ssl.plot_style import save

    save(picture(CONFIGS / f"{HIERARCHICAL}.yaml"), path)


HERE, CORPORA, SPEECHOCEAN = "benchmarks.figures", "benchmarks.quality.corpora.plot", "speechocean.csv"
TESTED = "benchmarks/results/speechocean-test"
PICTURES = {
    "leak_probe": Picture("docs/figures/leak_probe.png", f"{HERE}.leak_probe.draw"),
    "contexts_over_time": Picture("docs/figures/contexts_over_time.png", f"{HERE}.contexts_over_time.draw"),
    "masking": Picture("docs/figures/masking.png", f"{HERE}.masking.draw"),
    "objectives": Picture("docs/figures/objectives.png", f"{HERE}.objectives.draw"),
    "contexts": Picture("docs/contexts.png", f"{HERE}.catalogue.draw_contexts"),
    "speed": Picture("benchmarks/results/speed.png", "benchmarks.speed.plot.draw", "speed.csv"),
    "probes": Picture("benchmarks/results/quality.png", "benchmarks.quality.synthetic.report.draw", "quality.csv"),
    "minutes": Picture(f"{TESTED}-minutes.png", f"{CORPORA}.draw_minutes", SPEECHOCEAN),
    "steps": Picture(f"{TESTED}-steps.png", f"{CORPORA}.draw_steps", SPEECHOCEAN),
    "curves": Picture(f"{TESTED}-curves.png", f"{CORPORA}.draw_curves", SPEECHOCEAN),
}
