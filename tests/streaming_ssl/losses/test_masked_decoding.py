# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nemo.collections.asr.losses.ssl_losses import masked_decoding as module
from nemo.collections.asr.losses.ssl_losses._mlm_base import MultiMLMLoss as PlainMultiMLMLoss
from nemo.collections.asr.losses.ssl_losses.masked_decoding import can_decode_masked, decode_masked
from nemo.collections.asr.losses.ssl_losses.mlm import MLMLoss, MultiMLMLoss, read_log_probs
from nemo.collections.asr.models import EncDecDenoiseMaskedTokenPredModel, EncDecMaskedTokenPredModel
from nemo.collections.asr.modules.ssl_modules.multi_softmax_decoder import MultiSoftmaxDecoder

DIM, CLASSES = 6, 11

GROUPS = []


def build(books=1, **options):
    torch.manual_seed(0)
    return MultiSoftmaxDecoder(DIM, CLASSES, books, **{"use_bias": True, **options})


def gradients(loss, decoder, encoded):
    return torch.autograd.grad(loss, [encoded, *decoder.parameters()])


@st.composite
def batches(draw):
    """encoded (B, D, T'), targets (B, T'', H), in_loss (B, T, H), of which each T may be the smallest."""
    torch.manual_seed(draw(st.integers(0, 2**32)))
    batch, books, steps = draw(st.integers(1, 3)), draw(st.sampled_from([1, 2, 4])), draw(st.integers(1, 30))
    encoded = torch.randn(batch, DIM, steps + draw(st.integers(0, 2)), requires_grad=True)
    targets = torch.randint(CLASSES, (batch, steps + draw(st.integers(0, 2)), books))
    in_loss = torch.rand(batch, steps, 1).expand(-1, -1, books) < draw(st.sampled_from([0.0, 0.3, 1.0]))
    if draw(st.booleans()):
        in_loss = in_loss & (torch.rand(batch, steps, books) < 0.7)  # targets that are ignored
    return encoded, targets, in_loss


