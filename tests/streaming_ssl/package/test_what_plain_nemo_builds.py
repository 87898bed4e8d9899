# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""What plain NeMo builds from a config, the patched models build too: configs with a key left out, in Hydra's old
form, or with values that NeMo does not look at. A process of its own says what plain NeMo does."""

import copy
import json
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from nemo.collections.asr.models import EncDecDenoiseMaskedTokenPredModel, EncDecMaskedTokenPredModel

SCRIPT = Path(__file__).with_name("plain_nemo_builds.py")
# Sections whose keys may matter in another way where masking comes after the subsampling.
AFTER_SUBSAMPLING = ("masking", "quantizer", "encoder", "loss")
# Some of the keys that NeMo does without.
OPTIONAL = {
    "pre_conv": "num_classes num_books preprocessor.normalize encoder.self_attention_model encoder.subsampling_factor "
    "masking.block_size",
    "post_conv": "num_classes num_books encoder.self_attention_model",
}
UNUSUAL_VALUES = (
    ("masking.max_mask_ratio", 1.5),
    ("masking.block_size", 40.0),
    ("masking.block_size", 7),
    ("masking.mask_prob", 1.5),
    ("masking.mask_value", 0.0),
    ("preprocessor.normalize", None),
    ("encoder.att_context_size", None),
)


def paths(config: dict, sections: tuple) -> list:
    """The dotted name of every key of the model, as far as it builds modules from it."""
    return list(config) + [f"{section}.{key}" for section in sections for key in config[section]]


def changed(config: dict, path: str, change) -> dict:
    """A copy of a config in which `change(section, key)` has been called for a dotted name."""
    config = copy.deepcopy(config)
    *section, key = path.split(".")
    change(config[section[0]] if section else config, key)
    return config


def in_old_form(section: dict) -> dict:
    """A section as Hydra 0 wants it: `cls` and `params`."""
    return {"cls": section["_target_"], "params": {key: value for key, value in section.items() if key != "_target_"}}


def variants(config: dict, sections: tuple, keys: list) -> dict:
    """Configs by name: whole, with each of the keys left out, each section in its old form, and unusual values."""
    named = {"whole": config}
    for path in keys:
        named[f"without {path}"] = changed(config, path, lambda section, key: section.pop(key))
    for name in sections:
        named[f"cls: {name}"] = changed(config, name, lambda root, key: root.update({key: in_old_form(root[key])}))
    for path, value in UNUSUAL_VALUES:
        named[f"{path}: {value}"] = changed(config, path, lambda section, key: section.update({key: value}))
    return named


LONG = [pytest.param(("every key", position), marks=pytest.mark.long_run) for position in OPTIONAL]


@pytest.fixture(scope="module", params=[("optional keys", "pre_conv"), *LONG], ids=", ".join)
def asked(request):
    """Which keys are left out, and where masking takes place."""
    return request.param


@pytest.fixture(scope="module")
def position(asked):
    """Where masking takes place."""
    return asked[1]


@pytest.fixture(scope="module")
def sections(plain_models, position):
    """The sections of the config whose keys are left out."""
    return plain_models.NEST_SECTIONS if position == "pre_conv" else AFTER_SUBSAMPLING


@pytest.fixture(scope="module")
def configs(plain_models, asked, position, sections):
    config = plain_models.nest_config(position)
    keys = OPTIONAL[position].split() if asked[0] == "optional keys" else paths(config, sections)
    return variants(config, sections, keys)


@pytest.fixture(scope="module")
def plain(configs, tmp_path_factory, plain_children):
    """The shapes of what plain NeMo builds from each config, None where it builds nothing."""
    folder = tmp_path_factory.mktemp("plain_nemo")
    asked, answered = folder / "configs.json", folder / "answers.json"
    asked.write_text(json.dumps(configs))
    plain_children.run(SCRIPT, asked, answered)
    answers = json.loads(answered.read_text())
    assert not answers["patched"]
    return answers["built"]


def shapes(model) -> dict:
    return {name: list(value.shape) for name, value in model.state_dict().items()}


def comparable(parameters: dict, position: str) -> dict:
    """Without the quantizer's projection where masking comes after the subsampling.

    There NeMo's takes groups of encoder frames for a token, so that the targets are eight times too few.
    """
    left_out = {"quantizer.proj.weight"} if position == "post_conv" else set()
    return {key: value for key, value in parameters.items() if key not in left_out}


class TestWhatPlainNeMoBuilds:
    def test_is_built_with_the_same_parameters(self, configs, plain, position):
        # one is enough: like NeMo's, both models are made by the same constructor
        model_class = EncDecDenoiseMaskedTokenPredModel
        assert model_class.__init__ is EncDecMaskedTokenPredModel.__init__
        wrong = {}
        for name, expected in plain.items():
            if expected is None:
                continue
            try:
                found = shapes(model_class(OmegaConf.create(configs[name])))
            except Exception as error:  # listed with the others
                wrong[name] = f"{type(error).__name__}: {error}"
                continue
            if comparable(found, position) != comparable(expected, position):
                wrong[name] = {key: found.get(key) for key in expected if found.get(key) != expected[key]}
        assert not wrong, "\n".join(f"{name}: {what}" for name, what in wrong.items())

    def test_is_much(self, configs, plain, position, sections):
        built = {name for name, answer in plain.items() if answer}
        assert {"whole", *(f"without {path}" for path in OPTIONAL[position].split())} <= built
        assert {f"cls: {section}" for section in sections} <= built
        assert len(built) > len(configs) / 2
