# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

import pytest
import torch

from nemo.collections.asr.losses.ssl_losses.masked_decoding import decode_masked
from nemo.collections.asr.models import EncDecDenoiseMaskedTokenPredModel, EncDecMaskedTokenPredModel
from nemo.collections.asr.models.objectives import require_unheard


class TestHeads:
    @pytest.mark.parametrize("books", [1, 2])
    def test_the_model_has_heads_for_every_offset_and_the_config_stays(self, next_config, books):
        cfg = next_config(f"model.num_books={books}", steps=3)
        model = EncDecMaskedTokenPredModel(cfg)
        assert model.cfg.decoder.num_decoders == books and model.decoder.num_decoders == 3 * books
        log_probs = model(input_signal=torch.randn(2, 16000), input_signal_length=torch.tensor([16000, 9000]))[0]
        assert log_probs.shape[2:] == (64, 3 * books)

    def test_the_encoder_starts_as_it_does_with_masked_tokens(self, nest_config, next_config):
        states = []
        for cfg in (nest_config("model.objective=masked_tokens"), next_config()):
            torch.manual_seed(0)
            states.append(EncDecMaskedTokenPredModel(cfg).encoder.state_dict())
        assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])

    def test_frames_are_not_masked(self, next_config, monkeypatch):
        model = EncDecMaskedTokenPredModel(next_config())
        monkeypatch.setattr(model.mask_processor, "forward", None)
        signal = torch.randn(2, 16000), torch.tensor([16000, 9000])
        assert model._loss_of(signal, True, model.train_metrics).isfinite()
        with pytest.raises(ValueError, match="apply_mask=True: model.objective=next_tokens masks nothing"):
            model(input_signal=signal[0], input_signal_length=signal[1], apply_mask=True)

    @pytest.mark.parametrize("model_class", [EncDecMaskedTokenPredModel, EncDecDenoiseMaskedTokenPredModel])
    def test_decoding_everything_has_the_same_loss(self, next_config, model_class):
        losses = []
        for key in (True, False):
            torch.manual_seed(0)
            model = model_class(next_config("model.num_books=2", masked_only_decoding=key)).eval()
            losses.append(model._loss_of(self.batch(model_class), True, None))
        torch.testing.assert_close(*losses)

    @staticmethod
    def batch(model_class):
        from nemo.collections.asr.data.ssl_dataset import AudioNoiseBatch

        torch.manual_seed(3)
        audio, lengths = 0.1 * torch.randn(2, 16000), torch.tensor([16000, 9000])
        if model_class is EncDecMaskedTokenPredModel:
            return audio, lengths
        noise = torch.randn_like(audio)
        return AudioNoiseBatch(
            audio=audio,
            audio_len=lengths,
            noise=noise,
            noise_len=lengths,
            noisy_audio=audio + noise,
            noisy_audio_len=lengths,
        )

    def test_denoising_predicts_clean_tokens_from_noisy_audio(self, next_config):
        model = EncDecDenoiseMaskedTokenPredModel(next_config()).eval()
        batch = self.batch(type(model))
        silent = dict(noisy_input_signal=batch.noisy_audio, noisy_input_signal_length=batch.noisy_audio_len)
        clean = dict(input_signal=batch.audio, input_signal_length=batch.audio_len)
        first = model(**clean, **silent)
        other_clean = model(**{**clean, "input_signal": batch.noise}, **silent)
        assert torch.equal(first[0], other_clean[0]) and not torch.equal(first[3], other_clean[3])


@pytest.fixture(scope="module")
def model(next_config):
    torch.manual_seed(0)
    return EncDecMaskedTokenPredModel(next_config("model.num_books=2", steps=3)).eval()


