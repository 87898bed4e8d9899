# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Values in a config that meant something else in the predecessor fork: a warning each, and none for anybody else."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from nemo.collections.asr.models import EncDecDenoiseMaskedTokenPredModel, EncDecMaskedTokenPredModel
from nemo.collections.asr.parts.utils import predecessor_options as module
from nemo.collections.asr.parts.utils.predecessor_options import predecessor_options

LAYERS = [[0, [40, 0]], [6, [120, 0]], [12, [320, 0]]]
# what a user may write beside the sections that a model cannot do without
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3000) | st.sampled_from(["NA", "per_feature", "causal", "???"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["enabled", "schedule"]), inner),
    max_leaves=6,
)


def config(att_context_size=(40, 0), left_context_size=-1, schedule=None, curriculum=None, **others):
    """A streaming config, as far as it is looked at."""
    return OmegaConf.create(
        {
            "preprocessor": {"normalize": "NA"},
            "encoder": {"subsampling_factor": 8, "att_context_size": list(att_context_size)},
            "masking": {"causal": True, "left_context_size": left_context_size},
            "hierarchical_context": {"enabled": schedule is not None, "schedule": schedule},
            "curriculum_context": curriculum,
            **others,
        }
    )


def curriculum(start, end, **others):
    return {"start_context": start, "end_context": end, "warmup_steps": 10, **others}


class TestContextsInFeatureFrames:
    @pytest.mark.parametrize(
        "cfg, words",
        [
            (config(left_context_size=320), ["masking.left_context_size=320", "Write 40, or -1", "tightest, 40"]),
            (config([[70, 0], [20, 0]], 160), ["masking.left_context_size=160", "Write 20", "tightest, 20"]),
            (config([320, 0], 960, LAYERS), ["masking.left_context_size=960", "Write 120", "tightest, 40"]),
            (
                config([320, 0], 40, [[0, [320, 0]], [6, [960, 0]], [12, [2560, 0]]]),
                ["hierarchical_context.schedule", "320, 960, 2560", "Write 40, 120, 320"],
            ),
            (config(schedule=[[0, [320, 0]]]), ["hierarchical_context.schedule", "320", "Write 40"]),
            (
                config([320, 0], schedule=LAYERS, curriculum=curriculum(320, 2560)),
                ["curriculum_context.start_context=320, end_context=2560", "start_context: 40, end_context: 320"],
            ),
            (config(curriculum=curriculum(320, 320)), ["start_context: 40, end_context: 40"]),
        ],
    )
    def test_are_named_with_the_value_in_encoder_frames(self, cfg, words):
        (text,) = predecessor_options(cfg)
        assert all(word in text for word in words), text

    @pytest.mark.parametrize(
        "cfg",
        [
            config(),
            config(left_context_size=40),
            config([320, 0], 40, LAYERS),
            config([320, 0], 320, LAYERS),
            config([40, 0], 40, [[0, [5, 0]], [6, [40, 0]]]),
            config([-1, 0], 320),
            config([40, 0], 320, [[0, [320, 0]], [6, [40, 0]]]),
            config([70, 0], schedule=[[0, [80, 0]], [6, [560, 0]]]),
            config([40, 0], schedule=[[0, [80, 0]], [6, [320, 0]]]),
            config([320, 0], schedule=[[0, [320, 0]]], left_context_size=40),
            config([320, 0], schedule=LAYERS, curriculum=curriculum(40, 320)),
            config([320, 0], schedule=LAYERS, curriculum=curriculum(320, 320)),
            config([40, 0], curriculum=curriculum(40, 320)),
            config([320, 0], schedule=LAYERS, curriculum=curriculum(320, 2560, enabled=False)),
            config([320, 0], schedule=[[0, [40, 0]], [6, [-1, 0]]], curriculum=curriculum(320, 320)),
            config(left_context_size=320, masking={"causal": False, "left_context_size": 320}),
            config(encoder={"subsampling_factor": 1, "att_context_size": [40, 0]}, left_context_size=40),
            config(encoder={"subsampling": None, "att_context_size": [40, 0]}, left_context_size=320),
        ],
    )
    def test_legitimate_ones_are_not(self, cfg):
        assert predecessor_options(cfg) == []

    @given(left=st.integers(1, 400), factor=st.sampled_from([2, 4, 8, 16]), right=st.integers(-1, 13))
    def test_any_left_context_is_found_in_the_other_unit_only(self, left, factor, right):
        encoder = {"subsampling_factor": factor, "att_context_size": [left, right]}
        (text,) = predecessor_options(config(encoder=encoder, left_context_size=left * factor))
        assert f"masking.left_context_size={left * factor}" in text and f"Write {left}, or -1" in text
        for other in (left, left * factor + 1, left * factor * 2):
            assert predecessor_options(config(encoder=encoder, left_context_size=other)) == []

    @given(st.lists(st.integers(1, 400), min_size=3, max_size=3))
    def test_any_schedule_is_found_in_the_other_unit_only(self, lefts):
        points = [[layer, [left, 0]] for layer, left in enumerate(lefts)]
        stretched = [[layer, [8 * left, 0]] for layer, left in enumerate(lefts)]
        here = {"att_context_size": [max(lefts), 0], "left_context_size": min(lefts)}
        (text,) = predecessor_options(config(schedule=stretched, **here))
        assert f"Write {', '.join(map(str, lefts))}." in text
        assert predecessor_options(config(schedule=points, **here)) == []


