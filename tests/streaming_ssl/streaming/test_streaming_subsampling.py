# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nemo.collections.asr.parts.streaming.requirements import subsampling_obstacles
from nemo.collections.asr.parts.streaming.subsampling import StreamingSubsampling
from nemo.collections.asr.parts.submodules.subsampling import ConvSubsampling

FEATURES = 16
KINDS = [("dw_striding", 8), ("striding", 4), ("dw_striding", 2), ("linear", 1)]
SIZES = st.lists(st.integers(0, 30), min_size=1, max_size=6).filter(any)


def subsampling(kind, factor, causal=True):
    if kind == "linear":
        return torch.nn.Linear(FEATURES, 8).eval()
    options = dict(feat_in=FEATURES, feat_out=8, conv_channels=4, activation=torch.nn.ReLU(), is_causal=causal)
    return ConvSubsampling(subsampling=kind, subsampling_factor=factor, **options).eval()


def offline(module, feats):
    if isinstance(module, torch.nn.Linear):
        return module(feats)
    encoded, lengths = module(x=feats, lengths=torch.tensor([feats.size(1)]))
    return encoded[:, : lengths[0]]


def streamed(module, factor, feats, sizes, ends=True):
    """(1, F, D) in pieces of these sizes -> (1, T, D')"""
    streaming = StreamingSubsampling(module, factor, 1, FEATURES)
    state, outputs, heard, used = streaming.initial_state(1), [feats.new_zeros(1, 0, 8)], 0, 0
    before = torch.cat([feats.new_zeros(1, 1, FEATURES), feats], dim=1)  # frame i is at i + 1

    def take(features, end):
        nonlocal used
        inputs = before[:, used : used + 1 + features]
        outputs.append(streaming.run(state, inputs, None, used == 0, end))
        used += features

    for size in sizes:
        heard += size
        frames = streaming.ready(heard - used, used == 0)
        if frames:
            take(streaming.needed(frames, used == 0), False)
    rest = streaming.rest(heard - used, used == 0)
    if ends and rest:
        take(heard - used, True)
        assert outputs[-1].size(1) == rest
    return torch.cat(outputs, dim=1)


@pytest.mark.parametrize("kind, factor", KINDS)
class TestStreamingSubsampling:
    @given(sizes=SIZES)
    @settings(max_examples=25)
    @torch.no_grad()
    def test_pieces_equal_the_whole(self, kind, factor, sizes):
        module, feats = subsampling(kind, factor), torch.randn(1, sum(sizes), FEATURES)
        ours = streamed(module, factor, feats, sizes)
        torch.testing.assert_close(ours, offline(module, feats), rtol=0, atol=1e-5)

    @given(sizes=SIZES, more=st.integers(1, 40))
    @settings(max_examples=25)
    @torch.no_grad()
    def test_a_prefix_never_changes(self, kind, factor, sizes, more):
        module, feats = subsampling(kind, factor), torch.randn(1, sum(sizes) + more, FEATURES)
        first = streamed(module, factor, feats, sizes, ends=False)
        assert first.size(1) == -(-sum(sizes) // factor)  # frame k comes as soon as feature frame factor * k is there
        for _ in range(2):
            feats[:, sum(sizes) :] = torch.randn(1, more, FEATURES)
            torch.testing.assert_close(first, offline(module, feats)[:, : first.size(1)], rtol=0, atol=1e-5)


def test_what_is_not_causal_is_in_the_way():
    assert not list(subsampling_obstacles(subsampling("dw_striding", 8)))
    (obstacle,) = subsampling_obstacles(subsampling("striding", 4, causal=False))
    assert obstacle.part == "downsampling" and "causal_downsampling=true" in obstacle.what
