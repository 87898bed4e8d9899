# Copyright (c) 2026, the streaming-ssl authors.
#
# Licensed under the Apache License, Version 2.0 (the "License");
# you may not use this file except in compliance with the License.
# You may obtain a copy of the License at
#
#     http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS,
# WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
# See the License for the specific language governing permissions and
# limitations under the License.

import pytest
import torch
from omegaconf import OmegaConf

from nemo.collections.asr.losses.ssl_losses.mlm import MLMLoss
from nemo.collections.asr.models import EncDecDenoiseMaskedTokenPredModel, EncDecMaskedTokenPredModel
from nemo.collections.asr.models.objectives import NextTokens, objective_of_config, require_unheard

HEARS = "model.objective=next_tokens: the model hears what it would predict"


@pytest.fixture(scope="module")
def next_config(nest_config):
    """A tiny model's config that asks for next tokens; what the shipped config says of them is overridden."""

    def config(*overrides, steps=4, first=None, **changes):
        cfg = nest_config(*overrides)
        cfg.objective, cfg.next_tokens = "next_tokens", {"steps": steps, "first": first}
        cfg.preprocessor.dither = 0.0
        return OmegaConf.merge(cfg, OmegaConf.create(changes))

    return config


@pytest.mark.unit
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
        for cfg in (nest_config("+model.objective=masked_tokens"), next_config()):
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


@pytest.mark.unit
class TestNothingLeaks:
    @staticmethod
    def moved(model, step):
        """Whether log_probs up to `step` change with the first token that it predicts, and all that follows."""
        torch.manual_seed(1)
        feats, lengths = torch.randn(1, 80, 160), torch.tensor([160])
        start = (step + model.objective.first) * 8
        changed = feats.clone()
        changed[:, :, start + 8 - 1 :] += 10.0  # its last frame is the first that must not be heard
        with torch.no_grad():
            before, after = (
                model(processed_signal=x, processed_signal_length=lengths)[0][:, : step + 1] for x in (feats, changed)
            )
        return not torch.equal(before, after)

    @pytest.mark.parametrize("downsampling, first", [(True, 0), (False, 1)])
    @pytest.mark.parametrize("step", [0, 3, 11])
    def test_outputs_have_not_heard_the_end_of_a_token(self, next_config, downsampling, first, step):
        changes = {} if downsampling else {"streaming": False}
        model = EncDecMaskedTokenPredModel(
            next_config(f"model.encoder.causal_downsampling={downsampling}", **changes)
        ).eval()
        assert model.objective.first == first
        assert not self.moved(model, step)
        model.objective.first -= 1
        assert first == 0 or self.moved(model, step)  # the smallest such offset

    def test_the_test_sees_a_look_ahead(self, next_config):
        model = EncDecMaskedTokenPredModel(next_config()).eval()
        model.encoder.set_default_att_context_size([40, 1])
        assert self.moved(model, 3)
        with pytest.raises(ValueError, match="the model hears what it would predict"):
            require_unheard(model.objective, model)


@pytest.mark.unit
class TestOptions:
    @pytest.mark.parametrize(
        "changes, message",
        [
            ({"objective": "next"}, "model.objective='next': must be one of masked_tokens, next_tokens"),
            ({"next_tokens": {"step": 2}}, "model.next_tokens.step=2: unknown option; allowed are steps, first"),
            ({"next_tokens": {"steps": 0}}, "model.next_tokens.steps=0: must be an integer >= 1"),
            ({"next_tokens": {"steps": True}}, "model.next_tokens.steps=True: must be an integer >= 1"),
            ({"next_tokens": {"steps": "4"}}, "model.next_tokens.steps='4': must be an integer >= 1"),
            ({"next_tokens": {"first": -1}}, "model.next_tokens.first=-1: must be an integer >= 0"),
            ({"next_token": {"steps": 2}}, "next_token.*next_tokens"),
            ({"mask_position": "post_conv"}, "model.mask_position=post_conv: must be pre_conv"),
            ({"decoder": {"num_decoders": 4}}, "model.decoder.num_decoders=4: must be model.num_books=1"),
            ({"encoder": {"att_context_size": [40, 1]}}, HEARS),
            ({"encoder": {"att_context_size": [[40, 0], [40, 1]]}}, HEARS),
            ({"encoder": {"att_context_size": [42, 6], "att_context_style": "chunked_limited"}}, HEARS),
            ({"preprocessor": {"normalize": "per_feature"}}, HEARS),
            (
                {"encoder": {"causal_downsampling": False}, "next_tokens": {"first": 0}},
                "model.next_tokens.first=0: encoder step t has heard all of token t \\+ 0; must be 1 or more, or null",
            ),
        ],
    )
    def test_a_value_that_cannot_be_is_refused_by_name(self, next_config, changes, message):
        cfg = OmegaConf.merge(next_config(), OmegaConf.create(changes))
        with pytest.raises(ValueError, match=message):
            EncDecMaskedTokenPredModel(cfg)

    def test_a_block_must_be_one(self, next_config):
        cfg = next_config()
        cfg.next_tokens = 4
        with pytest.raises(ValueError, match="model.next_tokens=4: must have the keys steps and first"):
            EncDecMaskedTokenPredModel(cfg)

    def test_values_may_be_interpolated(self, next_config):
        cfg = next_config(horizon=3)
        cfg.next_tokens.steps = "${..horizon}"
        assert objective_of_config(cfg).offsets == range(0, 3)
        assert EncDecMaskedTokenPredModel(cfg).decoder.num_decoders == 3

    def test_a_missing_block_has_defaults(self, next_config):
        cfg = next_config()
        del cfg.next_tokens
        objective = objective_of_config(cfg)
        assert isinstance(objective, NextTokens) and objective.offsets == range(0, 4)

    def test_a_forks_own_loss_and_decoder_are_refused(self, next_config):
        objective, cfg = NextTokens(2, 0), next_config().decoder
        with pytest.raises(ValueError, match="model.decoder=Linear: must be a MultiSoftmaxDecoder"):
            objective.decoder(torch.nn.Linear(2, 2), MLMLoss(), cfg)
        decoder = EncDecMaskedTokenPredModel(next_config()).decoder
        with pytest.raises(ValueError, match="model.loss=NLLLoss: must be an MLMLoss or MultiMLMLoss"):
            objective.decoder(decoder, torch.nn.NLLLoss(), cfg)
