# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Why a model cannot stream, and in which contexts one that can is streamed."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from nemo.collections.asr.parts.contexts import UNLIMITED, AttentionContext
from nemo.collections.asr.parts.lookahead import LookaheadReport, report_lookahead
from nemo.collections.asr.parts.streaming.changed_parts import changes_refused
from nemo.collections.asr.parts.streaming.fixed_statistics import statistics_problem
from nemo.collections.asr.parts.submodules.causal_convs import CausalConv2D
from nemo.collections.common.parts.adapter_modules import LinearAdapter
from nemo.utils.option_checks import check_integer

UTTERANCE_STATISTICS = ("per_feature", "all_features")
FEATURIZER = ("fb", "window", "get_seq_len", "exact_pad", "mag_power")
CACHE_AWARE = ("layers", "pre_encode", "pos_enc", "att_context_style")


@dataclass(frozen=True)
class Obstacle:
    """One reason why a model cannot stream.

    Args:
        part: of the model; decide by this
        what: what is in the way and what is allowed, for people
    """

    part: str
    what: str


@dataclass(frozen=True)
class StreamingPlan:
    """How a model is streamed.

    Args:
        report: its look-ahead
        contexts: in which each layer attends, none of them unlimited
    """

    report: LookaheadReport
    contexts: tuple[AttentionContext, ...]


def require_streamable(model: Any, max_context: int | None, allow_changed: Sequence[str] = ()) -> StreamingPlan:
    """How the model is streamed, with `max_context` in place of unlimited left contexts.

    Raises:
        ValueError: listing every reason why the model cannot stream; changed parts but for those in `allow_changed`,
            and names in it of parts that are not changed
    """
    encoder = getattr(model, "encoder", None)
    if not all(hasattr(encoder, name) for name in CACHE_AWARE):
        raise ValueError(f"encoder: {type(encoder).__name__} cannot stream, a cache-aware ConformerEncoder can")
    obstacles: list[Obstacle] = []
    plan: StreamingPlan | None = None
    try:
        report = report_lookahead(model)
        obstacles += report_obstacles(report)
        plan = StreamingPlan(report, _contexts(report, max_context))
    except ValueError as error:
        obstacles.append(Obstacle("encoder", str(error)))
    if not any(obstacle.part == "downsampling" for obstacle in obstacles):
        obstacles += subsampling_obstacles(subsampling_of(encoder))
    obstacles += [*layer_obstacles(encoder), *front_end_obstacles(getattr(model, "preprocessor", None))]
    obstacles += [Obstacle("changes", what) for what in changes_refused(model, allow_changed)]
    if obstacles or plan is None:
        raise ValueError("\n".join(["this model cannot stream:", *(f"  - {found.what}" for found in obstacles)]))
    return plan


def report_obstacles(report: LookaheadReport) -> Iterator[Obstacle]:
    """What of the look-ahead report forbids streaming. Batch statistics are constants in eval mode, the front end is
    looked at for itself."""
    for reason in report.violations:
        if reason.ms > 0 and reason.part not in ("attention", "front end"):
            yield Obstacle(reason.part, reason.what)
    rights = sorted({context.right for context in report.contexts} - {0})
    if report.style == "regular" and rights:
        what = f"att_context_style=regular with right context {', '.join(map(str, rights))}: must be 0"
        yield Obstacle("attention", f"attention: {what} (chunked_limited can look ahead)")
    elif UNLIMITED in rights:
        yield Obstacle("attention", "attention: unlimited right context")


def front_end_obstacles(preprocessor: Any) -> Iterator[Obstacle]:
    """Why features cannot be made incrementally with this preprocessor."""
    featurizer: Any = getattr(preprocessor, "featurizer", None)
    if not all(hasattr(featurizer, name) for name in FEATURIZER):
        what = f"{type(preprocessor).__name__} is not supported"
        allowed = "AudioToMelSpectrogramPreprocessor (without torchaudio) is"
        yield Obstacle("front end", f"preprocessor: {what}, {allowed}")
        return
    if featurizer.frame_splicing > 1:
        yield Obstacle("front end", f"preprocessor.frame_splicing={featurizer.frame_splicing}: must be 1")
    yield from _normalisation_obstacles(featurizer)


def require_known_features(preprocessor: Any) -> None:
    """Raises a ValueError for a preprocessor that does more than its featurizer, which makes a stream's features."""
    for name in ("forward", "get_features"):
        owner = next((cls for cls in type(preprocessor).__mro__ if name in vars(cls)), None)
        if owner is not None and not owner.__module__.startswith("nemo."):
            raise ValueError(
                f"preprocessor={owner.__name__}: has its own {name}, which audio in pieces does not go through; push "
                "its features with push_features"
            )