class TestDecodeMasked:
    @given(batches(), st.booleans(), st.sampled_from([1, 3, 256]))
    @settings(max_examples=100)
    def test_loss_and_gradients_equal_those_of_decoding_everything(self, batch, use_bias, chunk):
        encoded, targets, in_loss = batch
        decoder = build(targets.size(2), use_bias=use_bias)
        full = read_log_probs(decoder(encoder_output=encoded), targets, in_loss)
        with pytest.MonkeyPatch.context() as patch:
            patch.setitem(module.CHUNK_FRAMES, "cpu", chunk)
            ours = decode_masked(decoder, encoded, targets, in_loss)
        torch.testing.assert_close(ours.loss, full.loss, rtol=1e-5, atol=1e-6)
        assert ours.num_correct == full.num_correct and torch.equal(ours.in_loss, full.in_loss)
        torch.testing.assert_close(
            gradients(7.0 * ours.loss, decoder, encoded),
            gradients(7.0 * full.loss, decoder, encoded),
            rtol=1e-4,
            atol=1e-5,
        )

    def test_equals_nemos_decoder_and_loss(self):
        decoder, encoded = build(books=2), torch.randn(3, DIM, 20, requires_grad=True)
        flags, targets = torch.rand(3, 20) < 0.4, torch.randint(CLASSES, (3, 20, 2))
        masks = flags.repeat_interleave(8, dim=1).unsqueeze(1).expand(-1, 5, -1).float()
        loss = PlainMultiMLMLoss(combine_time_steps=8, mask_threshold=0.8, num_decoders=2)
        theirs = loss(masks=masks, decoder_outputs=decoder(encoder_output=encoded), targets=targets)
        ours = decode_masked(decoder, encoded, targets, flags.unsqueeze(2).expand(-1, -1, 2)).loss
        torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-6)
        torch.testing.assert_close(gradients(ours, decoder, encoded), gradients(theirs, decoder, encoded))

    def test_an_unlikely_token_has_a_finite_loss(self):
        decoder, encoded = build(), torch.randn(1, DIM, 5)
        in_loss, targets = torch.ones(1, 5, 1, dtype=torch.bool), torch.zeros(1, 5, 1, dtype=torch.long)
        with torch.no_grad():
            decoder.decoder_layers[0].bias[1] = 1000.0
        predictions = decode_masked(decoder, encoded, targets, in_loss)
        expected = read_log_probs(decoder(encoder_output=encoded), targets, in_loss)
        assert 900 < predictions.loss < 1100 and predictions.num_correct == 0
        torch.testing.assert_close(predictions.loss, expected.loss)

    def test_without_a_gradient_nothing_is_made_for_one(self):
        decoder, encoded = build(), torch.randn(1, DIM, 5)
        targets, in_loss = torch.zeros(1, 5, 1, dtype=torch.long), torch.ones(1, 5, 1, dtype=torch.bool)
        with torch.no_grad(), pytest.MonkeyPatch.context() as patch:
            patch.setattr(module, "_Gradients", None)
            assert decode_masked(decoder, encoded, targets, in_loss).loss.isfinite()

    @pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
    def test_under_autocast_it_is_as_exact_as_decoding_everything(self, dtype):
        decoder, encoded = build(books=2), torch.randn(2, DIM, 40, requires_grad=True)
        targets, in_loss = torch.randint(CLASSES, (2, 40, 2)), torch.rand(2, 40, 1).expand(-1, -1, 2) < 0.5
        truth = gradients(read_log_probs(decoder(encoder_output=encoded), targets, in_loss).loss, decoder, encoded)
        errors = []
        for everything in (False, True):
            with torch.autocast("cpu", dtype):
                if everything:
                    loss = read_log_probs(decoder(encoder_output=encoded), targets, in_loss).loss
                else:
                    loss = decode_masked(decoder, encoded, targets, in_loss).loss
            assert loss.dtype == torch.float32
            scaled = gradients(65536.0 * loss, decoder, encoded)  # as a gradient scaler does
            assert all(a.dtype == b.dtype for a, b in zip(scaled, truth))
            errors.append([float((a / 65536.0 - b).abs().max()) for a, b in zip(scaled, truth)])
        for ours, all_steps in zip(*errors):
            assert ours <= 2 * all_steps + 1e-4  # gradients are rounded twice: before and after the factor

    def test_gradients_add_up_over_batches(self):
        decoder, sums = build(), []
        for function in (decode_masked, lambda d, e, *rest: read_log_probs(d(encoder_output=e), *rest)):
            torch.manual_seed(1)
            decoder.zero_grad()
            for _ in range(3):
                encoded, targets = torch.randn(2, DIM, 9), torch.randint(CLASSES, (2, 9, 1))
                function(decoder, encoded, targets, torch.rand(2, 9, 1) < 0.5).loss.backward()
            sums.append([p.grad.clone() for p in decoder.parameters()])
        torch.testing.assert_close(*sums)

    def test_with_ddp_every_parameter_gets_a_gradient_even_if_nothing_is_masked(self, tmp_path):
        class Step(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.encoder, self.decoder = torch.nn.Conv1d(DIM, DIM, 1), build()

            def forward(self, feats, in_loss):
                targets = torch.zeros(*in_loss.shape, dtype=torch.long)
                return decode_masked(self.decoder, self.encoder(feats), targets, in_loss).loss

        torch.distributed.init_process_group("gloo", f"file://{tmp_path / 'store'}", rank=0, world_size=1)
        try:
            model = torch.nn.parallel.DistributedDataParallel(Step())
            for share in (0.0, 0.5, 0.0):
                model.zero_grad()
                loss = model(torch.randn(2, DIM, 8), torch.rand(2, 8, 1) < share)
                loss.backward()
                assert loss.isfinite() and all(p.grad is not None for p in model.parameters())
                assert (loss == 0) == (share == 0) == all((p.grad == 0).all() for p in model.parameters())
        finally:
            # kept: its destructor waits, with Python's lock, for a thread that may need the lock to end the last step
            GROUPS.append(torch.distributed.group.WORLD)
            torch.distributed.destroy_process_group()

    def test_only_a_plain_linear_decoder_is_known(self):
        class Own(MultiSoftmaxDecoder):
            pass

        hooked, deeper = build(), build()
        hooked.decoder_layers[0].register_forward_hook(lambda *_: None)
        deeper.decoder_layers.append(torch.nn.ReLU())
        loss = MultiMLMLoss()
        assert can_decode_masked(build(), loss) and can_decode_masked(build(), MLMLoss())
        others = (Own(DIM, CLASSES), hooked, deeper, torch.nn.Linear(2, 2))
        assert not any(can_decode_masked(decoder, loss) for decoder in others)
        assert not can_decode_masked(build(), torch.nn.NLLLoss())

    @pytest.mark.run_only_on("GPU")
    def test_on_a_gpu(self):
        decoder, encoded = build(books=2).cuda(), torch.randn(2, DIM, 40, device="cuda", requires_grad=True)
        targets = torch.randint(CLASSES, (2, 40, 2), device="cuda")
        in_loss = torch.rand(2, 40, 1, device="cuda").expand(-1, -1, 2) < 0.5
        ours = decode_masked(decoder, encoded, targets, in_loss).loss
        full = read_log_probs(decoder(encoder_output=encoded), targets, in_loss).loss
        torch.testing.assert_close(gradients(ours, decoder, encoded), gradients(full, decoder, encoded))


class TestModels:
    @staticmethod
    def losses(model, batch, steps=2, **options):
        """Losses, gradients and counts of steps."""
        model.train()
        for module_ in model.modules():
            if isinstance(module_, torch.nn.Dropout):
                module_.p = 0.0
        found = []
        for seed in range(steps):
            torch.manual_seed(seed)
            model.zero_grad()
            loss = model._loss_of(batch, True, model.train_metrics)
            loss.backward()
            found.append([loss.detach(), *(p.grad.clone() for p in model.parameters() if p.grad is not None)])
        return found, model.train_metrics.compute()

    @staticmethod
    def batch(model_class):
        from nemo.collections.asr.data.ssl_dataset import AudioNoiseBatch

        torch.manual_seed(3)
        audio, lengths = 0.1 * torch.randn(2, 32000), torch.tensor([32000, 20000])
        if model_class is EncDecMaskedTokenPredModel:
            return audio, lengths
        noise = torch.zeros_like(audio)
        return AudioNoiseBatch(
            audio=audio,
            audio_len=lengths,
            noise=noise,
            noise_len=lengths,
            noisy_audio=audio + 0.01,
            noisy_audio_len=lengths,
        )

    @pytest.mark.parametrize("model_class", [EncDecMaskedTokenPredModel, EncDecDenoiseMaskedTokenPredModel])
    @pytest.mark.parametrize(
        "position, books, squeeze", [("pre_conv", 1, True), ("pre_conv", 2, False), ("post_conv", 1, False)]
    )
    def test_a_step_has_the_same_loss_gradients_and_counts(
        self, nest_config, monkeypatch, model_class, position, books, squeeze
    ):
        results, calls = [], []
        decode = module.decode_masked
        for key in ("true", "false"):
            torch.manual_seed(0)
            overrides = f"model.mask_position={position} model.num_books={books} model.squeeze_single={squeeze}"
            model = model_class(
                nest_config(*overrides.split(), f"model.masked_only_decoding={key}", "model.preprocessor.dither=0.0")
            )
            from nemo.collections.asr.models import token_prediction_training

            monkeypatch.setattr(
                token_prediction_training, "decode_masked", lambda *args: calls.append(key) or decode(*args)
            )
            results.append(self.losses(model, self.batch(model_class)))
        assert calls == ["true"] * 2
        torch.testing.assert_close(*results, rtol=1e-4, atol=1e-5)

    def test_what_a_fork_puts_in_its_place_is_used(self, nest_config):
        class OwnForward(EncDecMaskedTokenPredModel):
            def forward(self, *args, **kwargs):
                return super().forward(*args, **kwargs)

        class OwnLoss(MLMLoss):
            pass

        model = EncDecMaskedTokenPredModel(nest_config())
        assert model._decodes_masked_only()
        assert not OwnForward(nest_config())._decodes_masked_only()
        own_loss = copy.copy(model)
        own_loss.loss = OwnLoss()
        assert not own_loss._decodes_masked_only()

    def test_another_value_of_the_key_is_refused(self, nest_config):
        with pytest.raises(ValueError, match="masked_only_decoding='maybe': must be one of True, False"):
            EncDecMaskedTokenPredModel(nest_config("model.masked_only_decoding=maybe"))
