# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

import copy
import pickle

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf

from nemo.collections.asr.modules import ConformerEncoder
from nemo.collections.asr.parts.contexts import attention_contexts, cap_layer_contexts

OWN = [[4, 1], [12, 1], [-1, 1]]
KINDS = {
    "rel_pos": {},
    "abs_pos": {"self_attention_model": "abs_pos"},
    "local": {"self_attention_model": "rel_pos_local_attn"},
    "chunks": {"att_context_style": "chunked_limited"},
    "several": {"att_context_size": [[6, 1], [12, 1]]},
}
READINGS = ("layer_contexts", "own_layer_contexts", "has_layer_contexts", "context_cap")


def build(contexts=None, **options):
    """A small encoder in eval mode, the same weights each time."""
    torch.manual_seed(0)
    sizes = dict(feat_in=16, n_layers=3, d_model=16, n_heads=2, subsampling_factor=4, subsampling_conv_channels=4)
    kind = dict(subsampling="dw_striding", conv_kernel_size=5, conv_norm_type="layer_norm", pos_emb_max_len=100)
    encoder = ConformerEncoder(**{**sizes, **kind, "att_context_size": [12, 1], **options}).eval()
    if contexts is not None:
        encoder.set_layer_contexts(contexts)
    return encoder


def set_by_hand(encoder, contexts):
    for layer, context in zip(encoder.layers, contexts):
        layer.self_attention.att_context_size = context


def encode(encoder):
    torch.manual_seed(1)
    return encoder(audio_signal=torch.randn(2, 16, 200), length=torch.tensor([200, 90]))[0]


def what_an_encoder_is(encoder):
    """All that contexts change in an encoder."""
    layers = [
        (layer.self_attn.__dict__.get("att_context_size"), layer.self_attention_model) for layer in encoder.layers
    ]
    own = [encoder.att_context_size, encoder.att_context_size_all, encoder.self_attention_model, encoder.pos_enc]
    return [layers, *own, copy.deepcopy(encoder.streaming_cfg)]


class TestReading:
    @pytest.mark.parametrize("kind", KINDS)
    @pytest.mark.parametrize("training", [False, True])
    def test_changes_nothing(self, kind, training):
        encoder = build(**KINDS[kind]).train(training)
        set_by_hand(encoder, OWN)
        before = what_an_encoder_is(encoder)
        for name in READINGS:
            getattr(encoder, name)
        attention_contexts(encoder)
        assert what_an_encoder_is(encoder) == before

    @pytest.mark.parametrize("kind", KINDS)
    @pytest.mark.parametrize("capped", [False, True])
    def test_says_what_the_next_use_puts_in_force(self, kind, capped):
        encoder = build(**KINDS[kind])
        if capped:
            cap_layer_contexts(encoder, 8)
        set_by_hand(encoder, OWN)
        said = [getattr(encoder, name) for name in READINGS] + [attention_contexts(encoder)]
        encode(encoder)
        assert said == [getattr(encoder, name) for name in READINGS] + [attention_contexts(encoder)]
        assert encoder.own_layer_contexts == OWN and encoder.has_layer_contexts


class TestCap:
    @given(
        own=st.lists(st.integers(-1, 20), min_size=3, max_size=3),
        cap=st.tuples(st.integers(-1, 20), st.integers(-1, 2)),
        kind=st.sampled_from(["rel_pos", "local"]),
    )
    @settings(max_examples=25)
    def test_an_encoder_with_it_is_one_whose_layers_have_what_is_left(self, own, cap, kind):
        encoder = build([[left, 1] for left in own], **KINDS[kind])
        encoder.context_cap = cap
        other = build(encoder.layer_contexts, **KINDS[kind])
        assert torch.equal(encode(encoder), encode(other))
        assert encoder.att_context_size == other.att_context_size and encoder.streaming_cfg == other.streaming_cfg
        encoder.context_cap = [-1, -1]
        assert encoder.layer_contexts == encoder.own_layer_contexts == [[left, 1] for left in own]

    @pytest.mark.parametrize("kind", KINDS)
    def test_holds_for_contexts_that_are_given_later(self, kind):
        encoder = build(**KINDS[kind])
        encoder.context_cap = [4, -1]
        encoder.set_layer_contexts([[2, 1], [8, 1], [-1, 1]])
        assert encoder.layer_contexts == [[2, 1], [4, 1], [4, 1]]
        encoder.layers[0].self_attn.att_context_size = [10, 1]
        assert encoder.layer_contexts == [[4, 1]] * 3
        assert encoder.own_layer_contexts == [[10, 1], [8, 1], [-1, 1]]

    @pytest.mark.parametrize("copied", [copy.deepcopy, lambda encoder: pickle.loads(pickle.dumps(encoder))])
    @pytest.mark.parametrize("kind", KINDS)
    def test_goes_where_a_copy_goes_and_into_no_state_dict(self, kind, copied):
        encoder = build(OWN, **KINDS[kind])
        keys = list(encoder.state_dict())
        encoder.context_cap = [8, -1]
        other = copied(encoder)
        assert other.context_cap == [8, -1] and other.layer_contexts == encoder.layer_contexts
        assert torch.equal(encode(other), encode(encoder))
        other.context_cap = [-1, -1]
        assert other.own_layer_contexts == OWN and encoder.context_cap == [8, -1]
        assert list(encoder.state_dict()) == list(other.state_dict()) == keys

    def test_goes_with_the_contexts_of_the_layers(self):
        encoder = build(OWN)
        expected = encode(build())
        encoder.context_cap = [8, 0]
        encoder.set_layer_contexts(None)
        assert encoder.context_cap == [-1, -1] and torch.equal(encode(encoder), expected)

    def test_stays_when_the_kind_of_attention_changes(self):
        encoder = build(OWN)
        encoder._cfg = OmegaConf.create(
            dict(d_model=16, n_heads=2, pos_emb_max_len=100, dropout=0.1, dropout_emb=0.0, dropout_att=0.0)
        )
        encoder.context_cap = [8, -1]
        encoder.change_attention_model("abs_pos")
        assert encoder.context_cap == [8, -1] and encoder.own_layer_contexts == OWN
        assert encoder.layer_contexts == [[4, 1], [8, 1], [8, 1]] and encoder.att_context_size == [8, 1]

    @pytest.mark.parametrize("cap", [None, 40, [40], [-2, 0], "low"])
    def test_is_a_context(self, cap):
        encoder = build(OWN)
        with pytest.raises(ValueError, match="context_cap"):
            encoder.context_cap = cap
        assert encoder.layer_contexts == OWN

    def test_global_tokens_cannot_be_combined_with_it(self):
        encoder = build(**KINDS["local"], global_tokens=1)
        with pytest.raises(ValueError, match="global_tokens=1: must be 0"):
            encoder.context_cap = [8, -1]
