# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0


import pytest
import streaming_parts as parts
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nemo.collections.asr.parts.streaming.step.attention import Piece, StepAttention
from nemo.collections.asr.parts.streaming.step.past import GraphLayer
from nemo.collections.asr.parts.submodules.multi_head_attention import RelPositionMultiHeadAttention

# in a fork, too, where `tests` is NeMo's


def attention(**options):
    made = RelPositionMultiHeadAttention(
        n_head=2, n_feat=parts.D_MODEL, dropout_rate=0.1, pos_bias_u=None, pos_bias_v=None, **options
    )
    return parts.randomize(made)


def offline(module, x, left, chunk):
    _, pos_emb = parts.encoding()(x=x)
    return module(query=x, key=x, value=x, mask=parts.hidden(x.size(1), left, chunk), pos_emb=pos_emb)


@pytest.mark.parametrize("left, chunk", parts.CONTEXTS)
class TestStepAttention:
    @pytest.mark.parametrize("options", [{}, {"use_bias": False}, {"use_pytorch_sdpa": True}])
    @given(sizes=parts.PIECES)
    @settings(max_examples=10)
    @torch.no_grad()
    def test_pieces_equal_the_whole(self, left, chunk, options, sizes):
        module, x = attention(**options), torch.randn(1, chunk * sum(sizes), parts.D_MODEL)
        step, state = StepAttention(module, *parts.sizes_of(left, chunk)), parts.layer_state(1, left)
        parts.assert_pieces_make(offline(module, x, left, chunk), step, state, x, left, chunk, sizes)

    @pytest.mark.parametrize("shorter", [0, 3])
    @given(pieces=st.integers(1, 8))
    @settings(max_examples=10)
    @torch.no_grad()
    def test_folded_and_with_a_shorter_past_chunks_equal_the_whole(self, left, chunk, shorter, pieces):
        seen = max(0, left - shorter)
        module, x = attention(), torch.randn(1, chunk * pieces, parts.D_MODEL)
        step = StepAttention(module, *parts.sizes_of(left, chunk), folded=True)
        past = GraphLayer(*torch.zeros(2, 1, 2, seen, parts.D_MODEL // 2), torch.empty(1, 0, parts.D_MODEL))
        expected = offline(module, x, seen, chunk)
        parts.assert_pieces_make(expected, step, past, x, seen, chunk, [1] * pieces)

    @given(chunks=st.integers(1, 4), more=st.integers(1, 6))
    @settings(max_examples=10)
    @torch.no_grad()
    def test_a_prefix_never_changes(self, left, chunk, chunks, more):
        module, x = attention(), torch.randn(1, chunk * (chunks + more), parts.D_MODEL)
        step, state = StepAttention(module, *parts.sizes_of(left, chunk)), parts.layer_state(1, left)
        frames = chunk * chunks
        mask = parts.streaming_mask(left, chunk, [0], frames)
        first = step(x[:, :frames], state, mask, Piece(1, frames))
        for _ in range(2):
            x[:, frames:] = torch.randn_like(x[:, frames:])
            torch.testing.assert_close(first, offline(module, x, left, chunk)[:, :frames], rtol=0, atol=1e-5)

    @given(data=st.data())
    @settings(max_examples=10)
    @torch.no_grad()
    def test_streams_that_go_on_alone_leave_the_others_alone(self, left, chunk, data):
        module, x = attention(), torch.randn(3, 8 * chunk, parts.D_MODEL)
        step, state = StepAttention(module, *parts.sizes_of(left, chunk)), parts.layer_state(3, left)
        done, outputs = [0] * 3, [[], [], []]
        for _ in range(8):
            rows = data.draw(
                st.lists(st.sampled_from([r for r in range(3) if done[r] < x.size(1)] or [0]), unique=True)
            )
            rows = [row for row in rows if done[row] < x.size(1)]
            if not rows:
                continue
            piece = torch.stack([x[row, done[row] : done[row] + chunk] for row in rows])
            mask = parts.streaming_mask(left, chunk, [done[row] for row in rows], chunk)
            index = torch.tensor(rows) if len(rows) < 3 or rows != sorted(rows) else None
            for row, out in zip(rows, step(piece, state, mask, Piece(len(rows), chunk, index))):
                outputs[row].append(out)
                done[row] += chunk
        for row in range(3):
            if done[row]:
                expected = offline(module, x[row : row + 1, : done[row]], left, chunk)[0]
                torch.testing.assert_close(torch.cat(outputs[row]), expected, rtol=0, atol=1e-5)
