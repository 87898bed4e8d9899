# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0


import pytest
import streaming_parts as parts
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nemo.collections.asr.parts.streaming.conformer_layer import FEW_FRAMES, StreamingConvolution, StreamingLayer
from nemo.collections.asr.parts.streaming.export.layer import StepConvolution
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
class TestStreamingLayer:
    @pytest.mark.parametrize("options", [{"conv_norm_type": norm} for norm in NORMS] + [{"use_bias": False}])
    @given(sizes=parts.PIECES)
    @settings(max_examples=10)
    @torch.no_grad()
    def test_pieces_equal_the_whole(self, left, chunk, options, sizes):
        module, x = layer(**options), torch.randn(1, chunk * sum(sizes), parts.D_MODEL)
        streaming = StreamingLayer(module, left, parts.BLOCK, parts.positions(left))
        parts.assert_pieces_make(offline(module, x, left, chunk), streaming, x, left, chunk, sizes)

    @given(chunks=st.integers(1, 4), more=st.integers(1, 6))
    @settings(max_examples=10)
    @torch.no_grad()
    def test_a_prefix_never_changes(self, left, chunk, chunks, more):
        module, x = layer(conv_norm_type="layer_norm"), torch.randn(1, chunk * (chunks + more), parts.D_MODEL)
        streaming = StreamingLayer(module, left, parts.BLOCK, parts.positions(left))
        frames = chunk * chunks
        mask = parts.streaming_mask(left, chunk, 0, frames)
        first = streaming.run(x[:, :frames], streaming.initial_state(1), None, mask)
        for _ in range(2):
            x[:, frames:] = torch.randn_like(x[:, frames:])
            torch.testing.assert_close(first, offline(module, x, left, chunk)[:, :frames], rtol=0, atol=1e-5)


@pytest.mark.parametrize("norm", NORMS)
class TestStreamingConvolution:
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
        streaming = StreamingConvolution(module)
        past = streaming.initial_state(2)
        ours = torch.cat([streaming.run(piece, past, None) for piece in x.split(sizes, dim=1)], dim=1)
        torch.testing.assert_close(ours, module(x), rtol=0, atol=1e-5)

    @given(frames=st.integers(1, 40), more=st.integers(1, 20))
    @settings(max_examples=20)
    @torch.no_grad()
    def test_a_prefix_never_changes(self, norm, frames, more):
        module, x = self.convolution(norm), torch.randn(1, frames + more, parts.D_MODEL)
        streaming = StreamingConvolution(module)
        first = streaming.run(x[:, :frames], streaming.initial_state(1), None)
        for _ in range(2):
            x[:, frames:] = torch.randn_like(x[:, frames:])
            torch.testing.assert_close(first, module(x)[:, :frames], rtol=0, atol=1e-5)

    @torch.no_grad()
    def test_the_exported_one_equals_the_whole(self, norm):
        batch, frames = 2, 9
        module, x = self.convolution(norm), torch.randn(batch, frames, parts.D_MODEL)
        past = torch.zeros(batch, KERNEL_SIZE - 1, parts.D_MODEL)
        windows = torch.arange(frames).unsqueeze(1) + torch.arange(KERNEL_SIZE)
        ours, _ = StepConvolution(module)(x.flatten(0, 1), past, windows, batch, frames)
        torch.testing.assert_close(ours.view_as(x), module(x), rtol=0, atol=1e-5)
