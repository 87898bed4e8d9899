# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

import math
import sys

import pytest
import torch
from omegaconf import OmegaConf

from nemo.collections.asr.models.ssl_models import EncDecDenoiseMaskedTokenPredModel
from nemo.collections.asr.modules import ConformerEncoder, RNNEncoder
from nemo.collections.asr.parts.lookahead import report as lookahead
from nemo.collections.asr.parts.lookahead import report_lookahead, require_streaming
from nemo.core.classes import common

# 25 ms window, 10 ms hop, 8-fold subsampling
WINDOW = 12.5
CHUNKED = "model.encoder.att_context_style=chunked_limited"

MODULES = "nemo.collections.asr.modules"
CONFORMER = f"{MODULES}.ConformerEncoder"
# the encoders of NeMo's Citrinet and QuartzNet and LSTM configs, one around a Conformer, and no encoder at all
OTHER_ENCODERS = {
    f"{MODULES}.ConvASREncoder": "ConvASREncoder (nemo.collections.asr.modules.conv_asr.ConvASREncoder)",
    f"{MODULES}.RNNEncoder": "RNNEncoder (",
    f"{MODULES}.conformer_encoder.ConformerMultiLayerFeatureExtractor": "ConformerMultiLayerFeatureExtractor (",
    f"{MODULES}.AudioToMelSpectrogramPreprocessor": "AudioToMelSpectrogramPreprocessor (",
}


class OwnEncoder(ConformerEncoder):
    """As a fork has it."""


# one thing that looks ahead: its overrides, its ms, a word of its reason and the part of the model that it is in
VIOLATIONS = [
    (["model.encoder.att_context_size=[40,2]"], 2 * 80 * (2 - 1), "add up over 2 layers", "attention"),
    (["model.encoder.att_context_size=[40,-1]"], math.inf, "unlimited right context in layers 0-1", "attention"),
    (
        ["model.encoder.conv_context_size=null"],
        2 * 4 * 80,
        "conv_context_size=null looks 4 encoder frames",
        "convolution",
    ),
    (
        ["model.encoder.conv_context_size=[7,1]"],
        2 * 80,
        "conv_context_size=[7, 1] looks 1 encoder frame ahead",
        "convolution",
    ),
    (["model.encoder.causal_downsampling=false"], 70, "dw_striding sees 7 feature frames ahead", "downsampling"),
    (
        ["model.encoder.subsampling=striding", "model.encoder.causal_downsampling=false"],
        70,
        "striding",
        "downsampling",
    ),
    (
        ["model.encoder.subsampling=stacking"],
        70,
        "stacking sees 7 feature frames ahead (it has no causal form)",
        "downsampling",
    ),
    (
        ["model.encoder.subsampling=vggnet"],
        210,
        "vggnet sees 21 feature frames ahead (it has no causal form)",
        "downsampling",
    ),
    (["model.encoder.conv_norm_type=batch_norm"], 0, "batch_norm", "normalisation"),
    (["model.encoder.conv_norm_type=group_norm4"], math.inf, "group_norm4", "normalisation"),
    (["model.preprocessor.normalize=per_feature"], math.inf, "normalize=per_feature", "front end"),
    (["model.preprocessor.normalize=all_features"], math.inf, "normalize=all_features", "front end"),
]


@pytest.fixture
def report(nest_config):
    return lambda *overrides: report_lookahead(nest_config(*overrides))


