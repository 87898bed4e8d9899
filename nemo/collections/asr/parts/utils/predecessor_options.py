# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Warns of values in a config that meant something else in the fork that came before this patch set.

There some contexts were counted in feature frames (10 ms), 0 was unlimited, and features were normalised over the
utterance. Here contexts are in encoder frames, -1 is unlimited, and only what the targets are made of is normalised.

A context is a warning only if the rest of the config speaks against it. A config with none of our options has none.
"""

import numbers
from collections.abc import Iterator, Mapping
from typing import Any

from omegaconf.errors import OmegaConfBaseException

from nemo.collections.asr.parts.contexts import UNLIMITED, AttentionContext, ContextSchedule
from nemo.utils import logging, logging_mode

OWN_OPTIONS = ("hierarchical_context", "curriculum_context", "target_normalize")
OWN_MASKING_OPTIONS = ("causal", "left_context_size", "context_stride")


def warn_of_predecessor_options(cfg: Mapping) -> None:
    """Logs what `predecessor_options` finds in a model's config, each warning once."""
    for text in predecessor_options(cfg):
        logging.warning(text, mode=logging_mode.ONCE)


def predecessor_options(cfg: Mapping) -> list[str]:
    """
    Values in a model's config that were probably written for the predecessor.

    Args:
        cfg: the model's config, interpolations resolved. What is not valid in it is for others to say.

    Returns:
        One line for each value: its key, the value, what it means now, and what to write.
    """
    left, factor = _left_context_size(cfg), _subsampling_factor(cfg)
    of_layers, of_encoder = _schedule_lefts(cfg), _encoder_lefts(cfg)
    lefts = of_layers or of_encoder
    found = [*_unlimited(cfg, left, lefts)]
    if _is_in_feature_frames(of_layers, of_encoder, left, factor):
        found.append(_schedule_in_feature_frames(of_layers, factor))
    else:
        found.extend(_masking_in_feature_frames(left, lefts, factor))
        found.extend(_curriculum_in_feature_frames(cfg, lefts, factor))
    return [*found, *_utterance_normalisation(cfg)]


def _unlimited(cfg: Mapping, left: int | None, lefts: list[int]) -> Iterator[str]:
    """Zeros that meant unlimited."""
    limited = _limited(lefts)
    if left == 0 and 0 not in limited:
        now = "with an encoder that sees back without limit, nothing is masked"
        if limited:
            now = f"the encoder's tightest, {min(limited)}, is used instead"
        yield f"masking.left_context_size=0: 0 is no left context at all here, not an unlimited one; {now}. Write -1."
    for key in ("start_context", "end_context"):
        if _curriculum(cfg).get(key) == 0:
            yield (
                f"curriculum_context.{key}=0: a cap is at least 1 here, and 0 is not unlimited. Write the widest "
                "layer's left context: that limits none."
            )


def _masking_in_feature_frames(left: int | None, lefts: list[int], factor: int) -> Iterator[str]:
    """A left context of the masking's that is one of the encoder's in the other unit."""
    limited = _limited(lefts)
    if left not in limited and left in [factor * frames for frames in limited if frames > 0]:
        yield (
            f"masking.left_context_size={left} is {factor} times a left context of the encoder's, {left // factor}: "
            f"it is counted in encoder frames, not in feature frames. Write {left // factor}, or -1: the encoder's "
            f"tightest, {min(limited)}, is used instead of either."
        )


def _curriculum_in_feature_frames(cfg: Mapping, lefts: list[int], factor: int) -> Iterator[str]:
    """A cap that limits no layer at any step, because it was meant in the other unit."""
    start, end = (_integer(_curriculum(cfg).get(key)) for key in ("start_context", "end_context"))
    if UNLIMITED in lefts or not {start, end} <= {factor * frames for frames in lefts if frames > 0}:
        return
    if min(start, end) >= max(lefts) < max(start, end):
        yield (
            f"curriculum_context.start_context={start}, end_context={end} limit no layer, and are {factor} times left "
            "contexts of the encoder's: they are counted in encoder frames, not in feature frames. "
            f"Write start_context: {start // factor}, end_context: {end // factor}."
        )


