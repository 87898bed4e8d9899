# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""The streaming forward of a Conformer encoder: feature frames of any number, in steps, on memory of its own."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from nemo.collections.asr.parts.contexts import AttentionContext
from nemo.collections.asr.parts.streaming.batch_rows import put_rows, row_index, slices_from
from nemo.collections.asr.parts.streaming.plan import MAX_FRAMES, FrameCounts, Turn
from nemo.collections.asr.parts.streaming.step.edges import Edges
from nemo.collections.asr.parts.streaming.step.past import AttentionState, EncoderState, LayerState, SubsamplingState
from nemo.collections.asr.parts.streaming.step.step import StreamingStep


class StreamingEncoder:
    """NeMo's cache-aware `ConformerEncoder` in eval mode, for features that come in pieces.

    Args:
        encoder: the model's
        contexts: in which each layer attends, encoder frames; none is unlimited
        factor: feature frames per encoder frame
        num_features: features per feature frame
        folded: see `StreamingStep`
    """

    def __init__(
        self,
        encoder: Any,
        contexts: Sequence[AttentionContext],
        factor: int,
        num_features: int,
        folded: bool = False,
    ):
        self.chunk = contexts[0].right + 1
        most = max(MAX_FRAMES - MAX_FRAMES % self.chunk, self.chunk)
        self.step = StreamingStep(encoder, contexts, factor, num_features, max_frames=most, folded=folded)
        weight = self.step.subsampling.linear.weight
        self.device, self.dtype = weight.device, weight.dtype
        self.counts = FrameCounts(factor, self.chunk, len(self.step.subsampling.stages), most)
        self.ready_frames = self.counts.ready
