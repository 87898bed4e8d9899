# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from nemo.collections.asr.parts.contexts import STYLES, AttentionContext
from nemo.collections.asr.parts.submodules import adapters
from nemo.collections.asr.parts.submodules.attention_windows import (
    AttentionWindows,
    Band,
    band_where_chosen,
    padding_mask,
    resolve,
)
from nemo.core.classes.mixins.adapter_mixins import get_registered_adapter

FRAMES = 30
reaches = st.integers(-1, 12)


def hidden(context, style, lengths):
    """True where a query must not see a key, straight from the definition, (B, T, T)."""
    index = torch.arange(FRAMES)
    query, key = index.unsqueeze(1), index
    left, right = (FRAMES if reach < 0 else reach for reach in context.as_list())
    inside = (key >= query - left) & (key <= query + right)
    if style == "chunked_limited" and context.right >= 0:
        behind = query // (right + 1) - key // (right + 1)
        inside = (behind >= 0) & (behind <= left // (right + 1))
    valid = index < lengths.unsqueeze(1)
    return ~(inside & valid.unsqueeze(1) & valid.unsqueeze(2))


def windows(drawn, style, lengths, cap=AttentionContext(-1, -1), choice="never"):
    return AttentionWindows(
        lambda context: hidden(context, style, lengths),
        lambda context: band_where_chosen(context, style, choice, lengths, FRAMES),
        drawn,
        cap,
        style,
    )


@st.composite
def chunks(draw, style):
    """A context of a style, in whole chunks."""
    right = draw(st.integers(0 if style == "chunked_limited" else -1, 3))
    return AttentionContext(draw(reaches), right).whole_chunks(style)


class TestAttentionWindows:
    @given(st.data(), st.sampled_from(STYLES), reaches, st.lists(st.integers(0, FRAMES), min_size=1, max_size=3))
    def test_a_layer_sees_what_its_context_the_cap_and_the_one_drawn_all_see(self, data, style, cap, lengths):
        own, drawn = data.draw(chunks(style)), data.draw(chunks(style))
        lengths, cap = torch.tensor(lengths), AttentionContext(cap, -1)
        mask = windows(drawn, style, lengths, cap).of(own.as_list())
        both = (hidden(context, style, lengths) for context in (own.capped(cap, style), drawn))
        assert torch.equal(mask, next(both) | next(both))

    @given(st.data(), st.sampled_from(STYLES), st.lists(st.integers(0, FRAMES), min_size=1, max_size=3))
    def test_band_and_mask_hide_the_same(self, data, style, lengths):
        own, lengths = data.draw(chunks(style)), torch.tensor(lengths)
        made = windows(own, style, lengths, choice="always")
        band, mask = made.of(None), made.of(None, takes_band=False)
        if own == AttentionContext(-1, -1):
            assert torch.equal(band, mask)
            return
        (block,) = band.blocks(FRAMES, FRAMES)
        seen = torch.zeros(len(lengths), FRAMES, FRAMES, dtype=torch.bool)
        query = torch.arange(FRAMES).unsqueeze(1)
        key = query - torch.arange(block.left, -block.right - 1, -1)
        hidden_in_band = band.hidden(block)
        kept = (key >= 0) & (key < FRAMES)
        kept = kept.unsqueeze(0) if hidden_in_band is None else kept & ~hidden_in_band
        b, q, r = kept.expand(len(lengths), -1, -1).nonzero(as_tuple=True)
        seen[b, q, key[q, r]] = True
        valid = torch.arange(FRAMES) < lengths.unsqueeze(1)  # what comes out in padding means nothing
        assert torch.equal((seen & valid.unsqueeze(2))[valid], ~mask[valid])

    def test_layers_with_the_same_context_share_a_mask(self):
        made = windows(AttentionContext(-1, 0), "regular", torch.tensor([FRAMES]))
        assert made.of([4, 0]) is made.of((4, 0)) and made.of([5, 0]) is not made.of([4, 0])
        capped = windows(AttentionContext(-1, 0), "regular", torch.tensor([FRAMES]), AttentionContext(3, -1))
        assert capped.of([4, 0]) is capped.of([5, 0])

    def test_queries_of_cached_frames_can_be_cut_off(self):
        made = windows(AttentionContext(6, 0), "regular", torch.tensor([FRAMES, 7]))
        assert torch.equal(made[:, 10:].of([4, 0]), made.of([4, 0])[:, 10:])
        assert torch.equal(made[:, 10:].of(None), made.of(None)[:, 10:])

    def test_masks_of_nemo_stay_what_they_are(self):
        mask = torch.zeros(1, 2, 2, dtype=torch.bool)
        assert resolve(mask, torch.nn.Identity(), True) is mask and resolve(None, torch.nn.Identity(), True) is None

    def test_attention_that_knows_masks_only_gets_one(self):
        made = windows(AttentionContext(6, 0), "regular", torch.tensor([FRAMES]), choice="always")
        assert isinstance(resolve(made, torch.nn.Identity(), True), Band)
        assert isinstance(resolve(made, torch.nn.Identity(), False), torch.Tensor)

    def test_padding_is_after_an_utterance_and_before_what_a_cache_holds(self):
        padding = padding_mask(torch.tensor([3, 5]), 6, offset=torch.tensor([0, 2]))
        assert padding.int().tolist() == [[0, 0, 0, 1, 1, 1], [1, 1, 0, 0, 0, 1]]


class TestAdapters:
    @pytest.mark.parametrize("attention", ["RelPositionMultiHeadAttention", "MultiHeadAttention"])
    def test_an_adapter_attends_within_its_layers_window_too(self, plain_models, attention):
        kind = "rel_pos" if attention.startswith("Rel") else "abs_pos"
        layers = {"hierarchical_context": {"schedule": [[0, [8, 0]], [1, [16, 0]]]}}
        options = dict(subsampling_factor=2, conv_norm_type="layer_norm", self_attention_model=kind, **layers)
        encoder = plain_models.build_encoder(**options).eval()
        encoder.__class__ = get_registered_adapter(type(encoder)).adapter_class
        config = getattr(adapters, f"{attention}AdapterConfig")(
            n_head=encoder.layers[0].n_heads, n_feat=encoder.d_model
        )
        encoder._cfg = OmegaConf.create({"d_model": encoder.d_model})
        encoder.add_adapter("inside", OmegaConf.structured(config))
        for name, parameter in encoder.named_parameters():
            if "adapter" in name and "linear_out" in name:  # an adapter begins as the identity
                torch.nn.init.normal_(parameter, std=0.5)
        feats, lengths = plain_models.features(270)
        outputs = []
        for enabled, choice in ((False, "never"), (True, "never"), (True, "always")):
            encoder.set_enabled_adapters(enabled=enabled)
            encoder.banded_attention = choice
            outputs.append(encoder(audio_signal=feats, length=lengths)[0])
        assert (outputs[0] - outputs[1]).abs().max() > 1e-2
        torch.testing.assert_close(outputs[2], outputs[1], atol=1e-5, rtol=0)
