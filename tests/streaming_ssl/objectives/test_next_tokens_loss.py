# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from nemo.collections.asr.losses.ssl_losses.masked_decoding import CHUNK_FRAMES, decode_masked
from nemo.collections.asr.losses.ssl_losses.mlm import MLMLoss, read_log_probs
from nemo.collections.asr.metrics.token_predictions import NextTokenMetrics
from nemo.collections.asr.models.objectives import NextTokens
from nemo.collections.asr.modules.ssl_modules.multi_softmax_decoder import MultiSoftmaxDecoder

DIM, CLASSES = 5, 7


@st.composite
def questions(draw):
    """An objective, a decoder, encoded (B, D, T'), encoded lengths, tokens (B, T, books), token lengths."""
    torch.manual_seed(draw(st.integers(0, 2**32)))
    objective = NextTokens(draw(st.integers(1, 5)), draw(st.integers(0, 2)))
    batch, books, steps = draw(st.integers(1, 3)), draw(st.integers(1, 3)), draw(st.integers(2, 12))
    num_tokens = steps + draw(st.integers(-1, 1))
    decoder = MultiSoftmaxDecoder(DIM, CLASSES, books * objective.tokens_per_step, use_bias=True)
    lengths = torch.tensor(draw(st.lists(st.integers(0, steps), min_size=batch, max_size=batch)))
    token_lengths = (lengths - draw(st.integers(0, 1))).clamp(min=0, max=num_tokens)
    tokens = torch.randint(CLASSES, (batch, num_tokens, books))
    ignored = torch.rand(tokens.shape) < draw(st.sampled_from([0.0, 0.2]))
    tokens = tokens.masked_fill(ignored, -100)
    return objective, decoder, torch.randn(batch, DIM, steps), lengths, tokens, token_lengths


def answers_of(objective, encoded, lengths, tokens, token_lengths):
    return objective.answers(MLMLoss(), encoded.transpose(1, 2), lengths, None, tokens, token_lengths)


def plain_loss(objective, decoder, encoded, lengths, tokens, token_lengths):
    """The mean over utterances, steps, offsets and codebooks, one by one."""
    log_probs = decoder(encoder_output=encoded)
    log_probs, books, terms = log_probs.reshape(*log_probs.shape[:3], -1), tokens.size(2), []
    for b in range(tokens.size(0)):
        for step in range(int(lengths[b])):
            for i, offset in enumerate(objective.offsets):
                for book in range(books):
                    predicted = step + offset
                    if predicted < token_lengths[b] and tokens[b, predicted, book] != -100:
                        terms.append(-log_probs[b, step, tokens[b, predicted, book], i * books + book])
    return torch.stack(terms).mean() if terms else 0.0 * log_probs.sum(), len(terms)


def gradients(loss, decoder, encoded):
    return torch.autograd.grad(loss, [encoded, *decoder.parameters()])


def both_ways(decoder, encoded, answers):
    yield decode_masked(decoder, encoded, answers.targets, answers.in_loss)
    yield read_log_probs(decoder(encoder_output=encoded), answers.targets, answers.in_loss)


