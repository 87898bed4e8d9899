# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Files keep the attention contexts that are in force: a model's config, as it is saved, says what its encoder does.

The model and its own config stay as they are: what is written is the copy that goes into the file.
"""

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import replace
from typing import Any, cast

from omegaconf import DictConfig, OmegaConf, open_dict

from nemo.collections.asr.parts.contexts.context import (
    STYLES,
    WHOLE_UTTERANCE,
    AttentionContext,
    check_layer_contexts,
)
from nemo.collections.asr.parts.contexts.layer_contexts import LayerContextsMixin
from nemo.collections.asr.parts.contexts.schedule import ConfiguredContexts

# The layers' own contexts, None if they have none, and the cap on them.
OwnAndCap = tuple[list[AttentionContext] | None, AttentionContext]


class SavesContexts:
    """A base class of NeMo models with an `encoder`, before NeMo's: `.nemo` files and Lightning's checkpoints have
    the contexts that are in force in their config. If nothing was changed, it is the config that the model has.

    Not covered: a model inside another one, whose config NeMo takes from `submodule.cfg`.
    """

    CHECKPOINT_HYPER_PARAMS_KEY: str

    def write_in_force(self, cfg: DictConfig) -> None:
        """Makes a copy of the model's config say what is in force, in place."""
        encoder, section = getattr(self, "encoder", None), cfg.get("encoder")
        if isinstance(encoder, LayerContextsMixin) and isinstance(section, DictConfig):
            write_contexts(cfg, encoder)

    def to_config_file(self, path2yaml_file: str) -> None:
        """NeMo's, which `save_to` calls; the file says what is in force."""
        super().to_config_file(path2yaml_file)  # type: ignore[misc]
        cfg = cast(DictConfig, OmegaConf.load(path2yaml_file))
        before = deepcopy(cfg)
        self.write_in_force(cfg)
        if cfg != before:
            OmegaConf.save(cfg, path2yaml_file)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Lightning's hook; the config in the checkpoint says what is in force."""
        super().on_save_checkpoint(checkpoint)  # type: ignore[misc]
        key = self.CHECKPOINT_HYPER_PARAMS_KEY
        if "cfg" in checkpoint.get(key, ()):
            saved = deepcopy(checkpoint[key])
            self.write_in_force(saved["cfg"])
            checkpoint[key] = saved


def write_contexts(cfg: DictConfig, encoder: Any) -> None:
    """Makes `cfg.encoder` say which contexts `encoder` has, and how its attention is computed, in place.

    `hierarchical_context` has one point for each layer, with its own context; `context_cap` is there while there is a
    cap. A `hierarchical_context` of the model, which SSL models hand to their encoder, is made the same. What the
    config says already is left as it is. At its default `banded_attention` is left out, so that plain NeMo, which
    does not know it, opens the file.

    Raises:
        ValueError: a context that was set at a layer by hand is none, see `check_layer_contexts`.
    """
    changes: dict[str, Any] = {"banded_attention": encoder.banded_attention, **_changed_sizes(encoder)}
    if encoder.att_context_style in STYLES and (in_force := _in_force(encoder)) != _in_config(cfg.encoder, encoder):
        own, cap = in_force
        points = [[layer, context.as_list()] for layer, context in enumerate(own or ())]
        block = {"enabled": True, "interpolation": "step", "schedule": points}
        changes["hierarchical_context"] = None if own is None else block
        changes["context_cap"] = None if cap == WHOLE_UTTERANCE else cap.as_list()
    with open_dict(cfg):
        for key, value in changes.items():
            _write(cfg.encoder, key, value)
        if "hierarchical_context" in changes and "hierarchical_context" in cfg:
            _write(cfg, "hierarchical_context", changes["hierarchical_context"])


def _write(section: DictConfig, key: str, value: Any) -> None:
    """Sets a key; None, the default of all of them, takes it away."""
    if value is None:
        section.pop(key, None)
    elif section.get(key) != value:
        section[key] = value


def _in_force(encoder: Any) -> OwnAndCap:
    cap = AttentionContext.parse(encoder.context_cap)
    if not encoder.has_layer_contexts:
        return None, cap
    return check_layer_contexts(encoder.own_layer_contexts, encoder.att_context_style), cap


def _in_config(section: Mapping, encoder: Any) -> OwnAndCap | None:
    """What `ConformerEncoder` would make of its section of a config; None if that is no longer valid for it, because
    layers were taken away, or the config was edited."""
    try:
        contexts = ConfiguredContexts.from_config(section)
        contexts = replace(contexts, n_layers=len(encoder.layers), style=encoder.att_context_style)
        return contexts.own(), contexts.cap or WHOLE_UTTERANCE
    except ValueError:
        return None


def _changed_sizes(encoder: Any) -> dict[str, Any]:
    """The context of the encoder itself, as arguments of its constructor, where it is not what it was built with."""
    sizes = encoder.changed_att_context_sizes
    if sizes is None:
        return {}
    if len(sizes) == 1:
        return {"att_context_size": sizes[0], "att_context_probs": None}
    return {"att_context_size": sizes, "att_context_probs": list(encoder.att_context_probs)}
