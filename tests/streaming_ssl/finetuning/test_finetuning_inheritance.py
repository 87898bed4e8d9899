# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""What a recogniser's config takes from the checkpoint's, and what contradicts it: both values, all at once."""

import finetuning_runs
import pytest
from omegaconf import OmegaConf

from nemo.collections.asr.parts.finetuning import FineTuning, inherit
from nemo.collections.asr.parts.lookahead import report_lookahead

MANIFESTS = {"train": "train.json", "validation": "validation.json"}
LAYERS = "{enabled: true, schedule: [[0, [4, 0]], [1, [8, 0]]]}"


@pytest.fixture
def inherited(nest_config, compose_config):
    """The recogniser's model config after `inherit` from a model of `PRETRAINED`."""

    def get(name, *overrides, kind="ctc", other_contexts=False, cap=None):
        pretrained_overrides, like_nemo = finetuning_runs.PRETRAINED[name]
        theirs = nest_config(*pretrained_overrides, like_nemo=like_nemo)
        if cap is not None:
            theirs.encoder.context_cap = cap
        cfg = finetuning_runs.finetuning_config(compose_config, "x.nemo", MANIFESTS, *overrides, kind=kind)
        inherit(cfg.model, finetuning_runs.pretrained_config(theirs), other_contexts)
        return OmegaConf.create(OmegaConf.to_container(cfg.model, resolve=True))

    return get


def contexts(model):
    return [context.as_list() for context in report_lookahead(model).contexts]


class TestInherited:
    @pytest.mark.parametrize("kind", ["ctc", "rnnt"])
    @pytest.mark.parametrize("name", finetuning_runs.PRETRAINED)
    def test_all_but_what_is_free_is_the_checkpoints(self, name, kind, inherited, nest_config):
        overrides, like_nemo = finetuning_runs.PRETRAINED[name]
        theirs = nest_config(*overrides, like_nemo=like_nemo)
        model = inherited(name, "model.encoder.dropout=0.3", "model.preprocessor.dither=0.0", kind=kind)
        assert {**model.preprocessor, "dither": None} == {**theirs.preprocessor, "dither": None}
        assert model.encoder.dropout == 0.3
        assert all(model.encoder[key] == theirs.encoder[key] for key in theirs.encoder if "drop" not in key)
        width = model.decoder.feat_in if kind == "ctc" else model.model_defaults.enc_hidden
        assert width == theirs.encoder.d_model

    def test_the_rate_of_the_data_is_the_checkpoints(self, inherited):
        model = inherited("streaming")
        assert model.sample_rate == model.train_ds.sample_rate == model.validation_ds.sample_rate == 16000

    def test_null_is_what_the_checkpoint_has(self, inherited):
        assert (
            inherited("streaming", "model.encoder.dropout=null", "+model.encoder.d_model=null").encoder.dropout == 0.1
        )

    def test_the_width_is_that_of_a_projection_where_there_is_one(self, compose_config, nest_config):
        theirs = nest_config("model.encoder.feat_out=24")
        cfg = finetuning_runs.finetuning_config(compose_config, "x.nemo", MANIFESTS)
        inherit(cfg.model, finetuning_runs.pretrained_config(theirs))
        assert cfg.model.decoder.feat_in == 24

    def test_values_that_say_the_same_are_no_contradiction(self, inherited):
        inherited(
            "streaming",
            "+model.encoder.d_model=32",
            "+model.encoder.xscaling=true",
            "+model.encoder.global_tokens=0",  # the checkpoint leaves it out, 0 is the class's default
            "+model.encoder._target_=nemo.collections.asr.modules.conformer_encoder.ConformerEncoder",
            "model.sample_rate=16000",
            "+model.encoder.att_context_size=[4,0]",
            "model.decoder.feat_in=32",
        )


