# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""A session proves itself before its first audio, once, and leaves no trace in its model."""

import pytest
import recognizer_models
import torch

from nemo.collections.asr.parts.streaming import StreamingEncoderSession, proof


@pytest.fixture
def model(nest_config):
    return recognizer_models.build(nest_config, "ctc")


@pytest.fixture
def calls(model, monkeypatch):
    """A list that grows with each call of the encoder's forward."""
    found, forward = [], type(model.encoder).forward_internal

    def counted(*args, **kwargs):
        found.append(1)
        return forward(*args, **kwargs)

    monkeypatch.setattr(type(model.encoder), "forward_internal", counted)
    return found


class TestProof:
    def test_is_made_once_for_each_configuration(self, model, calls):
        for _ in range(2):
            StreamingEncoderSession(model, batch_size=3)
        assert len(calls) == 1
        model.encoder.set_layer_contexts([(6, 0), (3, 0)])
        StreamingEncoderSession(model)
        assert len(calls) == 2

    def test_is_made_again_when_a_part_has_changed(self, model, calls):
        StreamingEncoderSession(model)
        handle = model.encoder.layers[0].norm_out.register_forward_hook(lambda *_: None)
        StreamingEncoderSession(model)
        handle.remove()
        StreamingEncoderSession(model)
        assert len(calls) == 2

    def test_can_be_switched_off(self, model, calls):
        StreamingEncoderSession(model, verify=False).push(torch.zeros(1, 3000))
        assert not calls

    def test_leaves_no_trace(self, model, monkeypatch):
        """Nor does it ask other ranks for their lengths, which they would not answer."""
        monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
        model.encoder.set_max_audio_length(3)  # less than the signal
        table, random = model.encoder.pos_enc.pe, torch.random.get_rng_state()
        weights = {name: weight.clone() for name, weight in model.state_dict().items()}
        StreamingEncoderSession(model)
        assert model.encoder.pos_enc.pe is table and model.encoder.max_audio_length == 3
        assert model.encoder.sync_max_audio_length
        assert torch.equal(random, torch.random.get_rng_state())
        assert all(torch.equal(weight, weights[name]) for name, weight in model.state_dict().items())

    @pytest.mark.parametrize("right", [0, 2])
    @pytest.mark.parametrize("max_context", [0, 3, 60])
    def test_a_context_in_place_of_an_unlimited_one(self, nest_config, right, max_context):
        style = "chunked_limited" if right else "regular"
        options = [f"model.encoder.att_context_size=[-1,{right}]", f"model.encoder.att_context_style={style}"]
        StreamingEncoderSession(recognizer_models.build(nest_config, "ctc", *options), max_context=max_context)

    def test_finds_other_features(self, model, calls):
        """Those of a preprocessor that a fork has edited; features that are pushed do not need it."""
        forward = model.preprocessor.featurizer.forward
        model.preprocessor.featurizer.forward = lambda *args: (1.1 * forward(*args)[0], forward(*args)[1])
        session = StreamingEncoderSession(model)
        with pytest.raises(ValueError, match="by 0.09.* of its size at feature frame"):
            session.push(torch.zeros(1, 3000))
        session.push_features(torch.zeros(1, 80, 30))

    def test_a_model_that_makes_nan_is_said_to_be_untried(self, model, monkeypatch):
        said = []
        monkeypatch.setattr(proof.logging, "warning", said.append)
        with torch.no_grad():
            model.encoder.layers[0].norm_out.bias.fill_(torch.nan)
        StreamingEncoderSession(model)
        assert len(said) == 1 and "whether it streams rightly was not tried" in said[0]

    @pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
    def test_in_another_type(self, model, dtype):
        model.encoder.to(dtype)
        StreamingEncoderSession(model)
        original = type(model.encoder).forward_internal
        edited = type("ConformerEncoder", (type(model.encoder),), {"__module__": type(model.encoder).__module__})
        edited.forward_internal = lambda *args, **kwargs: (
            1.2 * original(*args, **kwargs)[0],
            original(*args, **kwargs)[1],
        )
        model.encoder.__class__ = edited
        with pytest.raises(ValueError, match="streams otherwise"):
            StreamingEncoderSession(model)

    def test_the_signal_is_speech_like_in_its_level(self):
        signal = proof.made_signal(20000)
        assert 0.05 < signal.std() < 0.3 and signal.abs().max() < 1
