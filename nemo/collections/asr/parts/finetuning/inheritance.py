# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Makes a recogniser's config that of its pretrained encoder, and refuses what contradicts it.

`model.preprocessor` and `model.encoder` of the recogniser's config hold only what may differ: options of training, and
of speed. All else is the checkpoint's.
"""

import inspect
from collections.abc import Iterator, Mapping
from typing import Any

from omegaconf import DictConfig, OmegaConf, open_dict

from nemo.collections.asr.parts.contexts import ConfiguredContexts
from nemo.collections.asr.parts.finetuning.checkpoint import Pretrained
from nemo.collections.asr.parts.utils.ssl_config import target_class
from nemo.utils import logging

# What may differ from the pretrained model, by section; contexts may where `pretrained.other_contexts` says so.
FREE = {
    "preprocessor": ("dither", "pad_to", "nb_augmentation_prob", "nb_max_freq"),
    "encoder": (
        "dropout",
        "dropout_pre_encoder",
        "dropout_emb",
        "dropout_att",
        "stochastic_depth_drop_prob",
        "stochastic_depth_mode",
        "stochastic_depth_start_layer",
        "banded_attention",
        "use_pytorch_sdpa",
        "use_pytorch_sdpa_backends",
        "subsampling_conv_chunking_factor",
        "sync_max_audio_length",
        "pos_emb_max_len",
    ),
}
SIZES = ("att_context_size", "att_context_probs", "hierarchical_context", "context_cap")
CONTEXTS = ("att_context_style", *SIZES)
REQUIRED = inspect.Parameter.empty  # the default of an argument that has none
DATA = ("train_ds", "validation_ds", "test_ds")
HINT = "Leave these out: they are the checkpoint's. Other contexts are taken with pretrained.other_contexts=true."


def inherit(model: DictConfig, pretrained: Pretrained, other_contexts: bool = False) -> None:
    """Completes a recogniser's config in place: preprocessor, encoder, sample rate, width of the encoder's output.

    A value that is left out or null is the checkpoint's.

    Args:
        model: the recogniser's config
        pretrained: the model that its encoder comes from
        other_contexts: whether the encoder's contexts may be others than it was trained with

    Raises:
        ValueError: naming each value that contradicts the checkpoint, beside the checkpoint's.
    """
    wrong = list(_sample_rates(model, pretrained))
    for name in ("preprocessor", "encoder"):
        given = _given(model, name)
        theirs = _plain(pretrained.config[name])
        contexts = {key: given.pop(key) for key in CONTEXTS if key in given} if name == "encoder" else {}
        wrong += _contradictions(name, _without_null(given), theirs)
        merged = {**theirs, **{key: value for key, value in given.items() if key in FREE[name] and value is not None}}
        if name == "encoder":
            merged, refused = _contexts_of_both(merged, contexts, other_contexts)
            wrong += refused
        with open_dict(model):
            model[name] = merged
    wrong += _widths(model)
    if wrong:
        lines = [f"The config contradicts pretrained.path={pretrained.path}:", *(f"  - {line}" for line in wrong)]
        raise ValueError("\n".join([*lines, HINT]))


def is_transducer(model: Mapping) -> bool:
    """Whether the config is of an RNN-T model; otherwise it is of a CTC model."""
    return "joint" in model


def _given(model: DictConfig, name: str) -> dict[str, Any]:
    """A section of the recogniser's config; contexts of layers may stand beside the encoder's, as in pretraining."""
    section = model.get(name)
    given: dict[str, Any] = {} if section is None else _plain(section)
    if name == "encoder" and model.get("hierarchical_context") is not None:
        with open_dict(model):
            given["hierarchical_context"] = _plain(model.pop("hierarchical_context"))
    return given


def _plain(section: DictConfig) -> Any:
    return OmegaConf.to_container(section, resolve=True)


def _without_null(options: Mapping) -> dict[str, Any]:
    return {key: value for key, value in options.items() if value is not None}


def _contradictions(name: str, given: Mapping, theirs: Mapping) -> Iterator[str]:
    cls = target_class(theirs)
    defaults = constructor_defaults(cls) if cls is not None else {}
    for key, value in given.items():
        option = f"model.{name}.{key}={value}"
        has = theirs.get(key, defaults.get(key, REQUIRED))
        if key == "_target_":
            if target_class(given) is not cls or cls is None:
                yield f"{option}, the checkpoint has {has}"
        elif cls is not None and key not in defaults and key not in theirs:
            yield f"{option}: unknown option of {cls.__name__}"
        elif key not in FREE[name] and value != has:
            yield f"{option}, the checkpoint has {'none' if has is REQUIRED else has}"


def _sample_rates(model: DictConfig, pretrained: Pretrained) -> Iterator[str]:
    """Contradictions of the model's and its data's rate, in Hz; sets the model's."""
    theirs = pretrained.config.preprocessor.get("sample_rate", 16000)
    given = model.get("sample_rate")
    if given not in (None, theirs):
        yield f"model.sample_rate={given}, the checkpoint has {theirs}"
    with open_dict(model):
        model.sample_rate = theirs
    for name in DATA:
        section = model.get(name)
        rate = None if section is None else section.get("sample_rate")
        if rate not in (None, theirs):
            yield f"model.{name}.sample_rate={rate}, the checkpoint has {theirs}"