class TestReport:
    @pytest.mark.parametrize("overrides, ms, reason, part", VIOLATIONS)
    def test_each_violation_alone(self, report, overrides, ms, reason, part):
        found = report(*overrides)
        assert [violation.part for violation in found.violations] == [part]
        assert [(violation.ms, reason in violation.what) for violation in found.violations] == [(ms, True)]
        assert found.total_ms == found.stated_ms + ms and "NOT streaming, 1 reason marked" in str(found)

    def test_a_streaming_config_has_none(self, report, compose_config):
        for found in (report(), report_lookahead(compose_config("nest_hierarchical_streaming"))):
            assert found.violations == () and found.total_ms == WINDOW
            assert "Verdict: streaming; nothing looks further ahead than the 12.5 ms above." in str(found)

    @pytest.mark.parametrize(
        "overrides, total",
        [
            (["model.encoder.att_context_size=[70,6]", CHUNKED], 6 * 80 + WINDOW),
            (["model.encoder.att_context_size=[70,6]", CHUNKED, "model.encoder.n_layers=17"], 6 * 80 + WINDOW),
            (["model.encoder.att_context_size=[40,2]", "model.encoder.n_layers=17"], 17 * 2 * 80 + WINDOW),
            (["model.encoder.att_context_size=[[40,1],[-1,-1]]", "model.encoder.n_layers=1"], 80 + WINDOW),
            # a convolution draws the next chunk in: frame 5 sees 7, whose chunk ends at 13; that sees 15, and so 20
            (["model.encoder.att_context_size=[70,6]", CHUNKED, "model.encoder.conv_context_size=[6,2]"], 1212.5),
            (["model.encoder.subsampling_factor=4", "model.encoder.conv_context_size=[7,1]"], 2 * 40 + WINDOW),
            (["model.preprocessor.window_stride=0.02", "model.encoder.causal_downsampling=false"], 7 * 20 + WINDOW),
            (["model.preprocessor.window_size=0.05"], 25),
            (["+model.preprocessor.exact_pad=true"], (25 + 10) / 2),
            (["model.encoder.subsampling=null"], WINDOW),
        ],
    )
    def test_total_by_hand(self, report, overrides, total):
        assert report(*overrides).total_ms == pytest.approx(total)

    def test_the_right_context_of_one_layer_is_stated(self, report):
        found = report("++model.hierarchical_context={enabled: true, schedule: [[0, [10, 0]], [1, [20, 3]]]}")
        assert found.violations == () and found.stated_frames == 3 and found.total_ms == 3 * 80 + WINDOW
        assert [context.as_list() for context in found.contexts] == [[10, 0], [20, 3]]

    def test_left_reach_by_hand(self, report):
        block = "{enabled: true, schedule: [[0, [3, 0]], [1, [5, 0]]]}"
        attention, convolution, downsampling = (3 + 5) * 80, 2 * 8 * 80, 2 * 7 * 10
        found = report(f"++model.hierarchical_context={block}")
        assert found.left_reach_ms == attention + convolution + downsampling + WINDOW
        assert found.reach_ms(1) == (3 * 80 + 8 * 80, 0)
        assert report("model.encoder.att_context_size=[-1,0]").left_reach_ms == math.inf

    def test_chunks_reach_back_from_their_last_frame(self, report):
        found = report("model.encoder.att_context_size=[14,6]", CHUNKED, "model.encoder.conv_kernel_size=1")
        assert found.reach_ms(1)[0] == (6 + 14) * 80 and found.reach_ms(2)[0] == (6 + 2 * 14) * 80

    def test_fixed_statistics_are_no_look_ahead(self, report):
        statistics = "model.preprocessor.normalize={fixed_mean: [0.0], fixed_std: [1.0]}"
        assert report(statistics).total_ms == WINDOW

    def test_nemos_defaults_hold_for_what_is_left_out(self):
        config = {"preprocessor": {}, "encoder": {"_target_": CONFORMER, "n_layers": 3}}
        found = report_lookahead(config)
        # 20 ms window, striding by 4, kernel of 31, batch norm, unlimited context, per-feature normalisation
        assert [reason.ms for reason in found.reasons] == [math.inf, 3 * 15 * 40, 30, 10, 0, math.inf]
        assert report_lookahead({"model": config}) == found

    def test_the_contexts_that_a_model_has_now(self, nest_config):
        model = EncDecDenoiseMaskedTokenPredModel(nest_config())
        assert report_lookahead(model) == report_lookahead(model.cfg)
        model.encoder.set_layer_contexts([[10, 0], [20, 1]])
        assert report_lookahead(model).total_ms == 80 + WINDOW
        model.encoder.layers[0].self_attn.att_context_size = [30, 1]
        assert [context.as_list() for context in report_lookahead(model).contexts] == [[30, 1], [20, 1]]

    @pytest.mark.parametrize("schedule", [[[0, [10, 2]], [1, [20, 1]]], None])
    def test_the_cap_in_a_config_is_the_models(self, nest_config, schedule):
        config = nest_config("model.encoder.att_context_size=[30,3]", "+model.encoder.context_cap=[15,1]")
        if schedule is not None:
            config.hierarchical_context = {"enabled": True, "schedule": schedule}
        contexts = [context.as_list() for context in report_lookahead(config).contexts]
        assert contexts == ([[15, 1]] * 2 if schedule is None else [[10, 1], [15, 1]])
        assert report_lookahead(EncDecDenoiseMaskedTokenPredModel(config)) == report_lookahead(config)

    def test_the_text_lists_layers_with_the_same_context_once(self, compose_config):
        text = str(report_lookahead(compose_config("nest_hierarchical_streaming")))
        assert "  6-11    [120, 0]              9600         0" in text
        assert "12.5   STFT" in text and "in total" in text

    def test_a_config_without_an_encoder_is_an_error(self):
        with pytest.raises(ValueError, match="encoder=None: the model's config must have a section with this name"):
            report_lookahead({"preprocessor": {}})

    @pytest.mark.parametrize(
        "override, message",
        [
            ("model.encoder.n_layers=0", "encoder.n_layers=0"),
            ("model.encoder.att_context_style=chunked", "att_context_style='chunked'"),
            ("model.encoder.conv_context_size=[4,5]", "conv_context_size=[4, 5]"),
            ("model.encoder.conv_context_size=future", "conv_context_size='future'"),
            ("model.encoder.subsampling=pooling", "encoder.subsampling='pooling'"),
            ("model.encoder.att_context_size=[40]", "att_context_size=[40]"),
            ("+model.encoder={reduction: pooling, reduction_factor: 2}", "encoder.reduction='pooling'"),
        ],
    )
    def test_what_means_nothing_is_an_error(self, report, override, message):
        with pytest.raises(ValueError) as error:
            report(override)
        assert message in str(error.value)


