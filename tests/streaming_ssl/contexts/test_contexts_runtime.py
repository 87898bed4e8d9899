# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

import copy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import ListConfig

from nemo.collections.asr.models import EncDecMaskedTokenPredModel
from nemo.collections.asr.modules import ConformerEncoder
from nemo.collections.asr.parts.contexts.runtime import NAMED_LEFT_CONTEXTS, cap_layer_contexts
from nemo.collections.asr.parts.utils.streaming_utils import set_dynamic_context, sync_masking_context_with_attention

OWN = [[40, 0], [120, 0], [320, 0]]


def make_encoder(contexts=None, **options):
    encoder = ConformerEncoder(
        **{"feat_in": 16, "n_layers": 3, "d_model": 8, "n_heads": 2, "subsampling_conv_channels": 4, **options}
    )
    if contexts is not None:
        encoder.set_layer_contexts(contexts)
    return encoder


def lefts(encoder):
    return [context[0] for context in encoder.layer_contexts]


def make_model(nest_config, contexts=None, context="[-1,0]"):
    model = EncDecMaskedTokenPredModel(
        nest_config("model.encoder.n_layers=3", f"model.encoder.att_context_size={context}")
    )
    if contexts is not None:
        model.encoder.set_layer_contexts(contexts)
    return model


class TestCapLayerContexts:
    @pytest.mark.parametrize("cap, expected", [(1, [1] * 3), (100, [40, 100, 100]), (400, [40, 120, 320])])
    def test_each_layer_has_the_smaller_of_its_own_and_the_cap(self, cap, expected):
        encoder = make_encoder(OWN)
        cap_layer_contexts(encoder, cap)
        assert lefts(encoder) == expected
        assert [layer.self_attention.att_context_size for layer in encoder.layers] == OWN == encoder.own_layer_contexts

    def test_the_encoder_and_its_caches_follow_the_widest_layer(self):
        encoder = make_encoder(OWN)
        for cap, widest in ((100, 100), (200, 200), (-1, 320)):
            cap_layer_contexts(encoder, cap)
            assert encoder.att_context_size == [widest, 0]
            assert encoder.streaming_cfg.last_channel_cache_size == widest

    def test_unlimited_contexts_are_capped_and_come_back(self):
        encoder = make_encoder([[-1, 0], [40, 2], [-1, -1]])
        cap_layer_contexts(encoder, 70)
        assert encoder.layer_contexts == [[70, 0], [40, 2], [70, -1]]
        cap_layer_contexts(encoder, -1)
        assert encoder.layer_contexts == [[-1, 0], [40, 2], [-1, -1]]

    def test_layers_without_a_context_have_the_encoders(self):
        encoder = make_encoder(att_context_size=[100, 0])
        cap_layer_contexts(encoder, 30)
        cap_layer_contexts(encoder, 200)
        assert lefts(encoder) == [100] * 3

    def test_a_context_that_is_set_by_hand_between_two_caps_is_the_layers_own(self):
        encoder = make_encoder(OWN)
        cap_layer_contexts(encoder, 20)
        encoder.layers[1].self_attention.att_context_size = [60, 0]
        cap_layer_contexts(encoder, 30)
        assert lefts(encoder) == [30, 30, 30]
        cap_layer_contexts(encoder, 100)
        assert lefts(encoder) == [40, 60, 100]

    def test_contexts_that_are_taken_away_do_not_come_back(self):
        encoder = make_encoder(OWN, att_context_size=[200, 0])
        cap_layer_contexts(encoder, 20)
        encoder.set_layer_contexts(None)
        cap_layer_contexts(encoder, 400)
        assert lefts(encoder) == [200] * 3

    def test_a_copy_of_the_encoder_knows_its_own_contexts_and_the_state_dict_does_not(self):
        encoder = make_encoder(OWN)
        keys = set(encoder.state_dict())
        cap_layer_contexts(encoder, 20)
        other = copy.deepcopy(encoder)
        cap_layer_contexts(other, 200)
        assert lefts(encoder) == [20] * 3 and lefts(other) == [40, 120, 200]
        assert set(encoder.state_dict()) == keys

    @given(own=st.lists(st.integers(-1, 50), min_size=3, max_size=3), caps=st.lists(st.integers(-1, 400), min_size=1))
    def test_any_caps_one_after_the_other_are_the_last_alone(self, own, caps):
        right = 3
        contexts = [[left * (right + 1) if left > 0 else left, right] for left in own]
        encoder, once = (ENCODERS.setdefault(i, make_encoder(**CHUNKED)) for i in range(2))
        for other in (encoder, once):
            cap_layer_contexts(other, -1)
            other.set_layer_contexts(contexts)
        for cap in caps:
            cap_layer_contexts(encoder, cap)
        cap_layer_contexts(once, caps[-1])
        assert encoder.layer_contexts == once.layer_contexts
        for (left, _), (whole, _) in zip(encoder.layer_contexts, contexts):
            assert left == -1 or left % (right + 1) == 0
            if caps[-1] >= 0:
                limit = caps[-1] if whole < 0 else min(whole, caps[-1])
                assert limit - right <= left <= limit
            else:
                assert left == whole

    @pytest.mark.parametrize("cap", [-2, 1.5, True, None])
    def test_a_cap_is_an_integer(self, cap):
        with pytest.raises(ValueError, match="cap="):
            cap_layer_contexts(make_encoder(OWN), cap)

    def test_an_encoder_whose_layers_have_no_contexts_is_named(self):
        class RecurrentEncoder:
            pass

        with pytest.raises(ValueError, match="RecurrentEncoder.*set_layer_contexts"):
            cap_layer_contexts(RecurrentEncoder(), 40)

    def test_sampled_contexts_are_capped_and_come_back(self):
        encoder = make_encoder(att_context_size=[[40, 0], [120, 0]])
        cap_layer_contexts(encoder, 60)
        assert lefts(encoder) == [60] * 3
        cap_layer_contexts(encoder, 400)
        assert lefts(encoder) == [120] * 3


