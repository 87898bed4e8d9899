# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Warns of values in a config that meant something else in the fork that came before this patch set.

There some contexts were counted in feature frames (10 ms), 0 was unlimited, and features were normalised over the
utterance. Here contexts are in encoder frames, -1 is unlimited, and only what the targets are made of is normalised.

A context is a warning only if the rest of the config speaks against it. A config with none of our options has none.
Release 1.0.0 goes without this file: values mean then what they say, and nothing is said of what they once meant.
"""

from collections.abc import Iterator, Mapping

from omegaconf.errors import OmegaConfBaseException

from nemo.collections.asr.parts.contexts import UNLIMITED, ConfiguredContexts
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
    masking, curriculum = _section(cfg, "masking"), _section(cfg, "curriculum_context")
    left = masking.get("left_context_size") if masking.get("causal") else None
    ramp = curriculum if curriculum.get("enabled", True) else {}
    of_layers, of_encoder = _lefts(cfg)
    lefts, factor = of_layers or of_encoder, _subsampling_factor(_section(cfg, "encoder"))
    found = [*_unlimited(ramp, left, _limited(lefts))]
    if _is_in_feature_frames(_limited(of_layers), _limited(of_encoder), left, factor):
        found.append(_schedule_in_feature_frames(of_layers, factor))
    else:
        found.extend(_masking_in_feature_frames(left, _limited(lefts), factor))
        found.extend(_curriculum_in_feature_frames(ramp, lefts, factor))
    return [*found, *_utterance_normalisation(cfg)]


def _unlimited(ramp: Mapping, left: int | None, limited: list[int]) -> Iterator[str]:
    """Zeros that meant unlimited."""
    if left == 0 and 0 not in limited:
        now = "with an encoder that sees back without limit, nothing is masked"
        if limited:
            now = f"the encoder's tightest, {min(limited)}, is used instead"
        yield f"masking.left_context_size=0: 0 is no left context at all here, not an unlimited one; {now}. Write -1."
    for key in ("start_context", "end_context"):
        if ramp.get(key) == 0:
            yield (
                f"curriculum_context.{key}=0: a cap is at least 1 here, and 0 is not unlimited. Write the widest "
                "layer's left context: that limits none."
            )


def _masking_in_feature_frames(left: int | None, limited: list[int], factor: int) -> Iterator[str]:
    """A left context of the masking's that is one of the encoder's in the other unit."""
    for frames in limited:
        if left not in limited and left == factor * frames > 0:
            yield (
                f"masking.left_context_size={left} is {factor} times a left context of the encoder's, {frames}: "
                f"it is counted in encoder frames, not in feature frames. Write {frames}, or -1: the encoder's "
                f"tightest, {min(limited)}, is used instead of either."
            )
            return


def _curriculum_in_feature_frames(ramp: Mapping, lefts: list[int], factor: int) -> Iterator[str]:
    """A cap that limits no layer at any step, because it was meant in the other unit."""
    caps = start, end = ramp.get("start_context"), ramp.get("end_context")
    if UNLIMITED in lefts or not all(cap in [factor * frames for frames in lefts if frames > 0] for cap in caps):
        return
    if min(caps) >= max(lefts) < max(caps):
        yield (
            f"curriculum_context.start_context={start}, end_context={end} limit no layer, and are {factor} times left "
            "contexts of the encoder's: they are counted in encoder frames, not in feature frames. "
            f"Write start_context: {start // factor}, end_context: {end // factor}."
        )


def _is_in_feature_frames(limited: list[int], known: list[int], left: int | None, factor: int) -> bool:
    """True if a schedule agrees with the rest of the config only when it is divided by `factor`."""
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
    masking = _section(cfg, "masking")
    given = [*(cfg.get(name) for name in OWN_OPTIONS), *(masking.get(name) for name in OWN_MASKING_OPTIONS)]
    if cfg.get("streaming") or all(value is None for value in given):
        return
    # `streaming: true` is checked as a whole, see `require_streaming`
    for_streaming = masking.get("causal") or _section(cfg, "encoder").get("causal_downsampling")
    preprocessor = _section(cfg, "preprocessor")
    has_option = "MFCC" not in str(preprocessor.get("_target_"))
    normalize = preprocessor.get("normalize", "per_feature" if has_option else None)
    if for_streaming and normalize in ("per_feature", "all_features"):
        targets = "" if cfg.get("target_normalize") else " and target_normalize: per_feature (for the targets alone)"
        yield (
            f"preprocessor.normalize={normalize}: in a streaming run the encoder would wait for the end of the "
            f"utterance. Write preprocessor.normalize: NA{targets}."
        )


def _lefts(cfg: Mapping) -> tuple[list[int], list[int]]:
    """The left contexts of `hierarchical_context`, in its order, and of `encoder.att_context_size`: one, or all that
    NeMo draws from. None where they are not there or not valid."""
    try:
        contexts = ConfiguredContexts.from_config(
            _section(cfg, "encoder"), _section(cfg, "hierarchical_context") or None
        )
        points = () if contexts.schedule is None else contexts.schedule.points
        return [context.left for _, context in points], [context.left for context in contexts.sizes]
    except (ValueError, OmegaConfBaseException):
        return [], []


def _limited(lefts: list[int]) -> list[int]:
    return [frames for frames in lefts if frames != UNLIMITED]


def _subsampling_factor(encoder: Mapping) -> int:
    """Feature frames per encoder frame, 1 without subsampling."""
    factor = encoder.get("subsampling_factor", 4)  # NeMo's default
    return factor if isinstance(factor, int) and factor > 1 and encoder.get("subsampling", "striding") else 1


def _section(cfg: Mapping, name: str) -> Mapping:
    section = cfg.get(name)
    return section if isinstance(section, Mapping) else {}