def _normalisation_obstacles(featurizer: Any) -> Iterator[Obstacle]:
    normalize = featurizer.normalize
    if isinstance(normalize, Mapping):
        problem = statistics_problem(normalize, featurizer.nfilt)
        if problem:
            yield Obstacle("front end", f"fixed normalisation: {problem}")
    elif normalize in UTTERANCE_STATISTICS:
        what = f"preprocessor.normalize={normalize} averages over the whole utterance (NA does not)"
        yield Obstacle("front end", f"utterance normalisation: {what}")


def subsampling_obstacles(pre_encode: nn.Module) -> Iterator[Obstacle]:
    """Why this subsampling cannot be used in pieces."""
    if isinstance(pre_encode, nn.Linear):
        return
    layers: Any = getattr(pre_encode, "conv", ())
    convolutions = [layer for layer in layers if isinstance(layer, CausalConv2D)]
    shapes = {(tuple(layer.kernel_size), tuple(layer.stride)) for layer in convolutions}
    if shapes != {((3, 3), (2, 2))} or 2 ** len(convolutions) != pre_encode.subsampling_factor:
        what = "must be striding or dw_striding with causal_downsampling=true, or factor 1"
        yield Obstacle("downsampling", f"downsampling: encoder.subsampling ({type(pre_encode).__name__}): {what}")


def layer_obstacles(encoder: Any) -> Iterator[Obstacle]:
    """Why the layers of this Conformer encoder cannot be run in pieces."""
    if encoder.self_attention_model != "rel_pos":
        advice = " without contexts for each layer" if encoder.self_attention_model == "rel_pos_local_attn" else ""
        what = f"self_attention_model={encoder.self_attention_model}{advice}: must be rel_pos"
        yield Obstacle("attention", f"attention: {what}")
    enabled = {name: layer.adapter_layer[name] for layer in encoder.layers for name in layer.get_enabled_adapters()}
    for name, adapter in enabled.items():
        if not isinstance(adapter, LinearAdapter):
            what = f"{name} ({type(adapter).__name__}) is enabled: must be a LinearAdapter, or disabled"
            yield Obstacle("adapters", f"adapters: {what}")


def subsampling_of(encoder: Any) -> nn.Module:
    """The encoder's subsampling itself, also where the model masks behind it."""
    return getattr(encoder.pre_encode, "pre_encode", encoder.pre_encode)


def frame_decoder(model: Any) -> nn.Module | None:
    """The decoder that gives classes for each frame: of CTC, of a hybrid model's CTC, of pretraining; None if there is
    none."""
    decoder = getattr(model, "ctc_decoder", None) or getattr(model, "decoder", None)
    return decoder if "encoder_output" in (getattr(decoder, "input_types", None) or {}) else None


def require_decoder(model: Any) -> nn.Module:
    """The decoder that gives classes for each frame.

    Raises:
        ValueError: the model has none
    """
    decoder = frame_decoder(model)
    if decoder is None:
        raise ValueError("return_log_probs and return_tokens need a model whose decoder gives classes for each frame")
    return decoder


def require_masking(model: Any) -> None:
    """Raises a ValueError unless the model masks features before its encoder."""
    if not hasattr(model, "mask_features"):
        raise ValueError(f"apply_mask=True needs a model with mask_features(); {type(model).__name__} has none")
    if getattr(model, "mask_processor", None) is None or getattr(model, "pre_encoder", None) is not None:
        raise ValueError("apply_mask=True needs a model with a mask_processor and mask_position=pre_conv")


def require_eval_mode(model: Any, *modules: nn.Module) -> None:
    """Raises a ValueError if the model, its encoder, its preprocessor or another of these is in train mode."""
    if any(module.training for module in (model, model.encoder, model.preprocessor, *modules)):
        raise ValueError("the model is in train mode: call model.eval() before streaming")


def _contexts(report: LookaheadReport, max_context: int | None) -> tuple[AttentionContext, ...]:
    """The context in which each layer attends, `max_context` in place of unlimited left ones."""
    contexts = report.contexts
    rights = sorted({context.right for context in contexts})
    if report.style == "chunked_limited" and len(rights) > 1:
        raise ValueError(f"attention: right contexts {', '.join(map(str, rights))}: must be the same in every layer")
    if not any(context.left == UNLIMITED for context in contexts):
        return contexts
    if max_context is None:
        raise ValueError(
            "max_context=None: layers have an unlimited left context; say how many encoder frames of it are kept"
        )
    chunk = contexts[0].right + 1 if report.style == "chunked_limited" else 1
    if check_integer("max_context", max_context, 0) % chunk:
        raise ValueError(f"max_context={max_context}: must be a multiple of right + 1 = {chunk} for chunked_limited")
    return tuple(AttentionContext(max_context if c.left == UNLIMITED else c.left, c.right) for c in contexts)