CHUNKED = {"att_context_size": [40, 3], "att_context_style": "chunked_limited"}
ENCODERS = {}  # the two of the property above; making them takes longer than using them


class TestSyncMasking:
    @pytest.mark.parametrize(
        "contexts, expected",
        [(OWN, 40), ([[-1, 0]] * 3, -1), ([[-1, 0], [120, 0], [-1, 0]], 120), (None, 50)],
    )
    def test_the_masking_gets_the_tightest_finite_left_context(self, nest_config, contexts, expected):
        model = make_model(nest_config, contexts, context="[50,0]")
        assert sync_masking_context_with_attention(model) == expected
        assert model.mask_processor.left_context_size == expected

    @pytest.mark.parametrize("context, left", [([70, 0], 70), ((-1, -1), -1), (ListConfig([0, 3]), 0)])
    def test_a_context_that_is_given_is_set_instead_and_the_encoder_is_left_alone(self, nest_config, context, left):
        model = make_model(nest_config, OWN)
        assert sync_masking_context_with_attention(model, att_context=context) == left
        assert model.mask_processor.left_context_size == left
        assert model.encoder.layer_contexts == OWN

    @pytest.mark.parametrize("context", [40, [40], [-2, 0], [40.0, 0], [40, 0, 0], "low", [True, 0]])
    def test_a_given_context_that_is_none_is_named_and_changes_nothing(self, nest_config, context):
        model = make_model(nest_config, OWN)
        model.mask_processor.left_context_size = 7
        with pytest.raises(ValueError, match="att_context"):
            sync_masking_context_with_attention(model, context)
        assert model.mask_processor.left_context_size == 7

    def test_a_given_context_is_used_where_the_encoder_sees_back_without_limit(self, nest_config):
        model = make_model(nest_config)
        model.mask_processor.mask_prob, model.mask_processor.allow_overlap = 1.0, True
        assert sync_masking_context_with_attention(model, [3, 0]) == 3
        feats, lengths = torch.zeros(2, 80, 400), torch.full((2,), 400)
        _, masks = model.mask_features(feats, lengths, current_frame=200)
        masked = masks[:, 0].nonzero()[:, 1]
        assert masked.min() >= 200 - 3 * 8 and masked.max() < 200

    def test_contexts_that_were_set_by_hand_count_at_once(self, nest_config):
        model = make_model(nest_config, context="[10,0]")
        for layer, context in zip(model.encoder.layers, OWN):
            layer.self_attention.att_context_size = context
        assert sync_masking_context_with_attention(model) == 40

    def test_what_is_missing_is_named(self, nest_config):
        model = make_model(nest_config, OWN)
        model.mask_processor = model.decoder
        with pytest.raises(ValueError, match="mask_processor=.*left_context_size"):
            sync_masking_context_with_attention(model)
        model.mask_processor = None
        with pytest.raises(ValueError, match="EncDecMaskedTokenPredModel.*mask_processor"):
            sync_masking_context_with_attention(model)
        model.encoder = None
        with pytest.raises(ValueError, match="EncDecMaskedTokenPredModel.*encoder"):
            sync_masking_context_with_attention(model)


