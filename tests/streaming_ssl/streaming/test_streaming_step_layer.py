# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0


import pytest
import streaming_parts as parts
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nemo.collections.asr.parts.streaming.step.attention import Piece
from nemo.collections.asr.parts.streaming.step.layer import FEW_FRAMES, StepConvolution, StepLayer
from nemo.collections.asr.parts.streaming.step.past import GraphLayer
from nemo.collections.asr.parts.submodules.conformer_modules import ConformerConvolution, ConformerLayer

# in a fork, too, where `tests` is NeMo's


KERNEL_SIZE = 5
NORMS = ["layer_norm", "batch_norm"]


def layer(**options):
    made = ConformerLayer(
        d_model=parts.D_MODEL,
        d_ff=32,
        n_heads=2,
        conv_kernel_size=KERNEL_SIZE,
        conv_context_size=[KERNEL_SIZE - 1, 0],
        **options,
    )
    return parts.randomize(made)


def offline(module, x, left, chunk):
    _, pos_emb = parts.encoding()(x=x)
    return module(x=x, att_mask=parts.hidden(x.size(1), left, chunk), pos_emb=pos_emb)


@pytest.mark.parametrize("left, chunk", parts.CONTEXTS)
class TestStepLayer:
    @pytest.mark.parametrize("options", [{"conv_norm_type": norm} for norm in NORMS] + [{"use_bias": False}])
    @given(sizes=parts.PIECES)
    @settings(max_examples=10)
    @torch.no_grad()
    def test_pieces_equal_the_whole(self, left, chunk, options, sizes):
        module, x = layer(**options), torch.randn(1, chunk * sum(sizes), parts.D_MODEL)
        step, state = StepLayer(module, *parts.sizes_of(left, chunk)), parts.layer_state(1, left, KERNEL_SIZE)
        parts.assert_pieces_make(offline(module, x, left, chunk), step, state, x, left, chunk, sizes)

    @given(chunks=st.integers(1, 4), more=st.integers(1, 6))
    @settings(max_examples=10)
    @torch.no_grad()
    def test_a_prefix_never_changes(self, left, chunk, chunks, more):
        module, x = layer(conv_norm_type="layer_norm"), torch.randn(1, chunk * (chunks + more), parts.D_MODEL)
        step, state = StepLayer(module, *parts.sizes_of(left, chunk)), parts.layer_state(1, left, KERNEL_SIZE)
        frames = chunk * chunks
        mask = parts.streaming_mask(left, chunk, [0], frames)
        first = step(x[:, :frames], state, mask, Piece(1, frames))
        for _ in range(2):
            x[:, frames:] = torch.randn_like(x[:, frames:])
            torch.testing.assert_close(first, offline(module, x, left, chunk)[:, :frames], rtol=0, atol=1e-5)


@pytest.mark.parametrize("norm", NORMS)
class TestStepConvolution:
    @staticmethod
    def convolution(norm):
        made = ConformerConvolution(
            d_model=parts.D_MODEL,
            kernel_size=KERNEL_SIZE,
            norm_type=norm,
            conv_context_size=[KERNEL_SIZE - 1, 0],
        )
        return parts.randomize(made)

    # few frames are a weighted sum, more are a convolution
    @given(
        sizes=st.lists(st.sampled_from([1, 2, KERNEL_SIZE, FEW_FRAMES, FEW_FRAMES + 1, 40]), min_size=1, max_size=6)
    )
    @settings(max_examples=20)
    @torch.no_grad()
    def test_pieces_equal_the_whole(self, norm, sizes):
        module, x = self.convolution(norm), torch.randn(2, sum(sizes), parts.D_MODEL)
        step, past = StepConvolution(module), parts.layer_state(2, 0, KERNEL_SIZE)
        ours = torch.cat([step(piece, past, Piece(*piece.shape[:2])) for piece in x.split(sizes, dim=1)], dim=1)
        torch.testing.assert_close(ours, module(x), rtol=0, atol=1e-5)

    @given(frames=st.integers(1, 40), more=st.integers(1, 20))
    @settings(max_examples=20)
    @torch.no_grad()
    def test_a_prefix_never_changes(self, norm, frames, more):
        module, x = self.convolution(norm), torch.randn(1, frames + more, parts.D_MODEL)
        first = StepConvolution(module)(x[:, :frames], parts.layer_state(1, 0, KERNEL_SIZE), Piece(1, frames))
        for _ in range(2):
            x[:, frames:] = torch.randn_like(x[:, frames:])
            torch.testing.assert_close(first, module(x)[:, :frames], rtol=0, atol=1e-5)

    @torch.no_grad()
    def test_folded_it_equals_the_whole(self, norm):
        batch, frames = 2, 9
        module, x = self.convolution(norm), torch.randn(batch, frames, parts.D_MODEL)
        past = GraphLayer(*torch.empty(2, 0), torch.zeros(batch, KERNEL_SIZE - 1, parts.D_MODEL))
        windows = torch.arange(frames).unsqueeze(1) + torch.arange(KERNEL_SIZE)
        step = StepConvolution(module, folded=True)
        ours = step(x.flatten(0, 1), past, Piece(batch, frames, windows=windows))
        torch.testing.assert_close(ours.view_as(x), module(x), rtol=0, atol=1e-5)
