# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""The model keeps its config's promises, whoever builds it: checks of its constructor, and of its options' names."""

import re
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf, open_dict

from nemo.collections.asr.models import EncDecDenoiseMaskedTokenPredModel, EncDecMaskedTokenPredModel
from nemo.collections.asr.parts.utils.ssl_config import OPEN_SECTIONS, SECTIONS, check_own_keys
from nemo.utils.option_checks import near_miss
from nemo.utils.options import OPTIONS

MODELS = [EncDecMaskedTokenPredModel, EncDecDenoiseMaskedTokenPredModel]
CURRICULUM = {"start_context": 10, "end_context": 50, "warmup_steps": 4}

# keys that NeMo's models read, other than those of the configs for NEST, and some that forks are likely to have
OTHER_KEYS = """
    target nemo_version name model_defaults loss_list access dropout_features dropout_features_q feature_penalty
    dump_debug_info dump_debug_info_to_file nsys_profile memory_profile chakra_profile skip_nan_grad tokenizer decoding
    joint interctc aux_ctc ctc_reduction_factor log_prediction test_ds labels variational_noise rnnt_reduction adapters
    init_from_nemo_model init_from_ptl_ckpt init_from_pretrained_model streaming_cfg is_streaming streaming_decoding
    context causal_attention masked_loss target_lengths normalize_targets masking_ratio lookahead schedule
""".split()
OTHER_ENCODER_KEYS = """
    reduction reduction_position reduction_factor global_tokens global_tokens_spacing global_attn_separate use_bias
    use_pytorch_sdpa use_pytorch_sdpa_backends sync_max_audio_length att_chunk_context_size att_context_probs
    subsampling_conv_chunking_factor bypass_pre_encode use_triton
""".split()


def with_key(config, path, value):
    """The config, with a value at a dotted name."""
    OmegaConf.update(config, path, value, force_add=True)
    return config


class TestNamesOfOptions:
    @pytest.mark.parametrize(
        "path, right",
        [
            ("target_normalise", "target_normalize"),
            ("target_normalization", "target_normalize"),
            ("masked_only_decodnig", "masked_only_decoding"),
            ("mask_only_decoding", "masked_only_decoding"),
            ("hierarchical_contexts", "hierarchical_context"),
            ("hierachical_context", "hierarchical_context"),
            ("hierarchical", "hierarchical_context"),
            ("curriculum", "curriculum_context"),
            ("context_curriculum", "curriculum_context"),
            ("steaming", "streaming"),
            ("allow_look_ahead", "allow_lookahead"),
            ("encoder.hierarchical_contexts", "encoder.hierarchical_context"),
            ("encoder.banded_attenion", "encoder.banded_attention"),
            ("train_ds.check_audio_file", "train_ds.check_audio_files"),
            ("validation_ds.check_audiofiles", "validation_ds.check_audio_files"),
        ],
    )
    @pytest.mark.parametrize("model_class", MODELS)
    def test_a_near_miss_is_an_error_that_names_the_right_one(self, nest_config, model_class, path, right):
        config = nest_config()
        section = path.partition(".")[0]
        if section.endswith("_ds"):
            config[section] = {"manifest_filepath": None}
        with pytest.raises(ValueError, match=f"model.{path}='x': unknown option; did you mean model.{right}"):
            model_class(with_key(config, path, "x"))

    @pytest.mark.parametrize("model_class", MODELS)
    @pytest.mark.parametrize("section", SECTIONS)
    @pytest.mark.parametrize("value", [5, 0.5, True, "", "x"])
    def test_a_section_that_is_a_value(self, nest_config, model_class, section, value):
        with pytest.raises(ValueError, match=re.escape(f"model.{section}={value!r}: must be a section with options")):
            model_class(with_key(nest_config(), section, value))

    @given(st.sampled_from(sorted(set().union(*map(OPTIONS.get, OPEN_SECTIONS)))), st.data())
    def test_a_letter_wrong_is_a_near_miss(self, name, data):
        i = data.draw(st.sampled_from([i for i, letter in enumerate(name) if letter != "_"]))
        letter = data.draw(st.sampled_from("abcdefghijklmnopqrstuvwxyz"))
        wrong = data.draw(st.sampled_from([name[:i] + name[i + 1 :], name[:i] + letter + name[i:]]))
        assert near_miss(wrong, [name]) == (None if wrong == name else name)
        assert near_miss(name, [name]) is None and near_miss(f"{name}_cfg", [name]) is None

    def test_keys_of_nemo_and_of_forks_pass(self, compose_config):
        config = compose_config("nest_hierarchical_streaming").model
        with open_dict(config):
            config.update({key: None for key in OTHER_KEYS})
            config.encoder.update({key: None for key in OTHER_ENCODER_KEYS})
        check_own_keys(config)

    def test_a_config_of_nemos_with_other_keys_is_built(self, nest_config):
        config = nest_config(like_nemo=True)
        for key in ("streaming_cfg", "is_streaming", "context", "normalize_targets"):
            with_key(config, key, {"something": 1})
        EncDecMaskedTokenPredModel(config)

    def test_a_mask_position_that_is_none_is_pre_conv_as_in_nemo_with_a_warning(self, nest_config, nemo_warnings):
        model = EncDecMaskedTokenPredModel(nest_config("model.mask_position=postconv", like_nemo=True))
        assert model.mask_processor.context_stride == 8 and model.pre_encoder is None
        assert any("mask_position='postconv'" in warning for warning in nemo_warnings())

    def test_each_key_is_one_that_the_shipped_configs_have(self, compose_config):
        config = compose_config("nest_hierarchical_streaming").model
        for name in OPEN_SECTIONS:
            section, keys = name.partition(".")[2], OPTIONS[name]
            if section != "test_ds":
                there = config[section] if section else config
                # the encoder gets its contexts from the model's block, and a cap while the model is in use
                elsewhere = {"hierarchical_context", "context_cap"} if section == "encoder" else set()
                assert set(keys) <= {*there, *elsewhere}