def _is_in_feature_frames(of_layers: list[int], of_encoder: list[int], left: int | None, factor: int) -> bool:
    """True if a schedule agrees with the rest of the config only when it is divided by `factor`."""
    limited, known = _limited(of_layers), _limited(of_encoder)
    if not limited or not known or factor == 1 or any(frames % factor for frames in limited):
        return False
    widest, tightest = max(limited) // factor, min(limited) // factor
    return widest == max(known) > 0 and (tightest in known or tightest == left)


def _schedule_in_feature_frames(of_layers: list[int], factor: int) -> str:
    now, meant = (
        ", ".join(str(frames // unit if frames > 0 else frames) for frames in of_layers) for unit in (1, factor)
    )
    return (
        f"hierarchical_context.schedule has the left contexts {now}, up to {factor} times encoder.att_context_size: "
        f"they are counted in encoder frames, not in feature frames. Write {meant}."
    )


def _utterance_normalisation(cfg: Mapping) -> Iterator[str]:
    """Features normalised over the utterance in a config that is otherwise for streaming and does not say so."""
    if cfg.get("streaming") or not _has_own_options(cfg):
        return
    # `streaming: true` is checked as a whole, see `require_streaming`
    for_streaming = _section(cfg, "masking").get("causal") or _section(cfg, "encoder").get("causal_downsampling")
    preprocessor = _section(cfg, "preprocessor")
    has_option = "MFCC" not in str(preprocessor.get("_target_"))
    normalize = preprocessor.get("normalize", "per_feature" if has_option else None)
    if for_streaming and normalize in ("per_feature", "all_features"):
        targets = "" if cfg.get("target_normalize") else " and target_normalize: per_feature (for the targets alone)"
        yield (
            f"preprocessor.normalize={normalize}: in a streaming run the encoder would wait for the end of the "
            f"utterance. Write preprocessor.normalize: NA{targets}."
        )


def _has_own_options(cfg: Mapping) -> bool:
    masking = _section(cfg, "masking")
    given = [cfg.get(name) for name in OWN_OPTIONS] + [masking.get(name) for name in OWN_MASKING_OPTIONS]
    return any(value is not None for value in given)


def _left_context_size(cfg: Mapping) -> int | None:
    """`masking.left_context_size` where it is used: with `causal`."""
    masking = _section(cfg, "masking")
    return _integer(masking.get("left_context_size")) if masking.get("causal") else None


def _curriculum(cfg: Mapping) -> Mapping:
    block = _section(cfg, "curriculum_context")
    return block if block.get("enabled", True) else {}


def _schedule_lefts(cfg: Mapping) -> list[int]:
    """The left contexts of `hierarchical_context`, in its order; none where it is off or not valid."""
    for section in (cfg, _section(cfg, "encoder")):
        try:
            schedule = ContextSchedule.from_config(_section(section, "hierarchical_context") or None)
        except (ValueError, OmegaConfBaseException):
            continue
        if schedule is not None:
            return [context.left for _, context in schedule.points]
    return []


def _encoder_lefts(cfg: Mapping) -> list[int]:
    """The left contexts of `encoder.att_context_size`: one, or all that NeMo draws from; none if it is not valid."""
    sizes = _section(cfg, "encoder").get("att_context_size") or []
    try:
        sizes = [sizes] if _integer(sizes[0]) is not None else list(sizes)
        return [AttentionContext.parse([size[0], size[-1]]).left for size in sizes]
    except (IndexError, KeyError, TypeError, ValueError, OmegaConfBaseException):
        return []


def _limited(lefts: list[int]) -> list[int]:
    return [frames for frames in lefts if frames != UNLIMITED]


def _subsampling_factor(cfg: Mapping) -> int:
    """Feature frames per encoder frame, 1 without subsampling."""
    encoder = _section(cfg, "encoder")
    factor = _integer(encoder.get("subsampling_factor", 4))  # NeMo's default
    return factor if factor and factor > 1 and encoder.get("subsampling", "striding") else 1


def _section(cfg: Mapping, name: str) -> Mapping:
    section = cfg.get(name)
    return section if isinstance(section, Mapping) else {}


def _integer(value: Any) -> int | None:
    """The value if it is an integer (a bool is none), otherwise None."""
    return int(value) if isinstance(value, numbers.Integral) and not isinstance(value, bool) else None