def _widths(model: DictConfig) -> Iterator[str]:
    """Contradictions of what the recogniser expects from the encoder; sets it."""
    encoder = model.encoder
    width = encoder.get("feat_out") if (encoder.get("feat_out") or -1) > 0 else encoder.get("d_model")
    if width is None:
        raise ValueError(f"encoder={encoder.get('_target_')}: has no d_model; a Conformer encoder is needed")
    section, key = ("model_defaults", "enc_hidden") if is_transducer(model) else ("decoder", "feat_in")
    given = model[section].get(key)
    if given not in (None, -1, width):
        yield f"model.{section}.{key}={given}, the checkpoint's encoder gives {width}"
    with open_dict(model):
        model[section][key] = width


def _contexts_of_both(encoder: Mapping, given: Mapping, allowed: bool) -> tuple[dict[str, Any], list[str]]:
    """The encoder's section with the contexts that it gets, and contradictions, if they are not allowed.

    `att_context_size` alone, or `hierarchical_context`, is the context of all layers, in place of all that the
    checkpoint says of sizes, a curriculum's cap included. What comes to the same in every layer is no contradiction.

    Args:
        encoder: the checkpoint's section, without contexts that are asked for
        given: what is asked for, some of `CONTEXTS`
        allowed: `pretrained.other_contexts`

    Raises:
        ValueError: what is asked for is not valid, see `ContextSchedule`
    """
    asked = {key: value for key, value in given.items() if allowed or value is not None}
    differing = {key: value for key, value in asked.items() if value != encoder.get(key)}
    if not (asked if allowed else differing):
        return dict(encoder), []
    replaced = SIZES if "att_context_size" in asked else SIZES[2:] if "hierarchical_context" in asked else ()
    other = {key: value for key, value in encoder.items() if key not in replaced} | _without_null(asked)
    before, after = map(ConfiguredContexts.from_config, (encoder, other))
    is_same = (before.style, before.seen()) == (after.style, after.seen())
    if is_same and len(before.sizes) == len(after.sizes) == 1:
        return dict(encoder), []
    if allowed:
        logging.info(f"Contexts of the layers: {_text(after)}; pretrained with {_text(before)}.")
        return other, []
    if "context_cap" in encoder and "context_cap" not in other:
        differing["context_cap"] = None  # replaced with the sizes
    return dict(encoder), [
        f"model.encoder.{key}={value}, the checkpoint has {encoder.get(key)}" for key, value in differing.items()
    ]


def _text(contexts: ConfiguredContexts) -> str:
    sizes = [context.as_list() for context in contexts.seen()]
    return f"{sizes[0] if all(size == sizes[0] for size in sizes) else sizes}, {contexts.style}"


def constructor_defaults(cls: type) -> dict[str, Any]:
    """Names and defaults of the arguments of a class, with those of its parents that it hands on by `**kwargs`."""
    found: dict[str, Any] = {}
    for parent in cls.__mro__:
        if "__init__" not in vars(parent):
            continue
        parameters = list(inspect.signature(vars(parent)["__init__"]).parameters.values())[1:]  # not self
        for parameter in parameters:
            if parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
                found.setdefault(parameter.name, parameter.default)
        if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
            break
    return found
