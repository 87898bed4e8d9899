# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Reads from a config, or from a built model, what decides how far it sees. Nothing here uses torch itself."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from omegaconf import OmegaConf

from nemo.collections.asr.parts.contexts import STYLES, AttentionContext, ConfiguredContexts
from nemo.collections.asr.parts.lookahead.reach import (
    SUBSAMPLING_STEPS,
    Reach,
    Timing,
    frames_ahead,
    subsampling_reach,
)
from nemo.utils.config_targets import class_of_target
from nemo.utils.option_checks import check_choice, check_integer

Contexts = tuple[AttentionContext, ...]


@dataclass(frozen=True)
class ModelOptions:
    """What decides how far a model sees.

    Args:
        contexts: the attention context of each layer, in encoder frames
        style: `regular` or `chunked_limited`
        sees_globally: how many frames every frame attends to (`global_tokens` of local attention)
        timing: lengths of frames
        convolution: what the depthwise convolution of a layer sees, in encoder frames
        conv_context_size: its option, as the config has it
        conv_norm_type: the normalisation in it
        subsampling: its kind; None: the encoder has none
        subsampled: what the subsampling sees beyond the frame an encoder frame stands for, in feature frames
        normalize: the preprocessor's option
    """

    contexts: Contexts
    style: str
    sees_globally: int
    timing: Timing
    convolution: Reach
    conv_context_size: Any
    conv_norm_type: str
    subsampling: str | None
    subsampled: Reach
    normalize: Any

    @property
    def feature_frames_ahead(self) -> float:
        """How many feature frames beyond the one that it stands for an encoder frame sees, window and normalisation
        aside; inf: all of them."""
        layers = frames_ahead(self.contexts, self.style, self.convolution.ahead)
        return layers * self.timing.stride + self.subsampled.ahead


def read_options(config_or_model: Any) -> ModelOptions:
    """Reads a config (DictConfig or dict, with or without `model:` around it), or the `cfg` of a built model, with the
    contexts its encoder's layers have now.

    Raises:
        ValueError: there is no preprocessor or encoder in it, the encoder is no `ConformerEncoder` (or child of it)
            or cannot be imported, or an option has a value that means nothing.
    """
    model = None if isinstance(config_or_model, Mapping) else config_or_model
    config = model_section(config_or_model if model is None else model.cfg)
    preprocessor, encoder = (_section(config, name) for name in ("preprocessor", "encoder"))
    _require_conformer(encoder if model is None else model.encoder)
    if encoder.get("reduction") and (encoder.get("reduction_factor") or 1) > 1:
        raise ValueError(f"encoder.reduction={encoder.reduction!r}: its look-ahead is not known; must be null")
    timing = _timing(preprocessor, encoder)
    is_mfcc = "MFCC" in preprocessor.get("_target_", "")
    is_local = encoder.get("self_attention_model") == "rel_pos_local_attn"
    style, contexts = _contexts_of_config(config, encoder) if model is None else _contexts_of_model(model.encoder)
    return ModelOptions(
        contexts=contexts,
        style=style,
        sees_globally=(encoder.get("global_tokens") or 0) if is_local else 0,
        timing=timing,
        convolution=_convolution(encoder),
        conv_context_size=encoder.get("conv_context_size"),
        conv_norm_type=encoder.get("conv_norm_type", "batch_norm"),
        subsampling=_subsampling(encoder),
        subsampled=_subsampled(encoder),
        # the MFCC preprocessor has no such option
        normalize=preprocessor.get("normalize", None if is_mfcc else "per_feature"),
    )


def model_section(config: Mapping) -> Any:
    """The model's config, a DictConfig, without what stands around it."""
    whole: Any = config if OmegaConf.is_config(config) else OmegaConf.create(dict(config))
    return whole.model if "model" in whole else whole


def read_flag(model: Mapping, name: str) -> bool:
    """An option of the model that is true or false, false where it is left out; anything else is a ValueError."""
    value = model.get(name) or False
    if not isinstance(value, bool):
        raise ValueError(f"model.{name}={value!r}: must be true or false")
    return value


