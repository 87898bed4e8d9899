# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""A model that is cast or moved after its session was made is refused with both types, before anything is taken."""

import pytest
import recognizer_models
import torch

from nemo.collections.asr.parts.streaming import StreamingEncoderSession, StreamingRecognizer

MESSAGE = "cast or moved since this session was made, from {} on cpu to {} on {}: cast or move it first"


@pytest.fixture
def model(nest_config):
    return recognizer_models.build(nest_config, "rnnt")


def part_of(model, path):
    return model.get_submodule(path) if path else model


@pytest.mark.representative("torch.bfloat16-", "torch.float64-encoder.layers.1", "torch.float16-joint")
@pytest.mark.parametrize("part", ["", "encoder", "encoder.layers.1", "decoder", "joint"])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64], ids=str)
def test_a_cast_is_refused_and_nothing_is_taken(model, part, dtype):
    audio, recognizer = recognizer_models.sounds(1, 9000), StreamingRecognizer(model)
    recognizer.push(audio)
    before = recognizer.session.state_dict()["features.samples"]
    part_of(model, part).to(dtype)
    for call in (lambda: recognizer.push(audio), recognizer.flush):
        with pytest.raises(ValueError, match=MESSAGE.format("torch.float32", dtype, "cpu")):
            call()
    assert recognizer.session.state_dict()["features.samples"] == before
    part_of(model, part).to(torch.float32)
    recognizer.push(audio)


def test_a_move_is_refused(model):
    session = StreamingEncoderSession(model)
    model.to("meta")
    for call in (lambda: session.push(torch.zeros(1, 9)), lambda: session.push_features(torch.zeros(1, 80, 9))):
        with pytest.raises(ValueError, match=MESSAGE.format("torch.float32", "torch.float32", "meta")):
            call()


def test_a_new_session_takes_the_model_as_it_is(model):
    model.to(torch.float64)
    assert StreamingEncoderSession(model).push(recognizer_models.sounds(1, 9000)).features.dtype == torch.float64


def test_a_front_end_that_has_changed_since_the_last_push_is_looked_at_again(model, monkeypatch):
    session, audio = StreamingEncoderSession(model), recognizer_models.sounds(1, 9000)
    session.push(audio)
    offline, forward = [], model.preprocessor.featurizer.forward

    def louder(*args):
        offline.append(1)
        feats, lengths = forward(*args)
        return 1.1 * feats, lengths

    monkeypatch.setattr(model.preprocessor.featurizer, "forward", louder)
    for _ in range(2):
        with pytest.raises(ValueError, match="streams otherwise than its own forward .* at feature frame"):
            session.push(audio)
    assert len(offline) == 2 and session.state_dict()["features.samples"] == [9000]
    monkeypatch.undo()
    session.push(audio)
