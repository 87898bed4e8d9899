# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""`nemo-streaming-ssl plot`: a picture of what each layer of a streaming encoder sees, and of one mask."""

import argparse
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from nemo_streaming_ssl.inputs import (
    InputError,
    Subcommands,
    add_config_arguments,
    load_config,
    model_section,
    read_report,
)
from nemo_streaming_ssl.plot_style import (
    BLUE,
    GREY,
    INK,
    ORANGE,
    PALE,
    PALER,
    canvas,
    in_style,
    legend_below,
    save,
)

if TYPE_CHECKING:  # NeMo takes seconds to import, and most commands need none of it
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from nemo.collections.asr.parts.lookahead import LookaheadReport

BACK, AHEAD, MASKED = BLUE, ORANGE, GREY
WINDOWS = (PALER, PALE)
MASK_SECONDS = 10


def add_plot(commands: Subcommands) -> None:
    """Adds the command to the command line."""
    parser = commands.add_parser("plot", help="draws what each layer sees, and one mask")
    add_config_arguments(parser)
    parser.add_argument("-o", "--output", type=Path, default=Path("contexts.png"), help="default: %(default)s")
    parser.set_defaults(run=run_plot)


def run_plot(args: argparse.Namespace) -> int:
    """Writes the picture; 2 if matplotlib is missing.

    Raises:
        InputError: the input cannot be read, or the picture cannot be written
    """
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError:
        print("plot needs matplotlib: pip install matplotlib", file=sys.stderr)
        return 2
    figure = picture(args.config, args.overrides)
    try:
        save(figure, args.output)
    except (OSError, ValueError) as error:  # the folder is missing; matplotlib does not know the file type
        raise InputError(str(args.output), error) from error
    print(args.output)
    return 0


def picture(path: Path, overrides: Sequence[str] = ()) -> "Figure":
    """The picture of a config, see `load_config`.

    Raises:
        InputError: it cannot be read
    """
    config = load_config(path, overrides)
    report = read_report(path, config)
    try:
        mask = sample_mask(config, report)
    except Exception as error:  # Hydra and OmegaConf have types of their own
        raise InputError(f"{path}: masking", error) from error
    return draw(report, mask)


class SampledMask(NamedTuple):
    """One mask of one utterance.

    Args:
        seconds: per frame
        masked: which frames are masked
        ends: the ends of the windows that it was drawn in, in frames; none where there is one window only
    """

    seconds: float
    masked: list[bool]
    ends: list[int]


