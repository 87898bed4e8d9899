# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch._subclasses.fake_tensor import FakeTensorMode

from nemo.collections.asr.losses.ssl_losses.mlm import MLMLoss, MultiMLMLoss

FRAMES = 8  # mask frames per encoder step


def frame_masks(flags, features=3):
    """(B, T) booleans per encoder step -> (B, D, T * FRAMES) masks."""
    return flags.float().repeat_interleave(FRAMES, dim=1).unsqueeze(1).repeat(1, features, 1)


def by_hand(log_probs, targets, flags, lengths=None):
    """The mean over masked steps, step by step in double precision; targets (B, T) or (B, T, H)."""
    losses = []
    for b, t in flags.nonzero().tolist():
        if t < min(log_probs.size(1), targets.size(1)) and (lengths is None or t < lengths[b]):
            for book in range(targets.size(2)):
                losses.append(-log_probs[b, t, targets[b, t, book], book].double())
    return torch.stack(losses).mean() if losses else torch.tensor(0.0, dtype=torch.double)


@st.composite
def batches(draw):
    """Decoder outputs, targets and flags for each step, whose lengths are at most two apart; and decoder lengths."""
    torch.manual_seed(draw(st.integers(0, 2**32)))
    batch, classes, books = draw(st.integers(1, 3)), draw(st.sampled_from([2, 11])), draw(st.sampled_from([1, 4]))
    shortest = draw(st.integers(0, 12))
    outputs, targets, flags = (shortest + draw(st.integers(0, 2)) for _ in range(3))
    log_probs = torch.randn(batch, outputs, classes, books).log_softmax(dim=2)
    share = draw(st.sampled_from([0.0, 0.4, 1.0]))
    lengths = draw(st.one_of(st.none(), st.lists(st.integers(0, 14), min_size=batch, max_size=batch)))
    return (
        log_probs,
        torch.randint(classes, (batch, targets, books)),
        torch.rand(batch, flags) < share,
        None if lengths is None else torch.tensor(lengths),
    )


