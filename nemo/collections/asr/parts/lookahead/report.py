# Copyright (c) 2026, the streaming-ssl authors.
#
# Licensed under the Apache License, Version 2.0 (the "License");
# you may not use this file except in compliance with the License.
# You may obtain a copy of the License at
#
#     http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS,
# WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
# See the License for the specific language governing permissions and
# limitations under the License.

"""How far ahead a streaming encoder looks, and why: read from a config, or from a model with the contexts it has now.

An encoder frame stands for the feature frame it begins with (`subsampling_factor` times its index), a feature frame
for the sample at its hop. Look-ahead is what is seen beyond that, in milliseconds. Nothing here uses torch itself.
"""

import inspect
import math
from dataclasses import dataclass
from itertools import groupby
from typing import Iterator, List, Literal, Mapping, Sequence, Tuple

from hydra.utils import get_object
from omegaconf import OmegaConf

from nemo.collections.asr.parts.contexts.context import (
    STYLES,
    UNLIMITED,
    AttentionContext,
    ContextSchedule,
    lookahead_frames,
)
from nemo.core.classes import common
from nemo.utils import logging
from nemo.utils.option_checks import check_integer

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
    """

    contexts: Tuple[AttentionContext, ...]
    style: str
    timing: Timing
    reasons: Tuple[Reason, ...]
    stated_frames: int
    convolution: Tuple[int, int]
    left_reach_ms: float

    @property
    def total_ms(self) -> float:
        """The look-ahead of the whole model, inf where it is unlimited."""
        return sum(reason.ms for reason in self.reasons)

    @property
    def stated_ms(self) -> float:
        """The part of it that a streaming model may have."""
        return sum(reason.ms for reason in self.reasons if not reason.violation)

    @property
    def violations(self) -> Tuple[Reason, ...]:
        """The reasons that a configuration which claims to be streaming must not have."""
        return tuple(reason for reason in self.reasons if reason.violation)

    def reach_ms(self, n_layers: int) -> Tuple[float, float]:
        """How far the first `n_layers` layers see together, attention and convolution: (ms back, ms ahead)."""
        contexts = self.contexts[:n_layers]
        back = _frames_back(contexts, self.style, self.convolution[0])
        ahead = _frames_ahead(contexts, self.style, self.convolution[1])
        return back * self.timing.encoder_ms, ahead * self.timing.encoder_ms

    def __str__(self) -> str:
        return "\n".join([*self._layer_lines(), *self._reason_lines(), *self._verdict_lines()])

    def _layer_lines(self) -> Iterator[str]:
        yield f"Attention, {self.style}, in encoder frames of {_number(self.timing.encoder_ms)} ms"
        yield f"  {'layers':<8}{'[left, right]':<16}{'ms back':>10}{'ms ahead':>10}"
        for first, last, context in layer_ranges(self.contexts):
            back, ahead = (_number(self.timing.encoder_ms * frames) for frames in _as_reach(context))
            yield f"  {_layers(first, last):<8}{str(context.as_list()):<16}{back:>10}{ahead:>10}"

    def _reason_lines(self) -> Iterator[str]:
        yield "Look-ahead in ms (!: not allowed in a streaming model)"
        for reason in self.reasons:
            yield f"  {_number(reason.ms):>10} {'!' if reason.violation else ' '} {reason.what}"
        yield f"  {_number(self.total_ms):>10}   in total"
        yield f"An encoder frame sees {_with_unit(self.left_reach_ms)} back, through all layers."

    def _verdict_lines(self) -> Iterator[str]:
        if self.violations:
            count = len(self.violations)
            yield f"Verdict: NOT streaming, {count} {'reason' if count == 1 else 'reasons'} marked with ! above."
        else:
            yield f"Verdict: streaming; nothing looks further ahead than the {_with_unit(self.total_ms)} above."


def report_lookahead(config_or_model) -> LookaheadReport:
    """Reports how far ahead a model looks, and each reason for it.

    Args:
        config_or_model: a model's config (DictConfig or dict, with or without `model:` around it), or a built model:
            then its `cfg` is read, with the contexts its encoder's layers have now. Where `att_context_size` lists
            several contexts, the first one counts, with which the model runs outside training.

    Raises:
        ValueError: there is no preprocessor or encoder in it, the encoder is no `ConformerEncoder` (or child of it)
            or cannot be imported, or an option has a value that means nothing.
    """
    model = None if isinstance(config_or_model, Mapping) else config_or_model
    config = _model_section(config_or_model if model is None else model.cfg)
    preprocessor, encoder = (_section(config, name) for name in ("preprocessor", "encoder"))
    _require_conformer(_class_of_config(encoder) if model is None else _class_of_module(model.encoder))
    if encoder.get("reduction") and (encoder.get("reduction_factor") or 1) > 1:
        raise ValueError(f"encoder.reduction={encoder.reduction!r}: its look-ahead is not known; must be null")
    timing = _timing(preprocessor, encoder)
    style, contexts = _contexts_of_config(config, encoder) if model is None else _contexts_of_model(model.encoder)
    conv = _convolution_context(encoder)
    stated = max((context.right for context in contexts if context.right != UNLIMITED), default=0)
    reasons = [
        *_attention_reasons(contexts, style, stated, timing, encoder),
        *_convolution_reasons(contexts, style, conv, timing, encoder),
        *_subsampling_reasons(encoder, timing),
        *_window_reasons(timing),
        *_norm_reasons(encoder, preprocessor),
    ]
    back = _frames_back(contexts, style, conv[0]) * timing.encoder_ms
    back += _subsampling_reach(encoder)[0] * timing.feature_ms + timing.samples_ms(timing.samples_back)
    return LookaheadReport(tuple(contexts), style, timing, tuple(reasons), stated, conv, back)


def require_streaming(config):
    """Checks that a config which claims to be streaming (`model.streaming: true`) is.

    With `model.allow_lookahead: true` a warning is logged instead; without the claim nothing happens.

    Args:
        config: as for `report_lookahead`

    Raises:
        ValueError: listing every violation at once; also one of the two options is no bool, see also
            `report_lookahead`.
    """
    model = _model_section(config)
    allowed = _flag(model, "allow_lookahead")
    if not _flag(model, "streaming"):
        return
    violations = report_lookahead(model).violations
    if not violations:
        return
    lines = [f"  - {_with_unit(reason.ms)}: {reason.what}" for reason in violations]
    text = "\n".join(["model.streaming=true, but the model looks further ahead than a streaming one may:", *lines])
    if not allowed:
        raise ValueError(f"{text}\nChange that, or go on anyway with model.allow_lookahead=true.")
    logging.warning(f"{text}\nGoing on because of model.allow_lookahead=true.")


def layer_ranges(contexts: Sequence[AttentionContext]) -> Iterator[Tuple[int, int, AttentionContext]]:
    """Neighbouring layers with the same context: (first layer, last layer, context)."""
    first = 0
    for context, group in groupby(contexts):
        after = first + len(list(group))
        yield first, after - 1, context
        first = after


def _model_section(config):
    config = config if OmegaConf.is_config(config) else OmegaConf.create(config)
    return config.model if "model" in config else config


def _section(config, name: str):
    section = config.get(name)
    if not isinstance(section, Mapping):
        raise ValueError(f"{name}={section!r}: the model's config must have a section with this name")
    return _without_params(section)


def _without_params(section):
    """A section in NeMo's old form, `cls` (or `target`) and `params`, in the form of today."""
    target = section.get("cls") or section.get("target")
    if target is None or "params" not in section:
        return section
    params = section.get("params") or OmegaConf.create({})
    return OmegaConf.create({**OmegaConf.to_container(params, resolve=True), "_target_": target})


