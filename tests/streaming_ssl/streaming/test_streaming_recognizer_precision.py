# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""A recogniser works in any precision: of the whole model, of the encoder alone, under autocast."""

import pytest
import recognizer_models
import torch
from omegaconf import OmegaConf
from stream_pieces import padded

from nemo.collections.asr.parts.streaming import StreamingRecognizer

KINDS = ("ctc", "rnnt", "tdt", "hybrid")
TYPES = (torch.bfloat16, torch.float16, torch.float64)
LENGTHS = (21000, 33333)  # samples
TURNS = [(7000, 1000), (300, 9000), (5000, 0), (0, 20000), LENGTHS]


@pytest.fixture(scope="module")
def audio():
    torch.manual_seed(5)
    return [row[:length] for row, length in zip(recognizer_models.sounds(2, max(LENGTHS)), LENGTHS)]


def said(recognizer, audio):
    """The texts of both streams, which are of different ages in between."""
    rest = list(audio)
    for counts in TURNS:
        pieces, rest = [x[:n] for x, n in zip(rest, counts)], [x[n:] for x, n in zip(rest, counts)]
        recognizer.push(*padded(pieces))
    return [transcript.text for transcript in recognizer.flush()]


def build(nest_config, kind, part, dtype):
    """A model of which a part has been cast."""
    model = recognizer_models.build(nest_config, kind)
    (model.get_submodule(part) if part else model).to(dtype)
    return model


def distance(ours, theirs):
    """Letters that have to be changed, put in or left out (Levenshtein)."""
    row = list(range(len(theirs) + 1))
    for i, a in enumerate(ours, 1):
        before, row[0] = row[0], i
        for j, b in enumerate(theirs, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (a != b))
    return row[-1]


def assert_near(ours, theirs, share):
    for own, other in zip(ours, theirs):
        assert len(other) > 10 and distance(own, other) <= share * len(other), (own, other)


@pytest.mark.representative(
    "ctc-torch.bfloat16-the encoder",
    "rnnt-torch.bfloat16-the encoder",
    "tdt-torch.float16-the whole model",
    "hybrid-torch.float64-the encoder",
)
@pytest.mark.parametrize("part", ["", "encoder"], ids=["the whole model", "the encoder"])
@pytest.mark.parametrize("dtype", TYPES, ids=str)
@pytest.mark.parametrize("kind", KINDS)
def test_cast(nest_config, audio, kind, part, dtype):
    exact = said(StreamingRecognizer(recognizer_models.build(nest_config, kind), 2), audio)
    recognizer = StreamingRecognizer(build(nest_config, kind, part, dtype), 2)
    texts = said(recognizer, audio)
    if dtype == torch.float64:
        assert texts == exact
    else:  # random weights are seldom sure, and what one letter was decides the next ones
        assert_near(texts, exact, 0.5)
    assert recognizer.session.device.type == "cpu"


@pytest.mark.parametrize("kind", KINDS)
def test_the_session_gives_log_probs_when_the_encoder_is_cast(nest_config, audio, kind):
    from nemo.collections.asr.parts.streaming import StreamingEncoderSession

    if kind in ("ctc", "hybrid"):
        model = build(nest_config, kind, "encoder", torch.bfloat16)
        session = StreamingEncoderSession(model, return_log_probs=True, return_tokens=True)
        assert session.push(audio[1].unsqueeze(0)).log_probs.isfinite().all()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("made_under", [True, False])
def test_under_autocast(nest_config, audio, kind, made_under):
    model = recognizer_models.build(nest_config, kind)
    exact = said(StreamingRecognizer(model, 2), audio)
    with torch.autocast("cpu", torch.bfloat16, enabled=made_under):
        recognizer = StreamingRecognizer(model, 2)
    with torch.autocast("cpu", torch.bfloat16):
        texts = said(recognizer, audio)
    assert_near(texts, exact, 0.5)
    if kind == "ctc":
        with torch.autocast("cpu", torch.bfloat16):
            arrays = [samples.numpy() for samples in audio]
            offline = [found.text for found in recognizer_models.transcribe(model, arrays)]
        assert_near(texts, offline, 0.15)
    assert said(recognizer, audio) == exact  # and without it again


@pytest.mark.parametrize("kind", KINDS)
def test_a_state_goes_on_outside_of_autocast(nest_config, audio, kind):
    model = recognizer_models.build(nest_config, kind)
    recognizer, again = StreamingRecognizer(model), StreamingRecognizer(model)
    with torch.autocast("cpu", torch.bfloat16):
        recognizer.push(audio[1][:20000].unsqueeze(0))
    again.load_state_dict(recognizer.state_dict())
    texts = []
    for each in (recognizer, again):
        each.push(audio[1][20000:].unsqueeze(0))
        texts.append(each.flush()[0].text)
    assert texts[0] == texts[1] != ""


@pytest.mark.parametrize("part", ["", "encoder"], ids=["the whole model", "the encoder"])
def test_a_search_at_the_end(nest_config, audio, part):
    model = build(nest_config, "ctc", part, torch.bfloat16)
    model.change_decoding_strategy(OmegaConf.create({"strategy": "beam_batch", "beam": {"beam_size": 4}}))
    exact = recognizer_models.build(nest_config, "ctc")
    exact.change_decoding_strategy(OmegaConf.create({"strategy": "beam_batch", "beam": {"beam_size": 4}}))
    texts = said(StreamingRecognizer(model.eval(), 2), audio)
    assert_near(texts, said(StreamingRecognizer(exact.eval(), 2), audio), 0.3)


@pytest.mark.run_only_on("GPU")
@pytest.mark.parametrize("part", ["", "encoder"], ids=["the whole model", "the encoder"])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("kind", KINDS)
def test_on_a_gpu(nest_config, audio, kind, part, dtype):
    exact = said(StreamingRecognizer(recognizer_models.build(nest_config, kind), 2), audio)
    assert_near(said(StreamingRecognizer(build(nest_config, kind, part, dtype).cuda(), 2), audio), exact, 0.5)
    model = recognizer_models.build(nest_config, kind).cuda()
    with torch.autocast("cuda", dtype):
        assert_near(said(StreamingRecognizer(model, 2), audio), exact, 0.5)