def _section(config: Mapping, name: str) -> Any:
    """A section of the config. One in NeMo's old form, `cls` (or `target`) and `params`, gets the form of today."""
    section = config.get(name)
    if not isinstance(section, Mapping):
        raise ValueError(f"{name}={section!r}: the model's config must have a section with this name")
    target = section.get("cls") or section.get("target")
    if target is None or "params" not in section:
        return section
    params: Any = OmegaConf.to_container(section.get("params") or OmegaConf.create({}), resolve=True)
    return OmegaConf.create({**params, "_target_": target})


def _require_conformer(encoder: Any) -> None:
    """Raises a ValueError if an encoder, or the class that its section of a config names, is no Conformer's."""
    if isinstance(encoder, Mapping):
        cls = class_of_target("encoder._target_", encoder.get("_target_"))
    else:
        cls = type(getattr(encoder, "_orig_mod", encoder))  # also of a compiled one
    # by name: both NeMo's class and ours have it, and a part imports no module
    if not any(parent.__name__ == "ConformerEncoder" for parent in cls.__mro__):
        raise ValueError(
            f"encoder={cls.__name__} ({cls.__module__}.{cls.__qualname__}): its look-ahead is not known; "
            "report_lookahead reads ConformerEncoder"
        )


def _timing(preprocessor: Mapping, encoder: Mapping) -> Timing:
    rate = check_integer("preprocessor.sample_rate", preprocessor.get("sample_rate", 16000), 1)
    window, hop = _samples(preprocessor, "size", 0.02, rate), _samples(preprocessor, "stride", 0.01, rate)
    if preprocessor.get("exact_pad"):  # the first window begins where the first hop does, less what it is longer
        back, ahead = (window - hop) // 2, (window + hop + 1) // 2
    else:
        back, ahead = (window + 1) // 2, window // 2
    return Timing(rate, hop, back, ahead, _subsampling_factor(encoder))


def _samples(preprocessor: Mapping, what: str, default: float, rate: int) -> int:
    """`window_size` or `window_stride` in samples, rounded as NeMo does."""
    samples = preprocessor.get(f"n_window_{what}")
    if not samples:
        samples = int((preprocessor.get(f"window_{what}") or default) * rate)
    return check_integer(f"preprocessor.n_window_{what}", samples, 1)


def _contexts_of_config(config: Mapping, encoder: Mapping) -> tuple[str, Contexts]:
    configured = ConfiguredContexts.from_config(encoder, config.get("hierarchical_context"))
    return configured.style, tuple(configured.seen())


def _contexts_of_model(encoder: Any) -> tuple[str, Contexts]:
    contexts = getattr(encoder, "layer_contexts", None) or [encoder.att_context_size] * len(encoder.layers)
    style = check_choice("att_context_style", encoder.att_context_style, STYLES)
    return style, tuple(AttentionContext.parse(context) for context in contexts)


def _convolution(encoder: Mapping) -> Reach:
    kernel = check_integer("encoder.conv_kernel_size", encoder.get("conv_kernel_size", 31), 1)
    size = encoder.get("conv_context_size")
    if size is None:
        return Reach((kernel - 1) // 2, (kernel - 1) // 2)
    if size == "causal":
        return Reach(kernel - 1, 0)
    if isinstance(size, str) or len(size) != 2 or sum(size) + 1 != kernel:
        raise ValueError(
            f"encoder.conv_context_size={size!r}: must be null, causal, or [back, ahead] of together "
            f"conv_kernel_size - 1 = {kernel - 1} frames"
        )
    return Reach(*(check_integer("encoder.conv_context_size", frames, 0) for frames in size))


def _subsampling(encoder: Mapping) -> str | None:
    return encoder.get("subsampling", "striding") or None


def _subsampling_factor(encoder: Mapping) -> int:
    if _subsampling(encoder) is None:
        return 1
    return check_integer("encoder.subsampling_factor", encoder.get("subsampling_factor", 4), 1)


def _subsampled(encoder: Mapping) -> Reach:
    kind, factor = _subsampling(encoder), _subsampling_factor(encoder)
    if kind is None or factor == 1:
        return Reach(0, 0)
    if kind not in SUBSAMPLING_STEPS:
        raise ValueError(f"encoder.subsampling={kind!r}: must be one of {', '.join(SUBSAMPLING_STEPS)}")
    return subsampling_reach(kind, factor, bool(encoder.get("causal_downsampling")))