def _class_of_config(encoder) -> type:
    """The encoder's class; only what the installed NeMo would import is imported."""
    path = encoder.get("_target_")
    if not isinstance(path, str):
        raise ValueError(f"encoder._target_={path!r}: the config must name the encoder's class")
    allowed = tuple(getattr(common, "ALLOWED_TARGET_PREFIXES", ("",)))
    if not path.startswith(allowed):
        raise ValueError(f"encoder._target_={path}: this NeMo takes only targets in {', '.join(allowed)}")
    try:
        found = inspect.unwrap(get_object(path))  # NeMo wraps classes that it calls experimental
    except Exception as error:  # whatever a module raises while it is imported
        raise ValueError(f"encoder._target_={path}: cannot be imported: {error}") from error
    if not isinstance(found, type):
        raise ValueError(f"encoder._target_={path}: must be a class, not {type(found).__name__}")
    return found


def _class_of_module(encoder) -> type:
    """The encoder's class, also of a compiled one."""
    return type(getattr(encoder, "_orig_mod", encoder))


def _require_conformer(encoder_class: type):
    # by name: both NeMo's class and ours have it, and a part imports no module
    if not any(parent.__name__ == "ConformerEncoder" for parent in encoder_class.__mro__):
        name, path = encoder_class.__name__, f"{encoder_class.__module__}.{encoder_class.__qualname__}"
        raise ValueError(
            f"encoder={name} ({path}): its look-ahead is not known; report_lookahead reads ConformerEncoder"
        )


