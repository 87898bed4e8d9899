# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

import pytest
import torch

from nemo.collections.asr.models.ssl_models import EncDecDenoiseMaskedTokenPredModel
from nemo.collections.asr.parts.lookahead import probe_causality, report_lookahead

CHUNKED = "model.encoder.att_context_style=chunked_limited"
PER_LAYER = "++model.hierarchical_context={enabled: true, schedule: [[0, [6, 0]], [1, [20, 0]]]}"


@pytest.fixture
def build(nest_config):
    return lambda *overrides: EncDecDenoiseMaskedTokenPredModel(nest_config(*overrides))


def encode(model, feats):
    """(1, D, T) -> (T', D')"""
    return model.encoder(audio_signal=feats, length=torch.tensor([feats.size(2)]))[0][0].T


class TestStreamingModels:
    @pytest.mark.parametrize(
        "overrides",
        [
            [],
            [PER_LAYER],
            ["model.encoder.self_attention_model=abs_pos", PER_LAYER],
            ["model.encoder.self_attention_model=rel_pos_local_attn", "model.encoder.att_context_size=[20,0]"],
            ["+model.encoder.use_pytorch_sdpa=true"],
            ["model.encoder.subsampling=striding", "model.preprocessor.pad_to=0"],
            ["model.encoder.att_context_size=[-1,0]", "model.encoder.conv_norm_type=batch_norm"],
        ],
    )
    def test_nothing_moves_before_a_change(self, build, overrides):
        result = probe_causality(build(*overrides))
        assert result.ok and result.features_ms == 0 and 10 < result.audio_ms <= 12.5
        assert str(result).startswith("Causal to the bit: ")

    @pytest.mark.parametrize("seed", range(4))
    def test_at_other_places_and_lengths(self, build, seed):
        model = build(PER_LAYER)
        for seconds in (0.5, 0.777, 2.345):
            assert probe_causality(model, seconds=seconds, probes=4 + seed, seed=seed).ok

    @pytest.mark.parametrize(
        "overrides, frames",
        [
            (["model.encoder.att_context_size=[21,6]", CHUNKED], 6),
            (["++model.hierarchical_context={enabled: true, schedule: [[0, [10, 0]], [1, [20, 2]]]}"], 2),
        ],
    )
    def test_a_stated_look_ahead_is_measured(self, build, overrides, frames):
        result = probe_causality(build(*overrides))
        assert result.ok and result.features_ms == result.allowed_features_ms == frames * 80
        assert frames * 80 + 10 < result.audio_ms <= frames * 80 + 12.5 == result.allowed_audio_ms

    def test_the_model_is_left_as_it_was(self, build):
        model = build("model.mask_position=post_conv").train()
        model.encoder.layers[0].eval()
        model.encoder.pre_encode.set_masking_enabled(True)
        modes = [module.training for module in model.modules()]
        state, random = {k: v.clone() for k, v in model.state_dict().items()}, torch.get_rng_state()
        assert probe_causality(model).ok
        assert [module.training for module in model.modules()] == modes
        assert model.encoder.pre_encode.apply_mask and model.preprocessor.featurizer.dither > 0
        assert torch.equal(torch.get_rng_state(), random)
        assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())

    def test_the_same_seed_gives_the_same_result(self, build):
        model = build()
        assert probe_causality(model, seconds=1) == probe_causality(model, seconds=1)