@pytest.mark.parametrize("model_class", MODELS)
class TestPromises:
    def test_streaming_is_checked(self, nest_config, model_class):
        config = nest_config("model.streaming=true")
        model_class(config)
        config.encoder.conv_context_size = None
        config.encoder.att_context_size = [40, -1]
        with pytest.raises(ValueError, match="(?s)model.streaming=true, but .*layers 0-1.*conv_context_size=null"):
            model_class(config)
        config.allow_lookahead = True
        model_class(config)
        config.streaming, config.allow_lookahead = False, False
        model_class(config)

    def test_contexts_of_the_layers_are_part_of_it(self, nest_config, model_class):
        block = {"enabled": True, "schedule": [[0, [40, 2]], [1, [40, 2]]]}
        with pytest.raises(ValueError, match="right contexts add up over 2 layers"):
            model_class(with_key(nest_config("model.streaming=true"), "hierarchical_context", block))

    @pytest.mark.parametrize(
        "change, message",
        [
            ({"start_context": 0}, "start_context=0"),
            ({"warmup_steps": None}, "warmup_steps=None"),
            ({"start_contxt": 3}, "curriculum_context.start_contxt=3: unknown option; allowed are enabled"),
        ],
    )
    def test_a_curriculum_is_validated(self, nest_config, model_class, change, message):
        model_class(with_key(nest_config(), "curriculum_context", {**CURRICULUM, "enabled": True}))
        with pytest.raises(ValueError, match=message):
            model_class(with_key(nest_config(), "curriculum_context", {**CURRICULUM, **change}))

    @pytest.mark.representative(
        "2-pre_conv-8-EncDecMaskedTokenPredModel",
        "4-post_conv-1-EncDecDenoiseMaskedTokenPredModel",
        "16-pre_conv-8-EncDecDenoiseMaskedTokenPredModel",
        "16-post_conv-1-EncDecMaskedTokenPredModel",
    )
    @pytest.mark.parametrize("position, right", [("pre_conv", 8), ("post_conv", 1)])
    @pytest.mark.parametrize("stride", [2, 4, 16])
    def test_the_context_stride_is_the_encoders(self, nest_config, model_class, position, right, stride):
        config = nest_config(f"model.mask_position={position}", f"model.masking.context_stride={stride}")
        with pytest.raises(
            ValueError, match=f"masking.context_stride={stride}: must be {right}.*subsampling_factor=8"
        ):
            model_class(config)

    def test_one_is_no_stride_before_the_subsampling(self, nest_config, model_class):
        with pytest.raises(ValueError, match="masking.context_stride=1: must be 8"):
            model_class(nest_config("model.masking.context_stride=1"))


