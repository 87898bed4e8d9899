# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nemo.collections.asr.parts.streaming.plan import NO_END, FrameCounts
from nemo.collections.asr.parts.streaming.requirements import subsampling_obstacles
from nemo.collections.asr.parts.streaming.step.edges import Edges
from nemo.collections.asr.parts.streaming.step.past import GraphSubsampling
from nemo.collections.asr.parts.streaming.step.subsampling import StepSubsampling
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
    step = StepSubsampling(module, factor, FEATURES)
    counts = FrameCounts(factor, 1, len(step.stages), 64)
    past = GraphSubsampling([torch.zeros(1, *shape) for shape in step.past_shapes()])
    heard, made, outputs = 0, 0, [feats.new_zeros(1, 0, 8)]
    padded = torch.nn.functional.pad(
        feats, (0, 0, factor - 1, 2 * factor), value=float("nan")
    )  # no frame of the stream
    for i, size in enumerate(sizes):
        plan = counts.plan([heard], [made], [size], [0] if ends and i == len(sizes) - 1 else [])
        for turn in plan.turns:
            (start,), (position,), (end,) = turn.starts, turn.positions, turn.ends
            features = padded.narrow(1, factor - 1 + heard + start, factor * turn.frames)
            edges = Edges(torch.tensor([position]), torch.tensor([end]), position, end < NO_END)
            outputs.append(step(features, past, edges, None))
        (heard,), (made,) = plan.heard, plan.made
    return torch.cat(outputs, dim=1)


@pytest.mark.parametrize("kind, factor", KINDS)
class TestStepSubsampling:
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