def _flag(model, name: str) -> bool:
    value = model.get(name) or False
    if not isinstance(value, bool):
        raise ValueError(f"model.{name}={value!r}: must be true or false")
    return value


def _timing(preprocessor, encoder) -> Timing:
    rate = check_integer("preprocessor.sample_rate", preprocessor.get("sample_rate", 16000), 1)
    window, hop = _samples(preprocessor, "size", 0.02, rate), _samples(preprocessor, "stride", 0.01, rate)
    if preprocessor.get("exact_pad"):  # the first window begins where the first hop does, less what it is longer
        back, ahead = (window - hop) // 2, (window + hop + 1) // 2
    else:
        back, ahead = (window + 1) // 2, window // 2
    return Timing(rate, hop, back, ahead, _subsampling_factor(encoder))


def _samples(preprocessor, what: str, default: float, rate: int) -> int:
    """`window_size` or `window_stride` in samples, rounded as NeMo does."""
    samples = preprocessor.get(f"n_window_{what}")
    if not samples:
        samples = int((preprocessor.get(f"window_{what}") or default) * rate)
    return check_integer(f"preprocessor.n_window_{what}", samples, 1)


def _contexts_of_config(config, encoder) -> Tuple[str, List[AttentionContext]]:
    n_layers = check_integer("encoder.n_layers", encoder.get("n_layers"), 1)
    style = encoder.get("att_context_style", "regular")
    if style not in STYLES:
        raise ValueError(f"encoder.att_context_style={style!r}: must be one of {', '.join(STYLES)}")
    blocks = (section.get("hierarchical_context") for section in (config, encoder))
    schedules = [schedule for schedule in map(ContextSchedule.from_config, blocks) if schedule is not None]
    if schedules:
        return style, schedules[0].for_layers(n_layers, style)
    size = encoder.get("att_context_size") or [UNLIMITED, UNLIMITED]
    size = size if isinstance(size[0], int) else size[0]
    return style, [AttentionContext.parse(size)] * n_layers


def _contexts_of_model(encoder) -> Tuple[str, List[AttentionContext]]:
    contexts = getattr(encoder, "layer_contexts", None) or [encoder.att_context_size] * len(encoder.layers)
    if encoder.att_context_style not in STYLES:
        raise ValueError(f"att_context_style={encoder.att_context_style!r}: must be one of {', '.join(STYLES)}")
    return encoder.att_context_style, [AttentionContext.parse(context) for context in contexts]