class TestMLMLoss:
    @given(batches())
    def test_is_the_mean_over_masked_steps_that_everyone_has(self, batch):
        log_probs, targets, flags, lengths = batch
        log_probs.requires_grad_()
        multi = MultiMLMLoss(combine_time_steps=FRAMES, num_decoders=log_probs.size(3))
        loss = multi(masks=frame_masks(flags), decoder_outputs=log_probs, targets=targets, decoder_lengths=lengths)
        torch.testing.assert_close(loss.double(), by_hand(log_probs, targets, flags, lengths), rtol=1e-5, atol=1e-6)
        (gradient,) = torch.autograd.grad(loss, log_probs)
        assert gradient.isfinite().all()
        single = MLMLoss(combine_time_steps=FRAMES)
        losses = [
            single(
                masks=frame_masks(flags),
                decoder_outputs=log_probs[..., book],
                targets=targets[..., book],
                decoder_lengths=lengths,
            )
            for book in range(log_probs.size(3))
        ]
        torch.testing.assert_close(torch.stack(losses).mean(), loss)

    @given(st.integers(0, 2**32), st.integers(1, 12), st.sampled_from([0.3, 0.8]), st.sampled_from([1, 3, 8]))
    def test_equals_nemo_where_nemo_works(self, seed, steps, threshold, combine):
        from nemo.collections.asr.losses.ssl_losses import _mlm_base as plain

        torch.manual_seed(seed)
        masks = (torch.rand(2, 5, steps * combine) < threshold).float()
        masks[0, :, :combine] = 1
        log_probs = torch.randn(2, steps, 7, 2).log_softmax(dim=2)
        targets = torch.randint(7, (2, steps, 2))
        targets[1, steps // 2] = -100  # the index that NeMo's NLLLoss ignores
        options = dict(combine_time_steps=combine, mask_threshold=threshold, num_decoders=2)
        inputs = dict(masks=masks, decoder_outputs=log_probs, targets=targets)
        torch.testing.assert_close(
            MultiMLMLoss(**options)(**inputs), plain.MultiMLMLoss(**options)(**inputs), equal_nan=True
        )

    @pytest.mark.fix1(
        fails_with=IndexError, match=r"mask \[32, 210\] at index 1 does not match .* \[32, 2(11|09), 8192\]"
    )
    @pytest.mark.parametrize("decoder_steps", [211, 209])
    def test_decoder_one_step_longer_or_shorter_than_the_mask(self, decoder_steps):
        log_probs = torch.randn(32, decoder_steps, 8192).log_softmax(dim=2)
        targets = torch.randint(8192, (32, 210))
        flags = torch.rand(32, 210) < 0.3
        loss = MLMLoss(combine_time_steps=FRAMES)(
            spec_masks=frame_masks(flags), decoder_outputs=log_probs, targets=targets
        )
        torch.testing.assert_close(
            loss.double(), by_hand(log_probs.unsqueeze(3), targets.unsqueeze(2), flags), rtol=1e-5, atol=1e-5
        )

    @pytest.mark.fix1(fails_with=RuntimeError, match=r"shape '\[2, 5, -1\]' is invalid for input of size")
    @pytest.mark.parametrize("frames", [1 + 5 * FRAMES, 7 + 5 * FRAMES])
    def test_an_incomplete_last_group_counts_as_partly_not_masked(self, frames):
        log_probs = torch.randn(2, 6, 11, 1).log_softmax(dim=2)
        targets = torch.randint(11, (2, 6, 1))
        loss = MultiMLMLoss(combine_time_steps=FRAMES)(
            masks=torch.ones(2, 3, frames), decoder_outputs=log_probs, targets=targets
        )
        flags = torch.ones(2, 6, dtype=torch.bool)
        flags[:, 5] = frames % FRAMES / FRAMES > 0.8
        torch.testing.assert_close(loss.double(), by_hand(log_probs, targets, flags), rtol=1e-5, atol=1e-6)

    @pytest.mark.fix1(fails_with=AssertionError, match=r"assert tensor\(nan")
    @pytest.mark.parametrize("books", [1, 4])
    def test_without_a_masked_step_the_loss_is_zero_and_connected_to_every_decoder(self, books):
        decoders = [torch.randn(2, 5, 11, requires_grad=True) for _ in range(books)]
        loss = MultiMLMLoss(combine_time_steps=FRAMES, num_decoders=books)(
            masks=torch.zeros(2, 3, 5 * FRAMES),
            decoder_outputs=torch.stack(decoders, dim=3).log_softmax(dim=2),
            targets=torch.randint(11, (2, 5, books)),
        )
        loss.backward()
        assert loss == 0
        assert all(torch.equal(decoder.grad, torch.zeros_like(decoder)) for decoder in decoders)

    def test_on_a_gpu_nothing_waits_for_the_device(self):
        with FakeTensorMode():
            log_probs = torch.empty(2, 11, 7, device="cuda:0")
            loss = MLMLoss(combine_time_steps=FRAMES)(
                masks=torch.empty(2, 3, 10 * FRAMES, device="cuda:0"),
                decoder_outputs=log_probs,
                targets=torch.empty(2, 10, device="cuda:0", dtype=torch.long),
                decoder_lengths=torch.empty(2, device="cuda:0", dtype=torch.long),
            )
            assert loss.device == log_probs.device and loss.shape == ()

    @pytest.mark.run_only_on("GPU")
    @pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
    def test_on_a_gpu_the_loss_is_the_cpus(self, dtype):
        log_probs = torch.randn(4, 211, 64, 2).log_softmax(dim=2).to(dtype)
        targets, flags = torch.randint(64, (4, 210, 2)), torch.rand(4, 210) < 0.3
        loss = MultiMLMLoss(combine_time_steps=FRAMES, num_decoders=2)
        inputs = dict(masks=frame_masks(flags).to(dtype), decoder_outputs=log_probs, targets=targets)
        on_gpu = loss(**{name: value.cuda() for name, value in inputs.items()})
        torch.testing.assert_close(on_gpu.cpu(), loss(**inputs), rtol=1e-4, atol=1e-5)

    def test_sums_of_half_precision_do_not_overflow(self):
        log_probs = torch.full((8, 1000, 2), -40.0, dtype=torch.float16)
        loss = MLMLoss()(
            masks=torch.ones(8, 3, 1000), decoder_outputs=log_probs, targets=torch.zeros(8, 1000, dtype=torch.long)
        )
        assert loss == 40 and loss.dtype == torch.float32

    def test_without_a_mask_every_step_is_in_the_loss(self):
        log_probs = torch.randn(2, 6, 11).log_softmax(dim=2)
        targets = torch.randint(11, (2, 6))
        expected = by_hand(log_probs.unsqueeze(3), targets.unsqueeze(2), torch.ones(2, 6, dtype=torch.bool))
        loss = MLMLoss()(decoder_outputs=log_probs, targets=targets)
        torch.testing.assert_close(loss.double(), expected, rtol=1e-5, atol=1e-6)

    @pytest.mark.parametrize("decoder, target, mask", [(13, 10, 10), (10, 7, 10), (10, 10, 80)])
    def test_a_mismatch_of_more_than_two_steps_is_a_configuration_error(self, decoder, target, mask):
        with pytest.raises(ValueError, match=rf"\(2, {decoder}, 11\).*\(2, {target}\).*\(2, {mask}\)"):
            MLMLoss()(
                masks=torch.ones(2, 3, mask),
                decoder_outputs=torch.randn(2, decoder, 11),
                targets=torch.randint(11, (2, target)),
            )

    def test_both_losses_need_labels(self):
        assert MLMLoss().needs_labels and MultiMLMLoss().needs_labels