class TestNextTokenLoss:
    @given(questions())
    @settings(max_examples=30)
    def test_loss_and_gradients_equal_those_of_loops(self, question):
        objective, decoder, encoded, *others = question
        encoded.requires_grad_()
        expected, count = plain_loss(objective, decoder, encoded, *others)
        expected_gradients = gradients(expected, decoder, encoded)
        for predictions in both_ways(decoder, encoded, answers_of(objective, encoded, *others)):
            assert int(predictions.in_loss.sum()) == count
            torch.testing.assert_close(predictions.loss, expected, rtol=1e-5, atol=1e-6)
            found = gradients(predictions.loss, decoder, encoded)
            torch.testing.assert_close(found, expected_gradients, rtol=1e-4, atol=1e-5)

    @given(questions())
    @settings(max_examples=20)
    def test_padding_may_hold_anything(self, question):
        objective, decoder, encoded, lengths, tokens, token_lengths = question
        before = answers_of(objective, encoded, lengths, tokens, token_lengths)
        outside = torch.arange(tokens.size(1)) >= token_lengths.unsqueeze(1)
        other_tokens = torch.where(outside.unsqueeze(2), (tokens + 1) % CLASSES, tokens)
        unheard = torch.arange(encoded.size(2)) >= lengths.reshape(-1, 1, 1)
        after = answers_of(objective, encoded, lengths, other_tokens, token_lengths)
        for first, second in zip(
            both_ways(decoder, encoded, before), both_ways(decoder, encoded.masked_fill(unheard, 1e3), after)
        ):
            assert torch.equal(first.in_loss, second.in_loss)
            torch.testing.assert_close(first.loss, second.loss)

    @given(questions())
    @settings(max_examples=20)
    def test_a_batch_is_the_sum_of_its_utterances_alone(self, question):
        objective, decoder, encoded, lengths, tokens, token_lengths = question
        whole = decode_masked(decoder, encoded, *self.asked(objective, encoded, lengths, tokens, token_lengths))
        nats, count = 0.0, 0
        for b in range(encoded.size(0)):
            one = [x[b : b + 1] for x in (encoded, lengths, tokens, token_lengths)]
            alone = decode_masked(decoder, one[0], *self.asked(objective, *one))
            nats, count = nats + alone.nats, count + int(alone.in_loss.sum())
        assert count == int(whole.in_loss.sum())
        torch.testing.assert_close(whole.nats, nats, rtol=1e-5, atol=1e-5)

    @staticmethod
    def asked(*arguments):
        answers = answers_of(*arguments)
        return answers.targets, answers.in_loss

    def test_without_a_whole_token_the_loss_is_zero_and_so_are_the_gradients(self):
        objective, decoder = NextTokens(3, 0), MultiSoftmaxDecoder(DIM, CLASSES, 3, use_bias=True)
        encoded, nothing = torch.randn(2, DIM, 4, requires_grad=True), torch.zeros(2, dtype=torch.long)
        answers = answers_of(objective, encoded, nothing + 1, torch.zeros(2, 4, 1, dtype=torch.long), nothing)
        for predictions in both_ways(decoder, encoded, answers):
            assert predictions.loss == 0
            assert all((grad == 0).all() for grad in gradients(predictions.loss, decoder, encoded))

    def test_under_autocast_it_is_as_exact_as_decoding_everything(self):
        objective, decoder = NextTokens(4, 0), MultiSoftmaxDecoder(DIM, CLASSES, 8, use_bias=True)
        encoded, lengths = torch.randn(2, DIM, 40, requires_grad=True), torch.tensor([40, 25])
        answers = answers_of(objective, encoded, lengths, torch.randint(CLASSES, (2, 40, 2)), lengths)
        truth = gradients(list(both_ways(decoder, encoded, answers))[1].loss, decoder, encoded)
        with torch.autocast("cpu", torch.bfloat16):
            losses = [predictions.loss for predictions in both_ways(decoder, encoded, answers)]
        ours, naive = (
            [float((a - b).abs().max()) for a, b in zip(gradients(loss, decoder, encoded), truth)] for loss in losses
        )
        assert all(a <= 2 * b + 1e-4 for a, b in zip(ours, naive))

    def test_tokens_of_many_more_steps_are_refused(self):
        with pytest.raises(ValueError):
            answers_of(
                NextTokens(2, 0), torch.zeros(1, DIM, 4), torch.tensor([4]), torch.zeros(1, 32, 1), torch.tensor([32])
            )


class Largest(TorchDispatchMode):
    """Remembers how many numbers the largest tensor has that is made."""

    numbers = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        made = func(*args, **(kwargs or {}))
        sizes = (x.numel() for x in tree_leaves(made) if isinstance(x, torch.Tensor))
        self.numbers = max(self.numbers, *sizes, 0)
        return made