def _convolution_context(encoder) -> Tuple[int, int]:
    """What the depthwise convolution of a layer sees, (back, ahead) in encoder frames."""
    kernel = check_integer("encoder.conv_kernel_size", encoder.get("conv_kernel_size", 31), 1)
    size = encoder.get("conv_context_size")
    if size is None:
        return (kernel - 1) // 2, (kernel - 1) // 2
    if size == "causal":
        return kernel - 1, 0
    if isinstance(size, str) or len(size) != 2 or sum(size) + 1 != kernel:
        raise ValueError(
            f"encoder.conv_context_size={size!r}: must be null, causal, or [back, ahead] of together "
            f"conv_kernel_size - 1 = {kernel - 1} frames"
        )
    return tuple(check_integer("encoder.conv_context_size", frames, 0) for frames in size)


def _subsampling_factor(encoder) -> int:
    if not encoder.get("subsampling", "striding"):
        return 1
    return check_integer("encoder.subsampling_factor", encoder.get("subsampling_factor", 4), 1)


def _subsampling_reach(encoder) -> Tuple[int, int]:
    """What the subsampling sees beyond the feature frame an encoder frame stands for: (back, ahead)."""
    factor, kind = _subsampling_factor(encoder), encoder.get("subsampling", "striding")
    if factor == 1:
        return 0, 0
    if kind not in SUBSAMPLING_STEPS:
        raise ValueError(f"encoder.subsampling={kind!r}: must be one of {', '.join(SUBSAMPLING_STEPS)}")
    step = SUBSAMPLING_STEPS[kind][1 if encoder.get("causal_downsampling") else 0]
    return step[0] * (factor - 1), step[1] * (factor - 1)


def _as_reach(context: AttentionContext) -> Tuple[float, float]:
    """(back, ahead) with inf for unlimited."""
    return tuple(math.inf if frames == UNLIMITED else frames for frames in context.as_list())


def _frames_ahead(contexts: Sequence[AttentionContext], style: str, conv_ahead: int) -> float:
    """How many encoder frames ahead the layers see together, at the frame that sees furthest.

    In chunks attention adds nothing from layer to layer, but a convolution that looks over the end of a chunk draws
    all of the next one in.
    """
    attention = lookahead_frames(contexts, style)
    if attention == UNLIMITED:
        return math.inf
    if style == "regular":
        return attention + conv_ahead * len(contexts)

    def last_seen(frame):
        for context in contexts:
            frame += conv_ahead
            frame += context.right - frame % (context.right + 1)
        return frame

    return max(last_seen(frame) - frame for frame in range(contexts[0].right + 1))


def _frames_back(contexts: Sequence[AttentionContext], style: str, conv_back: int) -> float:
    """How many encoder frames back the layers see together, at the frame that sees furthest."""
    if any(context.left == UNLIMITED for context in contexts):
        return math.inf
    if style == "regular" or any(context.right == UNLIMITED for context in contexts):
        return sum(context.left + conv_back for context in contexts)

    def first_seen(frame):
        for context in contexts:
            frame -= conv_back
            chunk = context.right + 1
            frame -= frame % chunk + context.left // chunk * chunk
        return frame

    return max(frame - first_seen(frame) for frame in range(contexts[0].right + 1))