class TestZero:
    @pytest.mark.parametrize(
        "cfg, now",
        [
            (config([40, 0], 0), "the encoder's tightest, 40, is used instead"),
            (config([320, 0], 0, LAYERS), "the encoder's tightest, 40, is used instead"),
            (config([-1, 0], 0), "nothing is masked"),
        ],
    )
    def test_is_not_unlimited(self, cfg, now):
        (text,) = predecessor_options(cfg)
        assert "masking.left_context_size=0" in text and now in text and text.endswith("Write -1.")

    def test_is_fine_where_the_encoder_sees_nothing_back_either(self):
        assert predecessor_options(config([0, 0], 0)) == []

    def test_what_the_warning_says_of_masks_is_so(self, nest_config):
        def num_masked(context):
            cfg = nest_config(f"model.encoder.att_context_size={context}", "model.masking.left_context_size=0")
            model = EncDecMaskedTokenPredModel(cfg)
            return model.mask_features(torch.zeros(4, 80, 800), torch.full((4,), 800))[1].sum()

        assert num_masked("[-1,0]") == 0 < num_masked("[40,0]")

    @pytest.mark.parametrize("key, values", [("start_context", (0, 40)), ("end_context", (40, 0))])
    def test_is_no_cap(self, nest_config, warnings, key, values):
        cfg = config(curriculum=curriculum(*values))
        (text,) = predecessor_options(cfg)
        assert f"curriculum_context.{key}=0" in text
        broken = nest_config()
        broken.curriculum_context = cfg.curriculum_context
        with pytest.raises(ValueError, match=f"{key}=0"):
            EncDecMaskedTokenPredModel(broken)
        assert warnings == [text]


class TestUtteranceNormalisation:
    @pytest.mark.parametrize("normalize", ["per_feature", "all_features"])
    def test_is_named_with_both_new_values(self, normalize):
        (text,) = predecessor_options(config(preprocessor={"normalize": normalize}))
        assert f"preprocessor.normalize={normalize}" in text
        assert "preprocessor.normalize: NA and target_normalize: per_feature" in text

    def test_a_key_that_is_left_out_is_nemos_default(self):
        (text,) = predecessor_options(config(preprocessor={}))
        assert "preprocessor.normalize=per_feature" in text
        assert predecessor_options(config(preprocessor={"_target_": "nemo.x.AudioToMFCCPreprocessor"})) == []

    def test_targets_that_are_normalised_already_are_not_named(self):
        per_feature = {"preprocessor": {"normalize": "per_feature"}, "target_normalize": "per_feature"}
        (text,) = predecessor_options(config(**per_feature))
        assert text.endswith("Write preprocessor.normalize: NA.")

    @pytest.mark.parametrize(
        "others",
        [
            {"preprocessor": {"normalize": "NA"}},
            {"preprocessor": {"normalize": None}},
            {"preprocessor": {"normalize": {"fixed_mean": 0.0, "fixed_std": 1.0}}},
            {"masking": {"causal": False}},
            {"streaming": True},  # a ValueError, see `require_streaming`
        ],
    )
    def test_other_configs_have_no_warning(self, others):
        assert predecessor_options(config(**{"preprocessor": {"normalize": "per_feature"}, **others})) == []

    def test_causal_downsampling_with_an_option_of_ours_is_a_streaming_run(self):
        causal = {"subsampling_factor": 8, "att_context_size": [40, 0], "causal_downsampling": True}
        plain = {"encoder": causal, "preprocessor": {"normalize": "per_feature"}}
        assert predecessor_options(OmegaConf.create(plain)) == []
        assert len(predecessor_options(OmegaConf.create({**plain, "target_normalize": "per_feature"}))) == 1


