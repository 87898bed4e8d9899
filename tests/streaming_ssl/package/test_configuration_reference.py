# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""docs/configuration.md says what the shipped configs and the code say: every key, its default, and which are ours."""

from typing import Any

import pytest
from configuration_page import (
    CODE,
    CONFIGS,
    MISSING,
    ROOT,
    TINY,
    cells_of,
    leaves,
    own_options,
    read_rows,
    shown_values,
)
from omegaconf import OmegaConf

ROWS = list(read_rows())
BY_KEY = {row.key: row for row in ROWS}
OURS = dict(own_options())
NEMOS = "model.target"  # NeMo writes it into a file; we read it in a config for fine-tuning


@pytest.fixture(scope="module")
def shipped(compose_config):
    """Dotted keys and values of each shipped config."""
    configs = {name: compose_config(name) for name in CONFIGS}
    return {name: dict(leaves(OmegaConf.to_container(config, resolve=False))) for name, config in configs.items()}


@pytest.mark.any_release
class TestKeys:
    def test_all_configs_are_looked_at(self):
        assert {file.stem for file in (ROOT / "examples/asr/conf/ssl/nest").glob("*.yaml")} == CONFIGS.keys()

    @pytest.mark.parametrize("config", CONFIGS)
    def test_every_key_is_there_with_its_value(self, shipped, config):
        assert sorted(shipped[config].keys() - BY_KEY.keys()) == []
        shown = {key: BY_KEY[key].shown_for(config) for key in shipped[config]}
        assert {
            key: (value, shipped[config][key]) for key, value in shown.items() if value != shipped[config][key]
        } == {}

    def test_no_key_is_there_twice(self):
        assert len(BY_KEY) == len(ROWS)

    def test_each_label_is_of_a_config_that_has_the_key(self, shipped):
        for row in ROWS:
            labels = {row.label_for(name) for name in CONFIGS if row.key in shipped[name]}
            assert labels == row.defaults.keys() - {MISSING}, row.key


class TestOurKeys:
    def test_are_the_bold_ones(self):
        assert {row.key for row in ROWS if row.is_ours} == {*OURS, NEMOS}

    @pytest.mark.parametrize("name", OURS)
    def test_have_the_values_and_the_default_of_the_table(self, name):
        row, option = BY_KEY[name], OURS[name]
        assert row.values == shown_values(option)
        if MISSING in row.defaults or option.default is not None:  # others must be given
            assert row.if_missing == option.default

    def test_keys_that_no_config_has_are_ours(self):
        left_out = [row for row in ROWS if row.defaults.keys() == {MISSING}]
        assert left_out and all(row.is_ours for row in left_out)

    def test_what_fine_tuning_may_change(self):
        from nemo.collections.asr.parts.finetuning.inheritance import CONTEXTS, FREE

        listed = {name: set(CODE.findall(cells[1])) for name, cells in cells_of("section").items()}
        assert list(listed.values()) == [set(FREE["preprocessor"]), set(FREE["encoder"]), set(CONTEXTS)]


class TestMissingKeys:
    """What the code takes where a key is left out."""

    @pytest.mark.parametrize(
        "config", ["nest_hierarchical_streaming", "finetune_streaming_ctc", "finetune_streaming_rnnt"]
    )
    def test_arguments_of_classes(self, compose_config, config):
        from nemo.collections.asr.parts.finetuning.inheritance import REQUIRED, constructor_defaults
        from nemo.utils.config_targets import class_of_target

        cfg, wrong = compose_config(config), {}
        for row in ROWS:
            parent, _, name = row.key.rpartition(".")
            section = OmegaConf.select(cfg, parent) if parent else None
            if (
                not OmegaConf.is_dict(section)
                or "_target_" not in section
                or row.key == "model.masking.context_stride"
            ):
                continue
            default = constructor_defaults(class_of_target(row.key, section["_target_"])).get(name, REQUIRED)
            if default is not REQUIRED and row.defaults.get(MISSING, row.shown_for(config)) != default:
                wrong[row.key] = default
        assert wrong == {}

    def test_options_of_the_model(self, compose_config):
        meant = {row.key: row.if_missing for row in ROWS}
        found = read_without_keys(compose_config)
        assert {key: meant[key] for key in found} == found


def read_without_keys(compose_config) -> dict[str, Any]:
    """What is read from a config, or made of it, that has none of the keys."""
    from nemo.collections.asr.models import EncDecDenoiseMaskedTokenPredModel
    from nemo.collections.asr.parts.contexts import ContextCurriculum, ContextSchedule
    from nemo.collections.asr.parts.lookahead.from_config import read_flag
    from nemo.collections.asr.parts.manifests.check import FILES_TO_OPEN
    from nemo.collections.asr.parts.objectives import read_next_tokens
    from nemo.collections.asr.parts.resume import ExactResume
    from nemo.utils.options import OPTIONS

    config = compose_config("nest_hierarchical_streaming", *TINY).model
    removed = [key for key in OPTIONS["model"] if key in config] + ["mask_position"]
    OmegaConf.set_struct(config, False)
    for key in removed:
        config.pop(key)
    del config.masking.context_stride
    model = EncDecDenoiseMaskedTokenPredModel(config)
    callbacks = {type(callback).__name__: callback for callback in model.configure_callbacks()}
    curriculum = ContextCurriculum.from_config({"start_context": 1, "end_context": 1, "warmup_steps": 0})
    return {
        "model.streaming": read_flag(config, "streaming"),
        "model.allow_lookahead": read_flag(config, "allow_lookahead"),
        "model.seed": callbacks[ExactResume.__name__].seed,
        "model.objective": model.objective.name,
        "model.next_tokens.steps": read_next_tokens(config).steps,
        "model.next_tokens.first": read_next_tokens(config).first,
        "model.target_normalize": model.target_normalize,
        "model.masked_only_decoding": model.masked_only_decoding,
        "model.mask_position": "pre_conv" if model.pre_encoder is None else "post_conv",
        "model.on_nonfinite": "skip" if "NonfiniteSteps" in callbacks else None,
        "model.hierarchical_context.interpolation": ContextSchedule.from_config(
            {"schedule": [[0, [1, 0]]]}
        ).interpolation,
        "model.curriculum_context.enabled": curriculum is not None,
        "model.curriculum_context.every_n_steps": curriculum.ramp.every_n_steps,
        "model.train_ds.check_audio_files": FILES_TO_OPEN,
        "model.test_ds.check_audio_files": FILES_TO_OPEN,
    }