class TestViolations:
    @pytest.mark.parametrize(
        "overrides",
        [
            ["model.preprocessor.normalize=per_feature"],
            ["model.encoder.conv_context_size=null"],
            ["model.encoder.conv_context_size=[7,1]", PER_LAYER],
            ["model.encoder.causal_downsampling=false"],
            ["model.encoder.subsampling=stacking"],
            ["model.encoder.att_context_size=[20,1]"],
            ["model.encoder.att_context_size=[-1,-1]"],
            ["model.encoder.conv_norm_type=group_norm4"],
            ["model.encoder.att_context_size=[21,6]", CHUNKED, "model.encoder.conv_context_size=[6,2]"],
        ],
    )
    def test_what_the_report_calls_a_violation_is_found(self, build, overrides):
        model = build(*overrides)
        result, report = probe_causality(model, seconds=3), report_lookahead(model)
        assert not result.ok and report.violations and str(result).startswith("NOT causal: changing ")
        assert result.allowed_audio_ms < result.audio_ms <= report.total_ms
        # within one encoder frame, because changes fall anywhere
        assert result.audio_ms > min(report.total_ms, 3000) - 80
        source = "audio" if "normalize" in overrides[0] else "features"
        assert result.violation.source == source and result.violation.frame * 8 < result.violation.at

    def test_a_convolution_that_is_not_what_the_config_says_is_found(self, build):
        model = build()
        convolution = model.encoder.layers[1].conv.depthwise_conv
        convolution._left_padding, convolution._right_padding = 7, 1
        result = probe_causality(model)
        assert not result.ok and result.features_ms == 80 and not report_lookahead(model).violations

    def test_a_mask_that_is_not_what_the_layers_say_is_found(self, build, monkeypatch):
        model = build("model.encoder.att_context_size=[20,0]", "model.encoder.n_layers=1")
        masks = model.encoder._create_masks
        monkeypatch.setattr(
            model.encoder, "_create_masks", lambda att_context_size, **other: masks(att_context_size=[20, 1], **other)
        )
        result = probe_causality(model)
        assert not result.ok and result.features_ms == 80 and not report_lookahead(model).violations

    def test_a_model_that_says_nothing_is_no_proof(self, build):
        model = build()
        torch.nn.init.constant_(model.encoder.pre_encode.out.weight, 0.0)
        with pytest.raises(ValueError, match="no output of the encoder depends on its features"):
            probe_causality(model)
        torch.nn.init.constant_(model.encoder.pre_encode.out.bias, float("nan"))
        with pytest.raises(ValueError, match="not finite"):
            probe_causality(model)

    @pytest.mark.parametrize("option", [{"seconds": 0.1}, {"probes": 1}, {"seed": -1}])
    def test_options_are_checked(self, build, option):
        with pytest.raises(ValueError, match=next(iter(option))):
            probe_causality(build(), **option)


class TestReach:
    """In double precision, in which the smallest influence shows."""

    @pytest.fixture
    def model(self, build):
        block = "{enabled: true, schedule: [[0, [3, 0]], [1, [5, 0]]]}"
        return build(f"++model.hierarchical_context={block}").eval().double()

    def test_the_first_feature_frame_is_seen_exactly_as_far_as_contexts_and_convolutions_add_up(self, model):
        feats = torch.randn(1, 80, 8 * 50, dtype=torch.double)
        changed = feats.clone()
        changed[..., 0] += 100
        moved = (encode(model, feats) != encode(model, changed)).any(dim=1).nonzero().flatten().tolist()
        # attention 3 + 5, convolutions 8 + 8; subsampling sees 14 feature frames back, so one more encoder frame does
        assert moved == list(range(3 + 5 + 8 + 8 + 1 + 1))
        # the first frame not to see it begins further away than the report says that frames see, the last one nearer
        report = report_lookahead(model)
        assert 80 * moved[-1] <= report.left_reach_ms - 12.5 < 80 * (moved[-1] + 1)

    @pytest.mark.parametrize("t", [1, 7, 8, 9, 100, 203, 399])
    def test_from_t_on_nothing_before_t_moves_and_the_frame_at_t_does(self, model, t):
        feats = torch.randn(1, 80, 8 * 50, dtype=torch.double)
        changed = feats.clone()
        changed[..., t:] += torch.randn(1, 80, 8 * 50 - t, dtype=torch.double)
        moved = (encode(model, feats) != encode(model, changed)).any(dim=1)
        first = -(-t // 8)  # the first encoder frame that stands for feature frame t or a later one
        assert not moved[:first].any() and moved[first:].all()
