# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""The config of a self-supervised model, made ready for NeMo's constructor and checked where it makes promises.

Works on the config alone. A key that NeMo lets default is never asked for without its default.
"""

import inspect
from collections.abc import Mapping
from contextlib import contextmanager

from omegaconf import DictConfig, open_dict

from nemo.collections.asr.parts.contexts import ConfiguredContexts, ContextCurriculum, ContextSchedule
from nemo.collections.asr.parts.lookahead import require_streaming
from nemo.collections.asr.parts.nonfinite import check_on_nonfinite
from nemo.collections.asr.parts.utils.predecessor_options import warn_of_predecessor_options
from nemo.utils import logging, model_utils
from nemo.utils.config_targets import class_of_target
from nemo.utils.option_checks import check_known_keys, check_section, near_miss, read_option
from nemo.utils.options import OPTIONS

# Where keys of ours stand among keys that nobody checks.
OPEN_SECTIONS = ("model", "model.encoder", "model.train_ds", "model.validation_ds", "model.test_ds")
# What is a section, if it is there.
SECTIONS = ("hierarchical_context", "curriculum_context", "masking", "train_ds", "validation_ds", "test_ds")


def plain_copy(cfg) -> DictConfig:
    """A copy of a model's config as NeMo reads it: interpolations resolved, `cls` and `params` as `_target_`."""
    return model_utils.maybe_update_config_version(model_utils.convert_model_config_to_dict_config(cfg))


def target_class(section) -> type | None:
    """The class that a section of a config names.

    None if it names none, or none that NeMo finds and allows: what is wrong is said when NeMo builds from it.
    """
    if not isinstance(section, Mapping):
        return None
    try:
        return class_of_target("_target_", section.get("_target_"))
    except ValueError:
        return None


def check_promises(cfg: DictConfig, restoring: bool):
    """Checks what a config promises: that each option of ours has its name, `streaming`, `curriculum_context`.

    Values of the predecessor fork's get a warning, if the config is not that of a file.

    Raises:
        ValueError: naming the option, its value and what is allowed. A model that is restored gets a warning instead,
            because its weights are there whatever its config promises: it can be looked at, exported and corrected.
    """
    with warning_if(restoring):
        check_own_keys(cfg)
    if not restoring:
        warn_of_predecessor_options(cfg)
    with warning_if(restoring):
        require_streaming(cfg)
    with warning_if(restoring):
        ContextCurriculum.from_config(cfg.get("curriculum_context"))
    with warning_if(restoring):
        read_option("model.on_bad_audio", cfg)
    with warning_if(restoring):
        check_on_nonfinite(cfg)


@contextmanager
def warning_if(restoring: bool):
    """Turns a ValueError into a warning while a model is restored from a file."""
    try:
        yield
    except ValueError as error:
        if not restoring:
            raise
        logging.warning(f"{error}\nThe model is restored all the same.")


def check_own_keys(cfg: Mapping):
    """Raises a ValueError that names a key which is nearly one of ours, and the right one.

    So does a section that is a value; what else is no section is left to NeMo.
    """
    for name in SECTIONS:
        if isinstance(cfg.get(name), (str, int, float)):
            check_section(f"model.{name}", cfg[name])
    for section in OPEN_SECTIONS:
        options = cfg if section == "model" else cfg.get(section.removeprefix("model."))
        for key in options if isinstance(options, Mapping) else ():
            meant = near_miss(key, OPTIONS[section]) if isinstance(key, str) else None
            if meant is not None:
                value = options.get(key)
                raise ValueError(f"{section}.{key}={value!r}: unknown option; did you mean {section}.{meant}?")


def hand_contexts_to_encoder(cfg: DictConfig):
    """Makes `cfg.hierarchical_context` an argument of the encoder, in place.

    Raises:
        ValueError: it is not valid for the encoder, see `ContextSchedule`, or `encoder.context_cap` is no context;
            checked here, because an error inside the encoder's constructor comes out of Hydra as another type.
    """
    block = cfg.get("hierarchical_context")
    if ContextSchedule.from_config(block) is not None:
        with open_dict(cfg):
            cfg.encoder.hierarchical_context = block
    encoder = cfg.get("encoder")
    if not isinstance(encoder, Mapping):
        return
    contexts = ConfiguredContexts.from_config(encoder)
    if contexts.schedule is None:
        return
    target = target_class(encoder)
    if target is not None and "hierarchical_context" not in (_arguments(target) or ["hierarchical_context"]):
        raise ValueError(f"encoder._target_={encoder['_target_']}: hierarchical_context needs a ConformerEncoder")
    contexts.own()


