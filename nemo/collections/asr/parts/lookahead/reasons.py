# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Everything in a streaming encoder that looks ahead, one reason after the other."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from nemo.collections.asr.parts.contexts.context import UNLIMITED
from nemo.collections.asr.parts.lookahead.from_config import ModelOptions
from nemo.collections.asr.parts.lookahead.reach import SUBSAMPLING_STEPS, frames_ahead, layer_ranges

Part = Literal["attention", "convolution", "downsampling", "front end", "normalisation"]


@dataclass(frozen=True)
class Reason:
    """One thing that looks ahead.

    Args:
        part: where in the model it is. `front end` is the preprocessor, its normalisation included; `normalisation` is
            that of the encoder's layers.
        what: what it is, for people; decide by `part`
        ms: how far it looks ahead, inf: to the end of the utterance
        violation: whether streaming forbids it
    """

    part: Part
    what: str
    ms: float
    violation: bool


def find_reasons(options: ModelOptions) -> Iterator[Reason]:
    """Every reason why a model looks ahead, from attention to the front end."""
    for find in (_attention, _convolution, _subsampling, _window_and_averages):
        yield from find(options)


def stated_frames(options: ModelOptions) -> int:
    """The look-ahead that the contexts state: the largest limited right context of one layer, in encoder frames."""
    return max((context.right for context in options.contexts if context.right != UNLIMITED), default=0)


def _attention(options: ModelOptions) -> Iterator[Reason]:
    contexts, stated, encoder_ms = options.contexts, stated_frames(options), options.timing.encoder_ms
    ahead = frames_ahead(contexts, options.style)
    if stated:
        is_chunk = options.style != "regular"
        what = "right context of a chunk, which all layers share" if is_chunk else "right context of a layer"
        yield Reason("attention", f"attention: {what}: {frames_text(stated)}", stated * encoder_ms, False)
    if ahead == math.inf:
        ranges = layer_ranges(contexts)
        unlimited = [layers_text(first, last) for first, last, context in ranges if context.right == UNLIMITED]
        text = f"attention: unlimited right context in layers {', '.join(unlimited)}"
        yield Reason("attention", text, math.inf, True)
    elif ahead > stated:
        text = (
            f"attention: right contexts add up over {len(contexts)} layers to {frames_text(ahead)}, {ahead - stated} "
            "more than one layer states (att_context_style=chunked_limited does not)"
        )
        yield Reason("attention", text, (ahead - stated) * encoder_ms, True)
    if options.sees_globally:
        text = f"attention: encoder.global_tokens={options.sees_globally} see everything"
        yield Reason("attention", text, math.inf, True)


def _convolution(options: ModelOptions) -> Iterator[Reason]:
    contexts, ahead = options.contexts, options.convolution.ahead
    if ahead == 0:
        return
    frames = len(contexts) * ahead
    attention = frames_ahead(contexts, options.style)
    if attention < math.inf:  # more than that where it reaches into the next chunk
        frames = frames_ahead(contexts, options.style, ahead) - attention
    size = "null" if options.conv_context_size is None else options.conv_context_size
    text = (
        f"convolution: encoder.conv_context_size={size} looks {frames_text(ahead)} ahead in each of {len(contexts)} "
        "layers (causal does not)"
    )
    yield Reason("convolution", text, frames * options.timing.encoder_ms, True)


def _subsampling(options: ModelOptions) -> Iterator[Reason]:
    kind, ahead = options.subsampling, options.subsampled.ahead
    if kind is None or ahead == 0:
        return
    has_causal_form = SUBSAMPLING_STEPS[kind][1][1] == 0
    advice = "encoder.causal_downsampling=true does not" if has_causal_form else "it has no causal form"
    text = f"downsampling: encoder.subsampling={kind} sees {ahead} feature frames ahead ({advice})"
    yield Reason("downsampling", text, ahead * options.timing.feature_ms, True)


def _window_and_averages(options: ModelOptions) -> Iterator[Reason]:
    timing, kind = options.timing, options.conv_norm_type
    window = number_text(timing.samples_ms(timing.samples_back + timing.samples_ahead))
    text = f"STFT: half of its centred {window} ms window"
    yield Reason("front end", text, timing.samples_ms(timing.samples_ahead), False)
    if kind.endswith("batch_norm"):
        what = f"encoder.conv_norm_type={kind} mixes all frames of the batch in training (layer_norm does not)"
        yield Reason("normalisation", f"batch statistics: {what}", 0.0, True)
    elif kind != "layer_norm":
        what = f"encoder.conv_norm_type={kind} averages over the whole utterance (layer_norm does not)"
        yield Reason("normalisation", f"utterance normalisation: {what}", math.inf, True)
    if options.normalize in ("per_feature", "all_features"):
        what = f"preprocessor.normalize={options.normalize} averages over the whole utterance (NA does not)"
        yield Reason("front end", f"utterance normalisation: {what}", math.inf, True)


def frames_text(count: float) -> str:
    """A number of encoder frames."""
    return f"{count} encoder frame{'' if count == 1 else 's'}"


def layers_text(first: int, last: int) -> str:
    """A range of layers."""
    return str(first) if first == last else f"{first}-{last}"


def number_text(ms: float) -> str:
    """Milliseconds without a unit, and without zeros that say nothing."""
    return "unlimited" if ms == math.inf else f"{ms:.2f}".rstrip("0").rstrip(".")


def ms_text(ms: float) -> str:
    """Milliseconds with their unit."""
    return "unlimited" if ms == math.inf else f"{number_text(ms)} ms"
