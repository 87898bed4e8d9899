# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""How far layers, chunks, convolutions and subsampling reach: arithmetic alone, on frames and milliseconds."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple

from nemo.collections.asr.parts.contexts.context import UNLIMITED, AttentionContext, lookahead_frames

# What one 2-fold step of each kind of subsampling sees, in its own input frames: output i sees 2 i - back to 2 i +
# ahead, so n steps see (2 ** n - 1) times as much. The second pair is for `causal_downsampling`.
SUBSAMPLING_STEPS = {
    "striding": ((1, 1), (2, 0)),
    "dw_striding": ((1, 1), (2, 0)),
    "striding_conv1d": ((2, 2), (4, 0)),
    "dw_striding_conv1d": ((2, 2), (2, 2)),  # has no causal form, NeMo ignores the option
    "vggnet": ((2, 3), (2, 3)),  # two convolutions of 3, then the larger of 2 frames; no causal form either
    "stacking": ((0, 1), (0, 1)),  # a group of frames side by side
    "stacking_norm": ((0, 1), (0, 1)),
}


class Reach(NamedTuple):
    """How many frames something sees before and after the one that it stands for; inf: all of them."""

    back: float
    ahead: float


@dataclass(frozen=True)
class Timing:
    """What the frames of a model are made of.

    Args:
        sample_rate: Hz
        hop: samples per feature frame
        samples_back, samples_ahead: feature frame j is made of the samples from `j * hop - samples_back` to
            `j * hop + samples_ahead - 1` (pre-emphasis adds one sample before)
        stride: feature frames per encoder frame
    """

    sample_rate: int
    hop: int
    samples_back: int
    samples_ahead: int
    stride: int

    def samples_ms(self, samples: float) -> float:
        """Milliseconds of a number of samples."""
        return 1000.0 * samples / self.sample_rate

    @property
    def feature_ms(self) -> float:
        """Milliseconds per feature frame."""
        return self.samples_ms(self.hop)

    @property
    def encoder_ms(self) -> float:
        """Milliseconds per encoder frame."""
        return self.samples_ms(self.hop * self.stride)


def context_reach(context: AttentionContext) -> Reach:
    """What one layer attends to, in encoder frames."""
    return Reach(*(math.inf if frames == UNLIMITED else frames for frames in context.as_list()))


def subsampling_reach(kind: str, factor: int, causal: bool) -> Reach:
    """What a subsampling by `factor` sees beyond the feature frame an encoder frame stands for, in feature frames."""
    back, ahead = SUBSAMPLING_STEPS[kind][1 if causal else 0]
    return Reach(back * (factor - 1), ahead * (factor - 1))


def frames_ahead(contexts: Sequence[AttentionContext], style: str, conv_ahead: float = 0) -> float:
    """How many encoder frames ahead the layers see together, at the frame that sees furthest.

    In chunks attention adds nothing from layer to layer, but a convolution that looks over the end of a chunk draws
    all of the next one in.
    """
    attention = lookahead_frames(contexts, style)
    if attention == UNLIMITED:
        return math.inf
    if style == "regular":
        return attention + conv_ahead * len(contexts)

    def last_seen(frame: float) -> float:
        for context in contexts:
            frame += conv_ahead
            frame += context.right - frame % (context.right + 1)
        return frame

    return max(last_seen(frame) - frame for frame in range(contexts[0].right + 1))


def frames_back(contexts: Sequence[AttentionContext], style: str, conv_back: float = 0) -> float:
    """How many encoder frames back the layers see together, at the frame that sees furthest."""
    if any(context.left == UNLIMITED for context in contexts):
        return math.inf
    if style == "regular" or any(context.right == UNLIMITED for context in contexts):
        return sum(context.left + conv_back for context in contexts)

    def first_seen(frame: float) -> float:
        for context in contexts:
            frame -= conv_back
            chunk = context.right + 1
            frame -= frame % chunk + context.left // chunk * chunk
        return frame

    return max(frame - first_seen(frame) for frame in range(contexts[0].right + 1))


def layer_ranges(contexts: Sequence[AttentionContext]) -> Iterator[tuple[int, int, AttentionContext]]:
    """Neighbouring layers with the same context: (first layer, last layer, context)."""
    first = 0
    for context, group in groupby(contexts):
        after = first + len(list(group))
        yield first, after - 1, context
        first = after
