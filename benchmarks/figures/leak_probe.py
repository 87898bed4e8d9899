# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Which feature frames move which encoder outputs: one frame of the input is changed, all outputs are compared.

The leak probe (`probe_causality`) changes all of the rest from a frame on. Here it is one frame at a time, so that the
whole matrix is seen.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nemo.collections.asr.modules.conformer_encoder import ConformerEncoder
from nemo.collections.asr.parts.lookahead import report_lookahead
from nemo_streaming_ssl.plot_style import BLUE, GREY, INK, ORANGE, VERMILLION, canvas, in_style, legend_below, save

STEPS, STRIDE = 20, 8  # encoder outputs, and feature frames for each
SECONDS_OF_A_FRAME = 0.01
CAUSAL = dict(causal_downsampling=True, conv_context_size="causal", conv_norm_type="layer_norm")
ENCODERS: dict[str, dict] = {
    "Causal: contexts\nof [4, 0]": dict(att_context_size=[4, 0], **CAUSAL),
    "Chunks of 4 steps:\nchunked_limited [4, 3]": dict(
        att_context_size=[4, 3], att_context_style="chunked_limited", **CAUSAL
    ),
    "Contexts of [4, 0],\nNeMo's convolutions": dict(att_context_size=[4, 0]),
    "Offline:\nNeMo's defaults": dict(),
}
HEARD, WAITED, LEAKED = 1, 2, 3
COLOURS = ("white", BLUE, ORANGE, VERMILLION)
LABELS = {
    HEARD: "has been heard",
    WAITED: "is waited for, as the contexts state",
    LEAKED: "leaks from the future",
}


@dataclass(frozen=True)
class Influence:
    """What one encoder's outputs depend on.

    Args:
        moved: whether the change of a feature frame moves an output by a bit, (outputs, feature frames)
        stated: how many encoder steps ahead the contexts say that an output sees
    """

    moved: Tensor
    stated: int

    def kinds(self) -> Tensor:
        """For each output and feature frame HEARD, WAITED or LEAKED, 0 where it is not moved; as `moved`."""
        outputs, frames = (torch.arange(size) for size in self.moved.shape)
        now = outputs[:, None] * STRIDE  # a step stands for the feature frame that it begins with
        kinds = 1 + (frames > now).int() + (frames > now + self.stated * STRIDE).int()
        return kinds * self.moved


@torch.no_grad()
def influence(options: dict, seed: int = 0) -> Influence:
    """Builds a tiny encoder with random weights and finds out what its outputs depend on.

    Args:
        options: arguments of `ConformerEncoder`, beside its size
        seed: of weights and input
    """
    sizes = dict(feat_in=16, n_layers=2, d_model=32, n_heads=4, subsampling="dw_striding", conv_kernel_size=5)
    options = dict(sizes, subsampling_factor=STRIDE, subsampling_conv_channels=8, **options)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        encoder = ConformerEncoder(**options).eval()
        signal, other = torch.randn(2, options["feat_in"], STEPS * STRIDE)
    return Influence(moved_outputs(encoder, signal, other), stated_steps(options))


def moved_outputs(encoder: ConformerEncoder, signal: Tensor, other: Tensor) -> Tensor:
    """Which outputs move if one frame of `signal` is that of `other`, both (D, T); returns (T / STRIDE, T).

    Each change is an item of a batch. It is compared with the same item of a batch without changes: where an item
    stands in a batch can decide about the last bit of a product.
    """
    frames = signal.size(1)
    batch = signal.expand(frames, -1, -1)
    changed = torch.where(torch.eye(frames, dtype=torch.bool)[:, None], other, batch)
    lengths = torch.full((frames,), frames)
    before, after = (encoder(audio_signal=signals, length=lengths)[0] for signals in (batch.contiguous(), changed))
    # causal subsampling gives one output more, which stands for the frame behind the last
    return (before != after).any(dim=1).T[: frames // STRIDE]


def stated_steps(options: dict) -> int:
    """The look-ahead that the contexts state, in encoder steps; nothing is normalised over the utterance."""
    encoder = dict(options, _target_="nemo.collections.asr.modules.ConformerEncoder")
    preprocessor = dict(_target_="nemo.collections.asr.modules.AudioToMelSpectrogramPreprocessor", normalize="NA")
    return report_lookahead(dict(preprocessor=preprocessor, encoder=encoder)).stated_frames


@in_style()
def draw(path: Path) -> None:
    """Writes the picture: a matrix for each encoder."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    figure = canvas(2.6)
    panels = figure.subplots(1, len(ENCODERS), sharey=True)
    for axes, (title, options) in zip(panels, ENCODERS.items()):
        draw_matrix(axes, influence(options).kinds())
        axes.set_title(title, fontsize=8.5)
        axes.set_xlabel("input that is changed, s")
    panels[0].set_ylabel("output that moves, s")
    handles: list[Any] = [Patch(color=COLOURS[kind], label=label) for kind, label in LABELS.items()]
    handles.append(Line2D([], [], color=INK, linewidth=0.8, label="now"))
    legend_below(figure, panels[0], len(handles), handles=handles)
    save(figure, path)


def draw_matrix(axes: Any, kinds: Tensor) -> None:
    """One matrix, input from left to right, output from top to bottom, with a line at what is heard just now."""
    from matplotlib.colors import ListedColormap

    seconds = kinds.size(1) * SECONDS_OF_A_FRAME
    extent = (0, seconds, seconds, 0)
    axes.imshow(kinds, ListedColormap(COLOURS), vmin=0, vmax=3, extent=extent, interpolation="nearest")
    axes.plot([0, seconds], [0, seconds], color=INK, linewidth=0.8)
    axes.set_xticks([0, 0.5, 1, 1.5])
    axes.set_yticks([0, 0.5, 1, 1.5])
    axes.spines[:].set(visible=True, color=GREY)