class TestOtherEncoders:
    @pytest.mark.parametrize("target, name", OTHER_ENCODERS.items())
    @pytest.mark.parametrize("options", [{}, {"n_layers": 2, "subsampling_factor": 8, "att_context_size": [40, 0]}])
    def test_an_encoder_that_is_no_conformer_is_named(self, target, name, options):
        with pytest.raises(ValueError) as error:
            report_lookahead({"preprocessor": {}, "encoder": {"_target_": target, **options}})
        assert str(error.value).startswith(f"encoder={name}")
        assert str(error.value).endswith("its look-ahead is not known; report_lookahead reads ConformerEncoder")

    def test_the_encoder_of_a_model_too(self, nest_config):
        model = EncDecDenoiseMaskedTokenPredModel(nest_config())
        model.encoder = RNNEncoder(feat_in=80, n_layers=1, d_model=8, proj_size=4, subsampling="stacking")
        with pytest.raises(ValueError, match=r"encoder=RNNEncoder \(.*\): its look-ahead is not known"):
            report_lookahead(model)

    def test_a_child_of_the_conformer_is_a_conformer(self, nest_config):
        config = nest_config()
        expected = report_lookahead(config)
        model = EncDecDenoiseMaskedTokenPredModel(config)
        model.encoder.__class__ = OwnEncoder
        assert report_lookahead(model) == expected
        # this NeMo may take only classes of its own from a config
        sys.modules["nemo.collections.asr.modules.conformer_encoder"].OwnEncoder = OwnEncoder
        try:
            config.encoder._target_ = f"{MODULES}.conformer_encoder.OwnEncoder"
            assert report_lookahead(config) == expected
        finally:
            del sys.modules["nemo.collections.asr.modules.conformer_encoder"].OwnEncoder

    def test_a_compiled_encoder_is_what_it_was(self, nest_config):
        model = EncDecDenoiseMaskedTokenPredModel(nest_config())
        expected = report_lookahead(model)
        model.encoder = torch.compile(model.encoder)
        assert report_lookahead(model) == expected

    @pytest.mark.parametrize("key", ["cls", "target"])
    def test_the_old_form_says_the_same(self, nest_config, key):
        config = nest_config("model.encoder.att_context_size=[40,2]", "model.preprocessor.normalize=per_feature")
        expected = report_lookahead(config)
        for name in ("encoder", "preprocessor"):
            params = dict(config[name])
            config[name] = {key: params.pop("_target_"), "params": params}
        assert report_lookahead(config) == expected
        config.encoder[key] = f"{MODULES}.RNNEncoder"
        with pytest.raises(ValueError, match="encoder=RNNEncoder "):
            report_lookahead(config)

    @pytest.mark.parametrize(
        "target, message",
        [
            (None, "encoder._target_=None: must be the dotted path of a class"),
            (3, "encoder._target_=3: must be the dotted path of a class"),
            (f"{MODULES}.NoEncoder", f"encoder._target_={MODULES}.NoEncoder: cannot be imported: "),
            (
                f"{MODULES}.no_module.NoEncoder",
                f"encoder._target_={MODULES}.no_module.NoEncoder: cannot be imported: ",
            ),
            (f"{MODULES}.conformer_encoder", "must be a class, not module"),
        ],
    )
    def test_a_class_that_cannot_be_found(self, target, message):
        with pytest.raises(ValueError) as error:
            report_lookahead({"preprocessor": {}, "encoder": {"_target_": target, "n_layers": 2}})
        assert message in str(error.value)

    def test_nothing_is_imported_that_nemo_would_not_import(self, monkeypatch):
        monkeypatch.setattr(common, "ALLOWED_TARGET_PREFIXES", ["nemo."], raising=False)
        with pytest.raises(ValueError, match="encoder._target_=this.Encoder: this NeMo takes only targets in nemo."):
            report_lookahead({"preprocessor": {}, "encoder": {"_target_": "this.Encoder"}})