@pytest.fixture
def warnings(monkeypatch):
    """What is warned of, in place of NeMo's log."""
    seen = []
    monkeypatch.setattr(module.logging, "warning", lambda text, mode=None: seen.append(text))
    return seen


class TestModels:
    @pytest.mark.parametrize("model_class", [EncDecMaskedTokenPredModel, EncDecDenoiseMaskedTokenPredModel])
    def test_a_model_warns_when_it_is_built_and_is_built(self, nest_config, warnings, model_class):
        cfg = nest_config("model.encoder.att_context_size=[40,0]", "model.masking.left_context_size=320")
        model_class(cfg)
        assert [text for text in warnings if "left_context_size=320" in text] == predecessor_options(cfg)

    def test_a_file_is_opened_without_a_warning(self, nest_config, warnings, tmp_path):
        cfg = nest_config("model.encoder.att_context_size=[40,0]", "model.masking.left_context_size=320")
        EncDecMaskedTokenPredModel(cfg).save_to(tmp_path / "model.nemo")
        warnings.clear()
        EncDecMaskedTokenPredModel.restore_from(tmp_path / "model.nemo", map_location="cpu")
        assert not [text for text in warnings if "left_context_size" in text]

    def test_once(self, nemo_warnings):
        cfg = config([56, 0], 448)  # of no other test
        for _ in range(3):
            module.warn_of_predecessor_options(cfg)
        assert len([text for text in nemo_warnings() if "448" in text]) == 1

    @pytest.mark.parametrize("name", ["nest_fast-conformer_streaming", "nest_hierarchical_streaming"])
    def test_the_shipped_configs_have_nothing_to_warn_of(self, compose_config, name):
        cfg = compose_config(name).model
        assert predecessor_options(cfg) == []
        cfg.streaming = False
        assert predecessor_options(cfg) == []

    @pytest.mark.parametrize("overrides", [[], ["model.encoder.causal_downsampling=true"]])
    def test_a_plain_config_has_nothing_to_warn_of(self, nest_config, overrides):
        assert predecessor_options(nest_config(*overrides, like_nemo=True)) == []

    @given(st.dictionaries(st.sampled_from("preprocessor encoder decoder loss optim sched".split()), ANYTHING))
    def test_no_config_without_our_options_has(self, cfg):
        assert predecessor_options(OmegaConf.create(cfg)) == []

    @given(
        st.fixed_dictionaries(
            {name: ANYTHING for name in ("hierarchical_context", "curriculum_context")},
            optional={
                "preprocessor": st.fixed_dictionaries({}, optional={"normalize": ANYTHING}) | ANYTHING,
                "encoder": st.fixed_dictionaries(
                    {}, optional={name: ANYTHING for name in ("att_context_size", "subsampling_factor", "subsampling")}
                ),
                "masking": st.fixed_dictionaries({"causal": ANYTHING, "left_context_size": ANYTHING}) | ANYTHING,
                "streaming": ANYTHING,
            },
        )
    )
    def test_what_is_not_valid_is_left_to_others(self, cfg):
        assert isinstance(predecessor_options(OmegaConf.create(cfg)), list)
