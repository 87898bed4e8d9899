# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""How every picture of this project looks: colours, fonts, sizes, and how it is saved.

A picture is 7 inches wide, so that it is read without zooming at the 700 pixels of a README. The colours are from the
palette of Okabe and Ito, which people with any kind of colour vision tell apart.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # matplotlib takes a second to import
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, FigureBase

BLUE, VERMILLION, GREEN, ORANGE, PURPLE, SKY = "#0072B2", "#D55E00", "#009E73", "#E69F00", "#CC79A7", "#56B4E9"
SERIES = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY)
MARKERS = ("o", "s", "^", "D", "v", "P")  # one for each colour of SERIES
# what a picture compares with, and what stands behind it
INK, GREY, PALE, PALER = "#222222", "#767676", "#D3DEEB", "#EEF2F7"

WIDTH = 7.0  # inches
DPI = 200
COLOURS_OF_A_PNG = 128  # a palette makes the files three times lighter; edges of letters need most of it

STYLE: dict[str, Any] = {
    "font.family": "DejaVu Sans",  # comes with matplotlib
    "font.size": 8.5,
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "axes.titlepad": 6,
    "axes.titlelocation": "left",
    "axes.labelsize": 8.5,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "text.color": INK,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "lines.linewidth": 1.6,
    "lines.markersize": 4.5,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",  # opaque: pages may be dark
    "svg.hashsalt": "streaming-ssl",  # names inside an SVG are the same each time
}


@contextmanager
def in_style() -> Iterator[None]:
    """Draws in the style while it is open; also a decorator of a function that draws."""
    import matplotlib

    with matplotlib.rc_context():
        matplotlib.rcdefaults()  # whatever the matplotlibrc of this machine says
        matplotlib.rcParams.update(STYLE)
        yield


def canvas(height: float) -> "Figure":
    """An empty figure of the usual width, and of `height` inches; draw on it within `in_style`."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, height), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def legend_below(figure: "FigureBase", axes: "Axes", columns: int, **options: Any) -> None:
    """One legend for the whole figure, below it, with what is drawn on `axes` or what `options` give."""
    if "handles" not in options:
        options["handles"], options["labels"] = axes.get_legend_handles_labels()
    figure.legend(loc="outside lower center", ncols=columns, **options)


@in_style()
def save(figure: "Figure", path: Path) -> None:
    """Writes the figure in the format of the file's name; the same picture is the same bytes.

    Raises:
        OSError: the file cannot be written
        ValueError: matplotlib does not know the format
    """
    if path.suffix.lower() != ".png":
        dates = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}
        figure.savefig(path, metadata=dates.get(path.suffix.lower()))
        return
    from PIL import Image

    drawn = BytesIO()
    figure.savefig(drawn, format="png", metadata={"Software": None})
    image = Image.open(drawn).convert("RGB").quantize(COLOURS_OF_A_PNG, dither=Image.Dither.NONE)
    image.save(path, optimize=True, dpi=(DPI, DPI))
