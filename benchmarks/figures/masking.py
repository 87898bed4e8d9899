# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Causal masks beside NeMo's: where blocks lie, and which masked frames leave an encoder nothing to predict from."""

from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from nemo.collections.asr.modules.ssl_modules import _masking_base as plain_nemo
from nemo.collections.asr.modules.ssl_modules.masking import RandomBlockMasking
from nemo_streaming_ssl.plot_style import GREY, PALE, PALER, VERMILLION, canvas, in_style, legend_below, save

SHOWN, COUNTED, FRAMES = 6, 500, 800  # utterances, those of which shares are the mean, frames of each
SECONDS_OF_A_FRAME = 0.01
OPTIONS: dict[str, Any] = dict(feat_in=1, block_size=40, mask_prob=0.02, allow_overlap=True, max_mask_ratio=0.8)
LEFT_STEPS, STRIDE = 10, 8  # the left context, in encoder steps, and feature frames for each
CONTEXT = LEFT_STEPS * STRIDE


class Masks(NamedTuple):
    """Masks of several utterances.

    Args:
        masked: which frames, (utterances, frames)
        ends: for each utterance, where windows end, in frames; none where there are no windows
    """

    masked: Tensor
    ends: list[list[int]]

    def unheard(self) -> Tensor:
        """Masked frames of which the whole left context is masked too, as far as there is one."""
        before = F.pad((~self.masked).cumsum(dim=1), (1, 0))
        first = (torch.arange(self.masked.size(1)) - CONTEXT).clamp(min=0)
        return self.masked & (before[:, 1:] == before[:, first])

    def title(self, name: str) -> str:
        """The name, and the share of the masked frames that are `unheard`."""
        share = self.unheard().sum() / self.masked.sum()
        return f"{name}: {100 * share:.0f} % of masked frames without anything to predict them from"


def causal_masks(seed: int = 0) -> Masks:
    """Masks that are drawn in windows of the left context."""
    masking = RandomBlockMasking(**OPTIONS, causal=True, left_context_size=LEFT_STEPS, context_stride=STRIDE)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        masked, windows = masking.draw(torch.full((COUNTED,), FRAMES), FRAMES)
    return Masks(masked, [sorted(set(stops)) for stops in windows.stop.tolist()])


def nemo_masks(seed: int = 0) -> Masks:
    """Masks of NeMo's own class with the same options."""
    masking = plain_nemo.RandomBlockMasking(**OPTIONS)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        lengths = torch.full((COUNTED,), FRAMES)
        masks = masking(input_feats=torch.zeros(COUNTED, 1, FRAMES), input_lengths=lengths)[1]
    return Masks(masks[:, 0].bool(), [[] for _ in range(COUNTED)])


@in_style()
def draw(path: Path) -> None:
    """Writes the picture: some utterances with causal masks, and as many with NeMo's."""
    from matplotlib.patches import Patch

    figure = canvas(3.6)
    panels: dict[str, Masks] = {"Causal masks": causal_masks(), "NeMo's masks": nemo_masks()}
    both = figure.subplots(2, 1, sharex=True)
    for axes, (name, masks) in zip(both, panels.items()):
        draw_masks(axes, masks)
        axes.set_title(masks.title(name))
        axes.set_ylabel("utterances")
    block, seconds = OPTIONS["block_size"] * SECONDS_OF_A_FRAME, CONTEXT * SECONDS_OF_A_FRAME
    both[-1].set_xlabel(
        f"s; blocks of {block:.1f} s, mask_prob {OPTIONS['mask_prob']}; percentages of {COUNTED} utterances"
    )
    handles = [
        Patch(color=GREY, label="masked"),
        Patch(color=VERMILLION, label=f"masked, and so are all of the {seconds:.1f} s before it"),
        Patch(color=PALE, label=f"windows of the left context, {seconds:.1f} s"),
    ]
    legend_below(figure, both[0], 3, handles=handles)
    save(figure, path)


def draw_masks(axes: Any, masks: Masks) -> None:
    """A strip for each of the first utterances."""
    unheard = masks.unheard()
    for row in range(SHOWN):
        for index, (first, stop) in enumerate(zip([0, *masks.ends[row]], masks.ends[row])):
            draw_blocks(axes, row, [(first, stop)], (PALER, PALE)[index % 2], height=0.9)
        draw_blocks(axes, row, runs(masks.masked[row]), GREY, height=0.6)
        draw_blocks(axes, row, runs(unheard[row]), VERMILLION, height=0.6)
    axes.set(xlim=(0, FRAMES * SECONDS_OF_A_FRAME), ylim=(SHOWN - 0.5, -0.5), yticks=[])
    axes.spines["left"].set_visible(False)


def draw_blocks(axes: Any, row: int, blocks: list, colour: str, height: float) -> None:
    """Bars from frame to frame."""
    seconds = [(first * SECONDS_OF_A_FRAME, (stop - first) * SECONDS_OF_A_FRAME) for first, stop in blocks]
    axes.broken_barh(seconds, (row - height / 2, height), color=colour, linewidth=0)


def runs(chosen: Tensor) -> list:
    """(first, stop) of each run of frames that are chosen, (T,)."""
    edges = F.pad(chosen.int(), (1, 1)).diff().nonzero().flatten().tolist()
    return list(zip(edges[::2], edges[1::2]))