@pytest.fixture
def streaming(nest_config):
    """A config that claims to be streaming."""
    return lambda *overrides: nest_config(*overrides, "++model.streaming=true")


ALL = [override for overrides, *_ in (VIOLATIONS[i] for i in (0, 2, 4, 8, 10)) for override in overrides]


class TestRequireStreaming:
    def test_every_violation_is_in_one_message(self, streaming):
        with pytest.raises(ValueError) as error:
            require_streaming(streaming(*ALL))
        message = str(error.value)
        assert all(VIOLATIONS[i][2] in message for i in (0, 2, 4, 8, 10))
        assert message.count("\n  - ") == 5 and "model.allow_lookahead=true" in message

    def test_allowed_it_is_a_warning(self, streaming, monkeypatch):
        warnings = []
        monkeypatch.setattr(lookahead.logging, "warning", warnings.append)
        require_streaming(streaming(*ALL, "++model.allow_lookahead=true"))
        assert len(warnings) == 1 and warnings[0].count("\n  - ") == 5

    def test_a_streaming_config_passes(self, streaming, monkeypatch):
        monkeypatch.setattr(lookahead.logging, "warning", pytest.fail)
        require_streaming(streaming("++model.allow_lookahead=false"))
        require_streaming(OmegaConf.create({"model": streaming()}))

    def test_a_chunk_may_look_ahead_as_far_as_it_states(self, streaming):
        require_streaming(streaming("model.encoder.att_context_size=[70,6]", CHUNKED))

    def test_without_the_claim_nothing_is_required(self, nest_config):
        require_streaming(nest_config(*ALL, "++model.streaming=false"))
        require_streaming({"model": {"encoder": None}})

    @pytest.mark.parametrize("name", ["streaming", "allow_lookahead"])
    def test_the_switches_are_bools(self, streaming, name):
        config = streaming()
        config[name] = "yes"
        with pytest.raises(ValueError, match=f"model.{name}='yes'"):
            require_streaming(config)