class TestSetDynamicContext:
    @pytest.mark.parametrize(
        "name, left", [("very_low", 80), ("low", 160), ("medium", 240), ("high", 320), ("unlimited", -1)]
    )
    def test_names_are_left_contexts_of_all_layers(self, nest_config, name, left):
        model = make_model(nest_config, context="[100,2]")
        assert set_dynamic_context(model, name) == [left, 2] == model.encoder.att_context_size
        assert model.mask_processor.left_context_size == left
        assert not model.encoder.has_layer_contexts

    def test_a_context_replaces_the_encoders(self, nest_config):
        model = make_model(nest_config)
        assert set_dynamic_context(model, (70, 1)) == [70, 1] == model.encoder.att_context_size
        assert model.encoder.streaming_cfg.last_channel_cache_size == 70

    def test_no_other_context_is_sampled_afterwards_and_nemo_has_nothing_to_warn_of(self, nest_config, monkeypatch):
        from nemo.collections.asr.modules import _conformer_encoder_base

        warnings = []
        monkeypatch.setattr(_conformer_encoder_base.logging, "warning", warnings.append)
        model = make_model(nest_config, context="[[70,1],[20,0]]")
        set_dynamic_context(model, "low")
        assert model.encoder.att_context_size_all == [[160, 1]] and model.encoder.att_context_probs == [1.0]
        assert not warnings

    def test_chunks_stay_whole(self, nest_config):
        model = make_model(nest_config)
        model.encoder = make_encoder(**{**CHUNKED, "att_context_size": [28, 6]})
        assert set_dynamic_context(model, "very_low") == [77, 6] == model.encoder.att_context_size
        with pytest.raises(ValueError, match=r"\[80, 6\].*multiple of right \+ 1 = 7"):
            set_dynamic_context(model, [80, 6])

    def test_it_is_a_limit_where_layers_have_their_own(self, nest_config):
        model = make_model(nest_config, [[40, 3], [120, 0], [-1, -1]])
        for context, expected in (
            ("very_low", [[40, 3], [80, 0], [80, -1]]),
            ([30, 1], [[30, 1], [30, 0], [30, 1]]),
            ([-1, 0], [[40, 0], [120, 0], [-1, 0]]),
            ("unlimited", [[40, 3], [120, 0], [-1, -1]]),
        ):
            cap = [NAMED_LEFT_CONTEXTS[context], -1] if isinstance(context, str) else context
            assert set_dynamic_context(model, context) == cap == model.encoder.context_cap
            assert model.encoder.layer_contexts == expected
            assert model.mask_processor.left_context_size == min(left for left, _ in expected if left >= 0)

    def test_the_masking_can_be_left_alone(self, nest_config):
        model = make_model(nest_config, OWN)
        before = model.mask_processor.left_context_size
        model.mask_processor.left_context_size = before + 1
        set_dynamic_context(model, "very_low", sync_masking=False)
        assert model.mask_processor.left_context_size == before + 1 and model.encoder.att_context_size == [80, 0]

    @pytest.mark.parametrize(
        "context, message",
        [
            ("tiny", "very_low, low, medium, high, unlimited"),
            ([40], r"context=\[40\]"),
            ([-2, 0], "left context"),
            (40, "=40"),
        ],
    )
    def test_other_values_are_refused_and_change_nothing(self, nest_config, context, message):
        model = make_model(nest_config, OWN)
        with pytest.raises(ValueError, match=message):
            set_dynamic_context(model, context)
        assert model.encoder.layer_contexts == OWN

    def test_a_model_that_cannot_be_set_is_named_and_left_alone(self, nest_config):
        model = make_model(nest_config, OWN)
        model.mask_processor = None
        with pytest.raises(ValueError, match="mask_processor"):
            set_dynamic_context(model, "very_low")
        assert model.encoder.layer_contexts == OWN
        model.encoder = model.decoder
        with pytest.raises(ValueError, match="encoder=.*set_default_att_context_size"):
            set_dynamic_context(model, "very_low", sync_masking=False)

    def test_local_attention_has_one_context_for_good(self, nest_config):
        model = make_model(nest_config)
        model.encoder = make_encoder(self_attention_model="rel_pos_local_attn", att_context_size=[40, 40])
        with pytest.raises(ValueError, match="rel_pos_local_attn"):
            set_dynamic_context(model, "very_low")
        assert model.encoder.att_context_size == [40, 40]
        model.encoder.set_layer_contexts(OWN)
        set_dynamic_context(model, "very_low")
        assert lefts(model.encoder) == [40, 80, 80]


def test_everything_of_nemos_module_is_still_there():
    from nemo.collections.asr.parts.utils import _streaming_utils_base, streaming_utils

    names = {name for name in vars(_streaming_utils_base) if not name.startswith("__")}
    assert names <= set(vars(streaming_utils))
    assert streaming_utils.FrameBatchASR.__module__ == streaming_utils.__name__