class TestMemoryAndDevices:
    @pytest.mark.parametrize("horizon, books", [(1, 1), (4, 2)])
    def test_what_is_made_does_not_grow_with_steps_and_offsets(self, horizon, books):
        objective, classes, steps = NextTokens(horizon, 0), 500, 600
        decoder = MultiSoftmaxDecoder(DIM, classes, horizon * books)
        encoded, lengths = torch.randn(1, DIM, steps, requires_grad=True), torch.tensor([steps])
        answers = answers_of(objective, encoded, lengths, torch.randint(classes, (1, steps, books)), lengths)
        with Largest() as largest:
            decode_masked(decoder, encoded, answers.targets, answers.in_loss).loss.backward()
        assert largest.numbers <= CHUNK_FRAMES["cpu"] * classes < steps * classes

    @staticmethod
    def counted(device, metrics):
        """Counts made-up predictions on a device."""
        lengths = torch.empty(2, device=device, dtype=torch.long)
        tokens = torch.empty(2, 9, 2, device=device, dtype=torch.long)
        log_probs = torch.empty(2, 10, CLASSES, 6, device=device)
        answers = NextTokens(3, 0).answers(MLMLoss(), log_probs, lengths, None, tokens, lengths)
        predictions = read_log_probs(log_probs, answers.targets, answers.in_loss)
        if metrics is not None:
            metrics.update(predictions, answers.tokens, answers.lengths)
        assert predictions.loss.device == log_probs.device and predictions.loss.shape == ()

    def test_nothing_waits_for_the_device(self):
        with FakeTensorMode():
            self.counted("cuda:0", None)
        # on `meta`, as on a GPU, no value can be looked at without an error or a wait
        metrics = NextTokenMetrics(CLASSES, 2, range(3)).to("meta")
        self.counted("meta", metrics)
        assert all(value.is_meta for value in (*metrics.shown().values(), *metrics.compute().values()))

    @pytest.mark.run_only_on("GPU")
    def test_on_a_gpu_loss_gradients_and_counts_are_the_cpus(self):
        objective, decoder = NextTokens(4, 0), MultiSoftmaxDecoder(DIM, CLASSES, 8, use_bias=True)
        encoded, lengths = torch.randn(2, DIM, 40, requires_grad=True), torch.tensor([40, 25])
        tokens, found = torch.randint(CLASSES, (2, 40, 2)), []
        for device in ("cpu", "cuda"):
            here = decoder.to(device), encoded.detach().to(device).requires_grad_()
            answers = answers_of(objective, here[1], *(x.to(device) for x in (lengths, tokens, lengths)))
            metrics = NextTokenMetrics(CLASSES, 2, objective.offsets).to(device)
            predictions = decode_masked(*here, answers.targets, answers.in_loss)
            metrics.update(predictions, answers.tokens, answers.lengths)
            values = [predictions.loss, *gradients(predictions.loss, *here), *metrics.compute().values()]
            found.append([value.cpu() for value in values])
        torch.testing.assert_close(*found, rtol=1e-4, atol=1e-5)


class TestNextTokenMetrics:
    @given(questions())
    @settings(max_examples=20)
    def test_each_offset_is_counted_by_itself(self, question):
        objective, decoder, encoded, lengths, tokens, token_lengths = question
        tokens = tokens.clamp(min=0)
        answers = answers_of(objective, encoded, lengths, tokens, token_lengths)
        metrics = NextTokenMetrics(CLASSES, tokens.size(2), objective.offsets)
        with torch.no_grad():
            metrics.update(
                decode_masked(decoder, encoded, answers.targets, answers.in_loss), answers.tokens, answers.lengths
            )
            log_probs = decoder(encoder_output=encoded).reshape(encoded.size(0), encoded.size(2), CLASSES, -1)
        values = metrics.compute()
        assert "masked_share" not in values
        books = tokens.size(2)
        for i, offset in enumerate(objective.offsets):
            at = slice(i * books, (i + 1) * books)
            counted, targets, said = answers.in_loss[..., at], answers.targets[..., at], log_probs[..., at]
            steps = counted.size(1)
            nats = F.nll_loss(said[:, :steps].transpose(1, 2), targets[:, :steps], reduction="none")[counted]
            right = (said.argmax(dim=2)[:, :steps] == targets[:, :steps])[counted]
            count = max(1, int(counted.sum()))
            bits = float(nats.sum()) / count / torch.log(torch.tensor(2.0))
            assert float(values[f"accuracy_at_{offset}"]) == pytest.approx(float(right.sum()) / count, rel=1e-5)
            assert float(values[f"loss_bits_at_{offset}"]) == pytest.approx(float(bits), rel=1e-4, abs=1e-6)
            assert float(metrics.shown()[f"acc_{offset}"]) == pytest.approx(float(right.sum()) / count, rel=1e-5)