def _attention_reasons(contexts, style: str, stated: int, timing: Timing, encoder) -> Iterator[Reason]:
    if stated:
        what = "right context of a chunk, which all layers share" if style != "regular" else "right context of a layer"
        yield Reason("attention", f"attention: {what}: {_frames(stated)}", stated * timing.encoder_ms, False)
    if any(context.right == UNLIMITED for context in contexts):
        unlimited = [
            _layers(first, last) for first, last, context in layer_ranges(contexts) if context.right == UNLIMITED
        ]
        yield Reason(
            "attention", f"attention: unlimited right context in layers {', '.join(unlimited)}", math.inf, True
        )
    elif _frames_ahead(contexts, style, 0) > stated:
        ahead = _frames_ahead(contexts, style, 0)
        what = (
            f"attention: right contexts add up over {len(contexts)} layers to {_frames(ahead)}, {ahead - stated} more "
            "than one layer states (att_context_style=chunked_limited does not)"
        )
        yield Reason("attention", what, (ahead - stated) * timing.encoder_ms, True)
    if encoder.get("self_attention_model") == "rel_pos_local_attn" and encoder.get("global_tokens"):
        yield Reason(
            "attention", f"attention: encoder.global_tokens={encoder.global_tokens} see everything", math.inf, True
        )


def _convolution_reasons(contexts, style: str, conv: Tuple[int, int], timing: Timing, encoder) -> Iterator[Reason]:
    if conv[1] == 0:
        return
    attention = _frames_ahead(contexts, style, 0)
    frames = len(contexts) * conv[1]
    if attention < math.inf:  # more than that where it reaches into the next chunk
        frames = _frames_ahead(contexts, style, conv[1]) - attention
    size = encoder.get("conv_context_size")
    what = (
        f"convolution: encoder.conv_context_size={'null' if size is None else size} looks {_frames(conv[1])} ahead in "
        f"each of {len(contexts)} layers (causal does not)"
    )
    yield Reason("convolution", what, frames * timing.encoder_ms, True)


def _subsampling_reasons(encoder, timing: Timing) -> Iterator[Reason]:
    ahead = _subsampling_reach(encoder)[1]
    if ahead == 0:
        return
    kind = encoder.get("subsampling", "striding")
    causal_steps = SUBSAMPLING_STEPS[kind][1]
    advice = "encoder.causal_downsampling=true does not" if causal_steps[1] == 0 else "it has no causal form"
    yield Reason(
        "downsampling",
        f"downsampling: encoder.subsampling={kind} sees {ahead} feature frames ahead ({advice})",
        ahead * timing.feature_ms,
        True,
    )


def _window_reasons(timing: Timing) -> Iterator[Reason]:
    window = _number(timing.samples_ms(timing.samples_back + timing.samples_ahead))
    yield Reason(
        "front end", f"STFT: half of its centred {window} ms window", timing.samples_ms(timing.samples_ahead), False
    )


def _norm_reasons(encoder, preprocessor) -> Iterator[Reason]:
    kind = encoder.get("conv_norm_type", "batch_norm")
    if kind.endswith("batch_norm"):
        what = f"encoder.conv_norm_type={kind} mixes all frames of the batch in training (layer_norm does not)"
        yield Reason("normalisation", f"batch statistics: {what}", 0.0, True)
    elif kind != "layer_norm":
        what = f"encoder.conv_norm_type={kind} averages over the whole utterance (layer_norm does not)"
        yield Reason("normalisation", f"utterance normalisation: {what}", math.inf, True)
    # the MFCC preprocessor has no such option
    default = None if "MFCC" in preprocessor.get("_target_", "") else "per_feature"
    normalize = preprocessor.get("normalize", default)
    if normalize in ("per_feature", "all_features"):
        what = f"preprocessor.normalize={normalize} averages over the whole utterance (NA does not)"
        yield Reason("front end", f"utterance normalisation: {what}", math.inf, True)


def _frames(count: int) -> str:
    return f"{count} encoder frame{'' if count == 1 else 's'}"


def _layers(first: int, last: int) -> str:
    return str(first) if first == last else f"{first}-{last}"


def _number(ms: float) -> str:
    return "unlimited" if ms == math.inf else f"{ms:.2f}".rstrip("0").rstrip(".")


def _with_unit(ms: float) -> str:
    return "unlimited" if ms == math.inf else f"{_number(ms)} ms"