class TestWholeTokens:
    SAMPLES = (16000, 9000, 1279, 1280, 100)

    @torch.no_grad()
    def asked(self, model, audio, lengths):
        """Feature frames of each utterance, its encoder steps, and what the model says of its tokens."""
        noisy, clean = model._noisy_and_clean({"input_signal": audio, "input_signal_length": lengths})
        encoded, *others = model._encode(noisy, clean, False)
        answers = model.objective.answers(
            model.loss.mlm_loss, encoded.transpose(1, 2), *others, model._token_lengths(clean)
        )
        return clean.lengths, others[0], decode_masked(model.decoder, encoded, answers.targets, answers.in_loss)

    @staticmethod
    def batch(samples):
        torch.manual_seed(2)
        return 0.1 * torch.randn(len(samples), max(samples)), torch.tensor(samples)

    def test_every_frame_of_a_predicted_token_lies_within_the_utterance(self, model):
        frames, steps, predictions = self.asked(model, *self.batch(self.SAMPLES))
        books = 2
        for b in range(len(self.SAMPLES)):
            for step in range(predictions.in_loss.size(1)):
                for i, offset in enumerate(model.objective.offsets):
                    is_whole = step < steps[b] and (step + offset + 1) * 8 <= frames[b]
                    asked = predictions.in_loss[b, step, i * books : (i + 1) * books]
                    assert asked.tolist() == [bool(is_whole)] * books

    def test_a_batch_asks_what_its_utterances_ask_alone(self, model):
        audio, lengths = self.batch(self.SAMPLES)
        *_, whole = self.asked(model, audio, lengths)
        nats, count = 0.0, 0
        for one, length in zip(audio, lengths):
            *_, alone = self.asked(model, one[:length].unsqueeze(0), length.reshape(1))
            nats, count = nats + alone.nats, count + int(alone.in_loss.sum())
        assert count == int(whole.in_loss.sum()) > 0
        torch.testing.assert_close(whole.nats, nats, rtol=1e-4, atol=1e-4)


class TestMaskedTokensStay:
    def test_the_key_is_as_good_as_none(self, nest_config):
        losses = []
        for objective in ("model.objective=masked_tokens", "~model.objective"):
            torch.manual_seed(0)
            model = EncDecMaskedTokenPredModel(nest_config(objective, "~model.next_tokens"))
            optimizer, found = torch.optim.SGD(model.parameters(), lr=0.1), []
            for _ in range(3):
                optimizer.zero_grad()
                loss = model._loss_of((0.1 * torch.randn(2, 16000), torch.tensor([16000, 9000])), True, None)
                loss.backward()
                optimizer.step()
                found.append(loss.item())
            losses.append(found)
        assert losses[0] == losses[1] and len(set(losses[0])) == 3


class TestNothingLeaks:
    @staticmethod
    def moved(model, step, offset=None):
        """Whether log_probs up to `step` change with the last frame of a token, and all that follows."""
        torch.manual_seed(1)
        feats, lengths = torch.randn(1, 80, 160), torch.tensor([160])
        offset = model.objective.first if offset is None else offset
        changed = feats.clone()
        changed[:, :, (step + offset + 1) * 8 - 1 :] += 10.0
        with torch.no_grad():
            before, after = (
                model(processed_signal=x, processed_signal_length=lengths)[0][:, : step + 1] for x in (feats, changed)
            )
        return not torch.equal(before, after)

    @pytest.mark.parametrize(
        "downsampling, kernel, convolution, first",
        [
            (True, 9, "causal", 0),
            (False, 9, "causal", 1),
            (True, 5, None, 4),  # two layers, each two steps ahead
            (False, 5, None, 5),
            (True, 5, [3, 1], 2),
        ],
    )
    def test_the_first_token_is_the_first_whose_end_a_step_has_not_heard(
        self, next_config, downsampling, kernel, convolution, first
    ):
        cfg = next_config(streaming=False)
        cfg.encoder.causal_downsampling = downsampling
        cfg.encoder.conv_kernel_size, cfg.encoder.conv_context_size = kernel, convolution
        model = EncDecMaskedTokenPredModel(cfg).eval()
        assert model.objective.first == first
        for step in (0, 3, 11):
            assert [self.moved(model, step, offset) for offset in range(first + 2)] == [True] * first + [False] * 2

    def test_the_test_sees_a_look_ahead(self, next_config):
        model = EncDecMaskedTokenPredModel(next_config()).eval()
        model.encoder.set_default_att_context_size([40, 1])
        assert self.moved(model, 3)
        with pytest.raises(ValueError, match="the model hears what it would predict"):
            require_unheard(model.objective, model)