def sample_mask(config: Any, report: "LookaheadReport") -> SampledMask | None:
    """Draws one mask of 10 s with the config's masking section and the tightest left context of its layers.

    Returns:
        None without such a section
    """
    import torch
    from omegaconf import OmegaConf

    from nemo.collections.asr.modules.ssl_modules.masking import RandomBlockMasking, mask_features
    from nemo.collections.asr.parts.contexts.context import tightest_left
    from nemo.core.classes.common import Serialization

    model = model_section(config)
    if model.get("masking") is None:
        return None
    options = OmegaConf.create(OmegaConf.to_container(model.masking, resolve=True))
    masking = Serialization.from_config_dict(options)
    ms, stride = report.timing.feature_ms, report.timing.stride
    if model.get("mask_position", "pre_conv") == "post_conv":
        masking.block_size = max(1, masking.block_size // stride)
        ms, stride = report.timing.encoder_ms, 1
    masking.context_stride = stride
    torch.manual_seed(0)
    frames, left_context = round(1000 * MASK_SECONDS / ms), tightest_left(report.contexts)
    lengths = torch.tensor([frames])
    if not isinstance(masking, RandomBlockMasking):  # a fork's own, without windows
        masks = mask_features(masking, torch.zeros(1, options.feat_in, frames), lengths, None, left_context)[1]
        return SampledMask(ms / 1000, masks[0, 0].bool().tolist(), [])
    mask, windows = masking.draw(lengths, frames, effective_left_context=left_context)
    ends = windows.stop[0].unique().tolist() if windows.per_utterance > 1 else []
    return SampledMask(ms / 1000, mask[0].tolist(), ends)


@in_style()
def draw(report: "LookaheadReport", mask: SampledMask | None = None) -> "Figure":
    """The picture as a matplotlib figure: each layer's context, the reach of the layers together, and a mask."""
    height = 1.2 + 0.14 * len(report.contexts)
    figure = canvas(height + (1.3 if mask else 0))
    grid = figure.add_gridspec(2 if mask else 1, 2, height_ratios=[height, 1.3] if mask else None)
    each_layer = figure.add_subplot(grid[0, 0])
    all_layers = figure.add_subplot(grid[0, 1], sharey=each_layer)
    frame = report.timing.encoder_ms / 1000
    _plot_bars(each_layer, [(_length(each.left, frame), _length(each.right, frame)) for each in report.contexts])
    each_layer.set_title(f"What each layer sees ({report.style})")
    each_layer.set_ylabel("layer")
    reaches = [report.reach_ms(layer + 1) for layer in range(len(report.contexts))]
    _plot_bars(all_layers, [(back / 1000, ahead / 1000) for back, ahead in reaches])
    all_layers.set_title("Reach through all layers up to it")
    all_layers.tick_params(labelleft=False)
    if mask:
        _plot_mask(figure.add_subplot(grid[1, :]), report, mask)
    return figure


def _length(frames: int, frame: float) -> float:
    """The length of frames, of which -1 are unlimited."""
    return math.inf if frames < 0 else frames * frame


def _plot_bars(axes: "Axes", reaches: Sequence[tuple[float, float]]) -> None:
    """One bar for each layer, from (seconds back, seconds ahead); unlimited ones are arrows to the edge."""
    longest = max((length for reach in reaches for length in reach if length < math.inf), default=0) or 1.0
    for side, colour in enumerate((BACK, AHEAD)):
        lengths = [reach[side] for reach in reaches]
        # a thin margin where nothing is seen
        edge = max(lengths) + 0.3 * longest if any(lengths) else 0.05 * longest
        edge = 1.5 * longest if math.inf in lengths else edge
        axes.set_xlim(None if side else -edge, edge if side else None)
        for layer, length in enumerate(lengths):
            _plot_bar(axes, layer, length if side else -length, edge, colour)
            if length and lengths.index(length) == layer:
                _label_bar(axes, layer, length, side, edge)
    axes.axvline(0, color=INK, linewidth=0.8)
    axes.set_ylim(-0.7, len(reaches) - 0.3)
    axes.set_yticks(range(0, len(reaches), 1 + len(reaches) // 10))
    axes.set_xlabel("s, the current frame at 0")
    axes.locator_params(axis="x", nbins=5)


def _plot_bar(axes: "Axes", layer: int, length: float, edge: float, colour: str) -> None:
    if abs(length) == math.inf:
        arrow = {"arrowstyle": "-|>", "color": colour, "linewidth": 3, "shrinkA": 0, "shrinkB": 0}
        axes.annotate("", (math.copysign(edge, length), layer), (0, layer), arrowprops=arrow)
    elif length:
        axes.barh(layer, length, height=0.75, color=colour)


def _label_bar(axes: "Axes", layer: int, length: float, ahead: int, edge: float) -> None:
    """The first layer of several alike has the number at its bar's end; that of an arrow stands on it."""
    text = "unlimited" if length == math.inf else f"{length:.3g}"
    at, align = (edge / 2, "center") if length == math.inf else (length, "left" if ahead else "right")
    box = {"facecolor": "white", "edgecolor": "none", "pad": 1} if length == math.inf else None
    axes.text(at if ahead else -at, layer, f" {text} ", ha=align, va="center", fontsize=7, bbox=box)


def _plot_mask(axes: "Axes", report: "LookaheadReport", mask: SampledMask) -> None:
    from matplotlib.patches import Patch

    seconds, masked, ends = mask
    for i, (first, stop) in enumerate(zip([0, *ends], ends)):
        axes.axvspan(first * seconds, stop * seconds, color=WINDOWS[i % 2], linewidth=0)
    padded = [False, *masked, False]
    edges = [i for i in range(len(masked) + 1) if padded[i] != padded[i + 1]]
    blocks = [(first * seconds, (stop - first) * seconds) for first, stop in zip(edges[::2], edges[1::2])]
    axes.broken_barh(blocks, (0.2, 0.6), color=MASKED, linewidth=0)
    axes.set_title(f"One mask of {MASK_SECONDS} s, {100 * sum(masked) / len(masked):.0f} % masked")
    axes.set_xlabel("s")
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.set(xlim=(0, len(masked) * seconds), ylim=(0, 1))
    handles = [Patch(color=MASKED, label="masked")]
    if ends:
        lefts = [context.left * report.timing.encoder_ms / 1000 for context in report.contexts if context.left >= 0]
        size = f", {min(lefts):.3g} s" if lefts else ""
        handles.append(Patch(color=WINDOWS[1], label=f"windows of the tightest left context{size}"))
    legend_below(axes.figure, axes, len(handles), handles=handles)