class TestContradictions:
    def test_are_named_all_at_once_with_both_values(self, inherited):
        with pytest.raises(ValueError) as error:
            inherited(
                "streaming",
                "+model.encoder.d_model=256",
                "+model.encoder.causal_downsampling=false",
                "+model.encoder.conv_norm_type=batch_norm",
                "+model.encoder.att_context_size=[70,0]",
                "+model.encoder.global_tokens=2",
                "+model.preprocessor.normalize=per_feature",
                "model.sample_rate=8000",
                "model.validation_ds.sample_rate=44100",
                "model.decoder.feat_in=64",
            )
        lines = str(error.value).splitlines()
        assert lines[0] == "The config contradicts pretrained.path=x.nemo:"
        assert set(lines[1:-1]) == {
            "  - model.encoder.d_model=256, the checkpoint has 32",
            "  - model.encoder.causal_downsampling=False, the checkpoint has True",
            "  - model.encoder.conv_norm_type=batch_norm, the checkpoint has layer_norm",
            "  - model.encoder.att_context_size=[70, 0], the checkpoint has [4, 0]",
            "  - model.encoder.global_tokens=2, the checkpoint has 0",
            "  - model.preprocessor.normalize=per_feature, the checkpoint has NA",
            "  - model.sample_rate=8000, the checkpoint has 16000",
            "  - model.validation_ds.sample_rate=44100, the checkpoint has 16000",
            "  - model.decoder.feat_in=64, the checkpoint's encoder gives 32",
        }
        assert "pretrained.other_contexts=true" in lines[-1]

    def test_an_option_that_the_encoder_does_not_have_is_named(self, inherited):
        with pytest.raises(ValueError, match="model.encoder.droput=0.3: unknown option of ConformerEncoder"):
            inherited("streaming", "+model.encoder.droput=0.3")

    def test_a_misspelt_option_of_ours_is_named(self, compose_config):
        given = ["pretrained.path=x.nemo", "+model.curriculum_contxt={}"]
        given += [f"model.{name}.manifest_filepath=null" for name in ("train_ds", "validation_ds")]
        with pytest.raises(ValueError, match="model.curriculum_contxt={}: .* did you mean model.curriculum_context"):
            FineTuning(compose_config("finetune_streaming_ctc", *given))

    def test_another_class_is_named(self, inherited):
        with pytest.raises(ValueError, match="_target_=.*SqueezeformerEncoder, the checkpoint has .*ConformerEncoder"):
            inherited("streaming", "+model.encoder._target_=nemo.collections.asr.modules.SqueezeformerEncoder")

    def test_of_an_rnnt_model_name_its_width(self, inherited):
        with pytest.raises(ValueError, match="model.model_defaults.enc_hidden=64, the checkpoint's encoder gives 32"):
            inherited("streaming", "model.model_defaults.enc_hidden=64", kind="rnnt")


class TestContexts:
    def test_a_schedule_that_says_the_same_in_other_words_is_none(self, inherited):
        words = "{enabled: true, interpolation: linear, schedule: [[0, [4, 0]], [1, [8, 0]]]}"
        for option in ("model.hierarchical_context", "model.encoder.hierarchical_context"):
            assert contexts(inherited("contexts per layer", f"+{option}={words}")) == [[4, 0], [8, 0]]

    def test_others_are_refused_unless_they_are_asked_for(self, inherited):
        option = "+model.encoder.att_context_size=[70,0]"
        with pytest.raises(ValueError, match=r"att_context_size=\[70, 0\], the checkpoint has \[8, 0\]"):
            inherited("contexts per layer", option)
        assert contexts(inherited("contexts per layer", option, other_contexts=True)) == [[70, 0], [70, 0]]

    def test_a_schedule_for_an_encoder_without_one_is_another(self, inherited):
        option = f"+model.encoder.hierarchical_context={LAYERS}"
        with pytest.raises(ValueError, match="hierarchical_context={.*}, the checkpoint has None"):
            inherited("streaming", option)
        assert contexts(inherited("streaming", option, other_contexts=True)) == [[4, 0], [8, 0]]

    def test_null_takes_a_schedule_away(self, inherited):
        option = "+model.encoder.hierarchical_context=null"
        assert contexts(inherited("contexts per layer", option)) == [[4, 0], [8, 0]]
        assert contexts(inherited("contexts per layer", option, other_contexts=True)) == [[8, 0], [8, 0]]

    def test_a_cap_stays_and_goes_with_other_sizes(self, inherited):
        assert contexts(inherited("contexts per layer", cap=[2, 0])) == [[2, 0], [2, 0]]
        option = f"+model.encoder.hierarchical_context={LAYERS}"
        assert contexts(inherited("contexts per layer", option, cap=[2, 0])) == [[2, 0], [2, 0]]
        words = option.replace("enabled: true", "interpolation: linear")
        with pytest.raises(ValueError, match=r"context_cap=None, the checkpoint has \[2, 0\]"):
            inherited("contexts per layer", words, cap=[2, 0])
        other = inherited("contexts per layer", option, cap=[2, 0], other_contexts=True)
        assert contexts(other) == [[4, 0], [8, 0]]

    def test_another_style_is_another_context(self, inherited):
        option = "+model.encoder.att_context_style=regular"
        with pytest.raises(ValueError, match="att_context_style=regular, the checkpoint has chunked_limited"):
            inherited("chunked", option)
        assert inherited("chunked", option, other_contexts=True).encoder.att_context_style == "regular"

    def test_several_that_are_drawn_from_are_compared_as_they_are(self, nest_config, compose_config):
        several = "model.encoder.att_context_size=[[4,1],[8,1]]"
        theirs = nest_config(several, "model.encoder.att_context_style=chunked_limited")
        pretrained = finetuning_runs.pretrained_config(theirs)
        cfg = finetuning_runs.finetuning_config(compose_config, "x.nemo", MANIFESTS, f"+{several}")
        inherit(cfg.model, pretrained)
        cfg = finetuning_runs.finetuning_config(
            compose_config, "x.nemo", MANIFESTS, "+model.encoder.att_context_size=[4,1]"
        )
        with pytest.raises(ValueError, match=r"att_context_size=\[4, 1\], the checkpoint has \[\[4, 1\], \[8, 1\]\]"):
            inherit(cfg.model, pretrained)

    def test_one_that_is_no_context_is_named(self, inherited):
        with pytest.raises(ValueError, match="att_context_size|-3"):
            inherited("streaming", "+model.encoder.att_context_size=[-3,0]", other_contexts=True)