def check_modules(cfg: Mapping):
    """Raises a ValueError if an option of ours of the encoder or the masking is out of its range, or if the masking's
    class does not know an option.

    Checked here, because an error in a constructor comes out of Hydra as another type. What is not ours to check, or
    not there, is left to NeMo.
    """
    for name in ("encoder", "masking"):
        target = target_class(cfg.get(name))
        if target is not None and name == "masking" and _arguments(target):
            of_hydra = [key for key in cfg[name] if str(key).startswith("_")]
            check_known_keys(name, cfg[name], [*_arguments(target), *of_hydra])
        if hasattr(target, "check_options"):  # a fork's own class need not have it
            target.check_options(cfg[name])


def is_post_conv(cfg: Mapping) -> bool:
    """True if the encoder's subsampling comes before the mask. As in NeMo any other value counts as `pre_conv`, with a
    warning if it is none of the two."""
    position = cfg.get("mask_position", "pre_conv")
    if position not in ("pre_conv", "post_conv"):
        logging.warning(f"mask_position={position!r}: is neither pre_conv nor post_conv; taken as pre_conv")
    return position == "post_conv"


def prepare_post_conv(cfg: DictConfig, restoring: bool):
    """Makes a config with `mask_position: post_conv` ready for what NeMo does to it, in place.

    NeMo divides `masking.block_size` by the subsampling factor and saves the quotient, so that opening its files
    divides again (40 frames, then 5, then 0). And it leaves the quantizer combining time steps that the subsampling
    has combined already, so that targets are eight times too few; in a file the quantizer's weights have that shape.

    Args:
        cfg: the model's config, with `block_size` in feature frames, unless NeMo has saved it
        restoring: whether it comes from a file

    Raises:
        ValueError: an option of ours is set, and a block is shorter than an encoder frame.
    """
    factor, d_model, masking = cfg.encoder.subsampling_factor, cfg.encoder.d_model, cfg.masking
    # plain NeMo changes all three of these, and only for `post_conv`
    adapted = (
        masking.get("feat_in") == d_model == cfg.quantizer.get("feat_in") and cfg.loss.get("combine_time_steps") == 1
    )
    if restoring and adapted:
        masking.block_size = factor * max(1, masking.block_size)
    elif not restoring and "combine_time_steps" in cfg.quantizer:
        cfg.quantizer.combine_time_steps = 1
    masking.block_size = _at_least_a_step(masking, factor)
    if masking.get("context_stride") == factor:
        masking.context_stride = 1
    if masking.get("feat_in") == d_model:
        # NeMo sets it again. Saved as null it tells a file of ours from one of NeMo's, which has the number.
        masking.feat_in = None


def keep_as_given(cfg: DictConfig, given: DictConfig):
    """Takes back what NeMo has done to the masking's section for `post_conv`, so that it can be saved and opened."""
    cfg.masking.block_size = given.masking.block_size
    cfg.masking.feat_in = given.masking.feat_in


def context_stride(cfg: Mapping, factor: int) -> int:
    """Input frames of the masking per encoder frame: `factor`, the encoder's subsampling, or 1 after it (`post_conv`).

    Raises:
        ValueError: `masking.context_stride` is another number.
    """
    position = cfg.get("mask_position", "pre_conv")
    stride = 1 if position == "post_conv" else factor
    given = cfg.masking.get("context_stride", stride)
    if given != stride:
        raise ValueError(
            f"masking.context_stride={given}: must be {stride} for mask_position={position}, with "
            f"encoder.subsampling_factor={factor}"
        )
    return stride


def _arguments(target: type) -> list[str]:
    """Names of the arguments of a class; empty if it takes others too."""
    parameters = inspect.signature(target).parameters
    return [] if any(p.kind is p.VAR_KEYWORD for p in parameters.values()) else list(parameters)


def _at_least_a_step(masking: Mapping, factor: int):
    """`masking.block_size`, at least one encoder frame; where an option of ours is set, less is an error."""
    if masking.block_size >= factor:
        return masking.block_size
    problem = (
        f"masking.block_size={masking.block_size}: must be at least one encoder frame, {factor} feature frames, for "
        "mask_position=post_conv (plain NeMo saves it divided by that)"
    )
    if masking.get("causal") or masking.get("left_context_size", -1) != -1 or masking.get("context_stride", 1) != 1:
        raise ValueError(problem)
    logging.warning(f"{problem}; a block of {factor} is taken")
    return factor