class TestTargets:
    def test_nothing_is_imported_that_nemo_refuses(self, nest_config, tmp_path, monkeypatch):
        (tmp_path / "not_allowed.py").write_text("class Masking: pass")
        monkeypatch.syspath_prepend(str(tmp_path))
        with pytest.raises(Exception, match="not_allowed"):
            EncDecMaskedTokenPredModel(with_key(nest_config(), "masking._target_", "not_allowed.Masking"))
        assert "not_allowed" not in sys.modules

    @pytest.mark.parametrize("section", ["encoder", "masking", "quantizer", "loss", "decoder", "preprocessor"])
    def test_what_cannot_be_found_is_nemos_to_say(self, nest_config, section):
        config = with_key(nest_config(), f"{section}._target_", "nemo.collections.asr.modules.NoSuchThing")
        with pytest.raises(Exception, match="NoSuchThing"):
            EncDecMaskedTokenPredModel(config)


def saved_with(config, folder, **changes):
    """A `.nemo` file, as an earlier version of these patches might have written it: with other options in it."""
    model = EncDecMaskedTokenPredModel(config)
    for path, value in changes.items():
        OmegaConf.update(model.cfg, path.replace("__", "."), value, force_add=True)
    path = str(folder / "model.nemo")
    model.save_to(path)
    return path


class TestOpeningFiles:
    """A file that breaks a promise opens, with a warning: its weights are what they are."""

    def told(self, monkeypatch):
        from nemo.collections.asr.parts.utils import ssl_config

        told = []
        monkeypatch.setattr(ssl_config.logging, "warning", lambda text, *args, **kwargs: told.append(text))
        return told

    @pytest.mark.parametrize(
        "changes, message",
        [
            ({"streaming": True, "encoder__conv_context_size": None}, "conv_context_size=null looks"),
            ({"target_normalise": "per_feature"}, "did you mean model.target_normalize"),
            ({"curriculum_context": {"start_context": 0}}, "start_context=0"),
        ],
    )
    def test_restore_from_warns(self, nest_config, tmp_path, monkeypatch, changes, message):
        path = saved_with(nest_config(), tmp_path, **changes)
        told = self.told(monkeypatch)
        model = EncDecMaskedTokenPredModel.restore_from(path, map_location="cpu")
        assert [message in text for text in told] == [True]
        with pytest.raises(ValueError, match=message):
            EncDecMaskedTokenPredModel(model.cfg)

    def test_a_stride_that_is_saved_stays(self, nest_config, tmp_path, monkeypatch):
        path = saved_with(nest_config(), tmp_path, masking__context_stride=2)
        told = self.told(monkeypatch)
        model = EncDecMaskedTokenPredModel.restore_from(path, map_location="cpu")
        assert model.mask_processor.context_stride == 2 and "context_stride=2" in told[0]

    def test_load_from_checkpoint_warns_too(self, nest_config, tmp_path, monkeypatch):
        from lightning.pytorch import Trainer

        model = EncDecMaskedTokenPredModel(nest_config())
        model.cfg.encoder.conv_context_size, model.cfg.streaming = None, True
        trainer = Trainer(accelerator="cpu", logger=False, enable_checkpointing=False)
        trainer.strategy.connect(model)
        trainer.save_checkpoint(tmp_path / "model.ckpt")
        told = self.told(monkeypatch)
        EncDecMaskedTokenPredModel.load_from_checkpoint(str(tmp_path / "model.ckpt"), map_location="cpu")
        assert "conv_context_size=null looks" in told[0]
