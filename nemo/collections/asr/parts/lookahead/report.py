# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""How far ahead a streaming encoder looks, and why: read from a config, or from a model with the contexts it has now.

An encoder frame stands for the feature frame it begins with (`subsampling_factor` times its index), a feature frame
for the sample at its hop. Look-ahead is what is seen beyond that, in milliseconds.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from nemo.collections.asr.parts.contexts.context import AttentionContext
from nemo.collections.asr.parts.lookahead.from_config import model_section, read_flag, read_options
from nemo.collections.asr.parts.lookahead.predicted import PredictedTokens, predicted_tokens
from nemo.collections.asr.parts.lookahead.reach import (
    Reach,
    Timing,
    context_reach,
    frames_ahead,
    frames_back,
    layer_ranges,
)
from nemo.collections.asr.parts.lookahead.reasons import (
    Reason,
    find_reasons,
    layers_text,
    ms_text,
    number_text,
    stated_frames,
)
from nemo.utils import logging


@dataclass(frozen=True)
class LookaheadReport:
    """What `report_lookahead` finds.

    Args:
        contexts: the attention context of each layer, in encoder frames
        style: `regular` or `chunked_limited`
        timing: lengths of frames
        reasons: everything that looks ahead
        stated_frames: the look-ahead that the contexts state and a streaming model may have, in encoder frames: the
            largest limited right context of one layer
        convolution: how far back and ahead the convolution of each layer sees, in encoder frames
        left_reach_ms: how far back an encoder frame sees through all layers, subsampling and window; inf: all the way
        predicted: with `objective: next_tokens`, which tokens each encoder step predicts, and what keeps it from being
            trained; otherwise None
    """

    contexts: tuple[AttentionContext, ...]
    style: str
    timing: Timing
    reasons: tuple[Reason, ...]
    stated_frames: int
    convolution: Reach
    left_reach_ms: float
    predicted: PredictedTokens | None = None

    @property
    def total_ms(self) -> float:
        """The look-ahead of the whole model, inf where it is unlimited."""
        return sum(reason.ms for reason in self.reasons)

    @property
    def stated_ms(self) -> float:
        """The part of it that a streaming model may have."""
        return sum(reason.ms for reason in self.reasons if not reason.violation)

    @property
    def violations(self) -> tuple[Reason, ...]:
        """The reasons that a configuration which claims to be streaming must not have."""
        return tuple(reason for reason in self.reasons if reason.violation)

    def reach_ms(self, n_layers: int) -> tuple[float, float]:
        """How far the first `n_layers` layers see together, attention and convolution: (ms back, ms ahead)."""
        contexts = self.contexts[:n_layers]
        back = frames_back(contexts, self.style, self.convolution.back)
        ahead = frames_ahead(contexts, self.style, self.convolution.ahead)
        return back * self.timing.encoder_ms, ahead * self.timing.encoder_ms

    def __str__(self) -> str:
        lines = [*self._layer_lines(), *self._reason_lines(), *self._verdict_lines()]
        return "\n".join(lines if self.predicted is None else [*lines, str(self.predicted)])

    def _layer_lines(self) -> Iterator[str]:
        yield f"Attention, {self.style}, in encoder frames of {number_text(self.timing.encoder_ms)} ms"
        yield f"  {'layers':<8}{'[left, right]':<16}{'ms back':>10}{'ms ahead':>10}"
        for first, last, context in layer_ranges(self.contexts):
            back, ahead = (number_text(self.timing.encoder_ms * frames) for frames in context_reach(context))
            yield f"  {layers_text(first, last):<8}{str(context.as_list()):<16}{back:>10}{ahead:>10}"

    def _reason_lines(self) -> Iterator[str]:
        yield "Look-ahead in ms (!: not allowed in a streaming model)"
        for reason in self.reasons:
            yield f"  {number_text(reason.ms):>10} {'!' if reason.violation else ' '} {reason.what}"
        yield f"  {number_text(self.total_ms):>10}   in total"
        yield f"An encoder frame sees {ms_text(self.left_reach_ms)} back, through all layers."

    def _verdict_lines(self) -> Iterator[str]:
        if self.violations:
            count = len(self.violations)
            yield f"Verdict: NOT streaming, {count} {'reason' if count == 1 else 'reasons'} marked with ! above."
        else:
            yield f"Verdict: streaming; nothing looks further ahead than the {ms_text(self.total_ms)} above."


def report_lookahead(config_or_model: Any) -> LookaheadReport:
    """Reports how far ahead a model looks, and each reason for it.

    Args:
        config_or_model: a model's config (DictConfig or dict, with or without `model:` around it), or a built model:
            then its `cfg` is read, with the contexts its encoder's layers have now. Where `att_context_size` lists
            several contexts, the first one counts, with which the model runs outside training.

    Raises:
        ValueError: there is no preprocessor or encoder in it, the encoder is no `ConformerEncoder` (or child of it)
            or cannot be imported, or an option has a value that means nothing.
    """
    options = read_options(config_or_model)
    timing = options.timing
    back_ms = frames_back(options.contexts, options.style, options.convolution.back) * timing.encoder_ms
    back_ms += options.subsampled.back * timing.feature_ms + timing.samples_ms(timing.samples_back)
    return LookaheadReport(
        contexts=options.contexts,
        style=options.style,
        timing=timing,
        reasons=tuple(find_reasons(options)),
        stated_frames=stated_frames(options),
        convolution=options.convolution,
        left_reach_ms=back_ms,
        predicted=predicted_tokens(config_or_model, options),
    )


def require_streaming(config: Mapping) -> None:
    """Checks that a config which claims to be streaming (`model.streaming: true`) is.

    With `model.allow_lookahead: true` a warning is logged instead; without the claim nothing happens.

    Args:
        config: as for `report_lookahead`

    Raises:
        ValueError: listing every violation at once; also one of the two options is no bool, see also
            `report_lookahead`.
    """
    model = model_section(config)
    allowed = read_flag(model, "allow_lookahead")
    if not read_flag(model, "streaming"):
        return
    violations = report_lookahead(model).violations
    if not violations:
        return
    lines = [f"  - {ms_text(reason.ms)}: {reason.what}" for reason in violations]
    text = "\n".join(["model.streaming=true, but the model looks further ahead than a streaming one may:", *lines])
    if not allowed:
        raise ValueError(f"{text}\nChange that, or go on anyway with model.allow_lookahead=true.")
    logging.warning(f"{text}\nGoing on because of model.allow_lookahead=true.")
