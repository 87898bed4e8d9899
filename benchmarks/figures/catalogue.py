# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Which pictures there are: the name of each, where it lies, and what draws it.

Each function imports what it needs: NeMo takes many seconds, and some pictures need only a CSV.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "benchmarks/results"
CONFIG = ROOT / "examples/asr/conf/ssl/nest/nest_hierarchical_streaming.yaml"


@dataclass(frozen=True)
class Picture:
    """One picture.

    Args:
        path: where it lies in the repository
        draw: writes it to a path
    """

    path: str
    draw: Callable[[Path], None]


def draw_leak_probe(path: Path) -> None:
    """Which input frames move which encoder outputs."""
    from benchmarks.figures.leak_probe import draw

    draw(path)


def draw_contexts_over_time(path: Path) -> None:
    """What layers see while the curriculum goes on."""
    from benchmarks.figures.contexts_over_time import draw

    draw(path)


def draw_masking(path: Path) -> None:
    """Causal masks beside NeMo's."""
    from benchmarks.figures.masking import draw

    draw(path)


def draw_objectives(path: Path) -> None:
    """What each encoder step is asked."""
    from benchmarks.figures.objectives import draw

    draw(path)


def draw_contexts(path: Path) -> None:
    """What `nemo-streaming-ssl plot` makes of the shipped config."""
    from nemo_streaming_ssl.plot import picture
    from nemo_streaming_ssl.plot_style import save

    save(picture(CONFIG), path)


def draw_speed(path: Path) -> None:
    """Time and memory of attention over the length of the audio."""
    from benchmarks.speed.plot import draw

    draw(RESULTS / "speed.csv", path)


def draw_probes(path: Path) -> None:
    """Phone probes on synthetic speech."""
    from benchmarks.quality.synthetic.plot import draw
    from benchmarks.quality.synthetic.report import read_seeds

    draw(path, read_seeds(RESULTS / "quality.csv"))


def draw_minutes(path: Path) -> None:
    """Errors on real speech over minutes of labels."""
    from benchmarks.quality.corpora.plot import draw_minutes as draw

    draw(path, tested_rows())


def draw_steps(path: Path) -> None:
    """Errors on real speech over steps of pretraining."""
    from benchmarks.quality.corpora.plot import draw_steps as draw

    draw(path, tested_rows())


def draw_curves(path: Path) -> None:
    """Losses of fine-tuning on real speech."""
    from benchmarks.quality.corpora.plot import draw_curves as draw

    draw(path, tested_rows())


def tested_rows() -> list[dict[str, str]]:
    """The rows of real speech that were tested on speakers who were never trained on."""
    from benchmarks.quality.corpora.results import read_rows

    return [row for row in read_rows(RESULTS / "speechocean.csv") if row["on"] == "test"]


PICTURES = {
    "leak_probe": Picture("docs/figures/leak_probe.png", draw_leak_probe),
    "contexts_over_time": Picture("docs/figures/contexts_over_time.png", draw_contexts_over_time),
    "masking": Picture("docs/figures/masking.png", draw_masking),
    "objectives": Picture("docs/figures/objectives.png", draw_objectives),
    "contexts": Picture("docs/contexts.png", draw_contexts),
    "speed": Picture("benchmarks/results/speed.png", draw_speed),
    "probes": Picture("benchmarks/results/quality.png", draw_probes),
    "minutes": Picture("benchmarks/results/speechocean-test-minutes.png", draw_minutes),
    "steps": Picture("benchmarks/results/speechocean-test-steps.png", draw_steps),
    "curves": Picture("benchmarks/results/speechocean-test-curves.png", draw_curves),
}
