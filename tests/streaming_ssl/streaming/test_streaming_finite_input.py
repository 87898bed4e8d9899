# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""What is not finite, or was not scaled, is refused with its place; or what is not finite is silence and counted."""

import math

import numpy as np
import pytest
import recognizer_models
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from stream_pieces import cut, padded

from nemo.collections.asr.parts.streaming import StreamingEncoderSession, StreamingRecognizer
from nemo.collections.asr.parts.streaming.finite_input import LOUDEST

WRONG = st.sampled_from([math.nan, math.inf, -math.inf])
LENGTH = 9000
SIZES = st.lists(st.integers(1, 4000), min_size=1, max_size=4).filter(lambda sizes: sum(sizes) > 300 * len(sizes))


@pytest.fixture(scope="module")
def model(nest_config):
    return recognizer_models.build(nest_config, "ctc")


@pytest.fixture(scope="module")
def audio():
    torch.manual_seed(3)
    return recognizer_models.sounds(2, LENGTH)


def assert_same_state(state, expected):
    assert state.keys() == expected.keys()
    for name, value in expected.items():
        assert torch.equal(state[name], value) if isinstance(value, torch.Tensor) else state[name] == value


def streamed(session, pieces_of_both):
    """The features of both streams (two lists of pieces), and how many samples were replaced."""
    outputs, counts = [], []
    for pieces in pieces_of_both:
        outputs.append(session.push(*padded(pieces)))
        counts = session.nonfinite_samples
    outputs.append(session.flush())
    return [torch.cat([o.features[row, :, : o.lengths[row]] for o in outputs], dim=1) for row in range(2)], counts


class TestRefused:
    @given(row=st.integers(0, 1), at=st.integers(0, LENGTH - 1), wrong=WRONG, sizes=SIZES)
    @settings(max_examples=25)
    def test_with_stream_and_sample_and_nothing_is_taken(self, model, audio, row, at, wrong, sizes):
        session, other = StreamingEncoderSession(model, 2), StreamingEncoderSession(model, 2)
        begin = 0
        for piece in audio.split(cut_sizes(sizes), dim=1):
            bad, before = piece.clone(), session.state_dict()
            if begin <= at < begin + piece.size(1):
                bad[row, at - begin] = wrong
                message = rf"sample {at} of stream {row} \({at - begin} of this piece\) is {wrong}: must be finite"
                with pytest.raises(ValueError, match=message):
                    session.push(bad)
                assert_same_state(session.state_dict(), before)
            ours, theirs = session.push(piece), other.push(piece)  # the next try is as good as the first
            assert torch.equal(ours.features, theirs.features)
            begin += piece.size(1)
        assert session.nonfinite_samples == [0, 0]

    def test_says_how_many_there_are(self, model, audio):
        bad = audio.clone()
        bad[0, 100:150] = bad[1, 7] = math.nan
        with pytest.raises(ValueError, match="sample 100 of stream 0 .* is nan, and 50 more: .*on_nonfinite='zero'"):
            StreamingEncoderSession(model, 2).push(bad)

    @pytest.mark.parametrize("action", ["raise", "zero"])
    @pytest.mark.parametrize("scale", [32768.0, 2.0**31, 1e30, 255.0 / 0.3])
    def test_integers_taken_for_floats(self, model, audio, action, scale):
        session = StreamingEncoderSession(model, 2, on_nonfinite=action)
        session.push(audio[:, :3000])
        before = session.state_dict()
        with pytest.raises(ValueError, match="of stream 0 .*must be from -1 to 1, at most 100; divide 16-bit samples"):
            session.push(scale * audio[:, 3000:])
        assert_same_state(session.state_dict(), before)

    def test_numbers_too_large_for_float32(self, model):
        with pytest.raises(ValueError, match="sample 1 of stream 0 .* is inf"):
            StreamingEncoderSession(model).push(np.array([[0.0, 1e300]]))

    def test_loud_floats_are_audio(self, model, audio):
        loud = audio * (LOUDEST / audio.abs().max())
        assert StreamingEncoderSession(model, 2).push(loud).features.isfinite().all()

    def test_what_is_behind_a_streams_own_samples_does_not_matter(self, model, audio):
        session = StreamingEncoderSession(model, 2)
        pieces = [audio[0], audio[1, :2000]]
        clean = session.push(
            torch.stack([audio[0], torch.nn.functional.pad(pieces[1], (0, LENGTH - 2000))]), [LENGTH, 2000]
        )
        session.reset()
        assert torch.equal(session.push(*padded(pieces)).features[0], clean.features[0])
        assert session.nonfinite_samples == [0, 0]

    def test_an_unknown_choice(self, model):
        with pytest.raises(ValueError, match="on_nonfinite='skip': must be one of raise, zero"):
            StreamingEncoderSession(model, on_nonfinite="skip")


class TestReplaced:
    @given(spots=st.lists(st.tuples(st.integers(0, 1), st.integers(0, LENGTH - 1), WRONG), max_size=9), sizes=SIZES)
    @settings(max_examples=25)
    def test_silence_is_heard_and_counted_however_the_audio_is_cut(self, model, audio, spots, sizes):
        bad, silent = audio.clone(), audio.clone()
        for row, at, wrong in spots:
            bad[row, at], silent[row, at] = wrong, 0.0
        pieces = list(zip(*(cut(row, sizes) for row in bad)))
        clean = list(zip(*(cut(row, sizes) for row in silent)))
        ours, counts = streamed(StreamingEncoderSession(model, 2, on_nonfinite="zero"), pieces)
        theirs, none = streamed(StreamingEncoderSession(model, 2), clean)
        assert all(map(torch.equal, ours, theirs))
        assert counts == (~bad.isfinite()).sum(dim=1).tolist() and none == [0, 0]

    def test_counts_are_of_streams_and_begin_anew_with_them(self, model, audio):
        session = StreamingEncoderSession(model, 2, on_nonfinite="zero")
        bad = audio.clone()
        bad[0, :5] = bad[1, :3] = math.nan
        session.push(bad)
        session.push(bad)
        assert session.nonfinite_samples == [10, 6]
        again = StreamingEncoderSession(model, 2)
        again.load_state_dict(session.state_dict())
        assert again.nonfinite_samples == [10, 6]
        session.reset([True, False])
        assert session.nonfinite_samples == [0, 6]
        session.flush()
        assert session.nonfinite_samples == [0, 0]

    def test_a_push_that_is_refused_counts_nothing(self, model, audio):
        session = StreamingEncoderSession(model, 2, on_nonfinite="zero")
        bad = 32768 * audio
        bad[0, 3] = math.nan
        with pytest.raises(ValueError, match="must be from -1 to 1"):
            session.push(bad)
        assert session.nonfinite_samples == [0, 0] and session.state_dict()["features.samples"] == [0, 0]

    @pytest.mark.parametrize("kind", ["ctc", "rnnt"])
    def test_a_recognizer_goes_on(self, nest_config, kind):
        model, audio = recognizer_models.build(nest_config, kind), recognizer_models.sounds(1, 30000)
        bad, silent = audio.clone(), audio.clone()
        bad[0, 3000], silent[0, 3000] = math.nan, 0.0
        with pytest.raises(ValueError, match="sample 3000 of stream 0"):
            StreamingRecognizer(model).push(bad)
        recognizer, expected = StreamingRecognizer(model, on_nonfinite="zero"), StreamingRecognizer(model)
        recognizer.push(bad)
        expected.push(silent)
        assert recognizer.nonfinite_samples == [1]
        text = recognizer.flush()[0].text
        assert text == expected.flush()[0].text and len(set(text)) > 4


class TestFeatures:
    @given(row=st.integers(0, 1), frame=st.integers(0, 49), feature=st.integers(0, 79), wrong=WRONG)
    @settings(max_examples=10)
    def test_that_are_not_finite(self, model, row, frame, feature, wrong):
        feats = torch.randn(2, 80, 50)
        bad = feats.clone()
        bad[row, feature, frame] = wrong
        session = StreamingEncoderSession(model, 2)
        session.push_features(feats)
        before = session.state_dict()
        with pytest.raises(ValueError, match=rf"feature frame {50 + frame} of stream {row} \({frame} of this piece\)"):
            session.push_features(bad)
        assert_same_state(session.state_dict(), before)
        zero = StreamingEncoderSession(model, 2, on_nonfinite="zero")
        zero.push_features(feats)
        ours = zero.push_features(bad).features
        silent = feats.clone()
        silent[row, :, frame] = model.preprocessor(input_signal=torch.zeros(1, 16000), length=torch.tensor([16000]))[
            0
        ][0, :, 50]
        assert torch.equal(ours, session.push_features(silent).features)
        assert zero.nonfinite_samples == [int(row == 0), int(row == 1)]

    def test_behind_a_streams_own_do_not_matter(self, model):
        feats = torch.randn(2, 80, 50)
        feats[1, :, 9:] = math.nan
        session = StreamingEncoderSession(model, 2)
        assert session.push_features(feats, [50, 9]).features.isfinite().all()
        assert session.push_features(feats[:, :, :1]).features.isfinite().all()

    def test_too_large_for_the_encoders_type(self, nest_config):
        model = recognizer_models.build(nest_config, "ctc")
        model.encoder.half()
        feats = torch.zeros(1, 80, 3)
        feats[0, 7, 2] = 70000.0
        with pytest.raises(ValueError, match="feature frame 2 of stream 0 .* is inf"):
            StreamingEncoderSession(model).push_features(feats)


class TestState:
    def test_without_what_was_added_goes_on_as_before(self, model, audio):
        session, again = StreamingEncoderSession(model, 2), StreamingEncoderSession(model, 2)
        session.push(audio[:, :5000])
        old = session.state_dict()
        for name in ("kind", "batch_size", "sample_rate", "nonfinite"):
            del old[name]
        again.load_state_dict(old)
        assert torch.equal(again.push(audio[:, 5000:]).features, session.push(audio[:, 5000:]).features)

    def test_of_something_else_is_refused_by_name(self, model, audio):
        session = StreamingEncoderSession(model, 2)
        session.push(audio)
        state, before = session.state_dict(), session.state_dict()
        for change, message in (
            (
                {"kind": "OnnxStreamingSession"},
                "state 'kind' is OnnxStreamingSession, must be StreamingEncoderSession",
            ),
            ({"batch_size": 3}, "state 'batch_size' is 3, must be 2"),
            ({"sample_rate": 8000}, "state 'sample_rate' is 8000, must be 16000"),
            ({"nonfinite": [1]}, "state 'nonfinite' is 1 numbers"),
        ):
            with pytest.raises(ValueError, match=message):
                session.load_state_dict({**state, **change})
        with pytest.raises(ValueError, match="state 'kind' is StreamingRecognizer"):
            session.load_state_dict(StreamingRecognizer(model, 2).state_dict())
        with pytest.raises(ValueError, match="state 'batch_size' is 2, must be 1"):
            StreamingEncoderSession(model).load_state_dict(state)
        assert_same_state(session.state_dict(), before)

    @given(data=st.data())
    @settings(max_examples=10)
    def test_that_is_not_finite_is_refused_with_its_streams(self, model, audio, data):
        session = StreamingEncoderSession(model, 2)
        session.push(audio)
        state, row = session.state_dict(), data.draw(st.integers(0, 1))
        before = session.state_dict()
        name = data.draw(st.sampled_from([name for name, x in state.items() if isinstance(x, torch.Tensor)]))
        streams_first = state[name].movedim(2, 0) if name.endswith("memory") else state[name]
        streams_first[row][(0,) * (streams_first.dim() - 1)] = data.draw(WRONG)
        with pytest.raises(ValueError, match=rf"state '{name}' is not finite for streams \[{row}\]"):
            session.load_state_dict(state)
        assert_same_state(session.state_dict(), before)


def cut_sizes(sizes):
    """Sizes that make up the audio, for Tensor.split."""
    found = []
    while sum(found) < LENGTH:
        found.append(min(sizes[len(found) % len(sizes)], LENGTH - sum(found)))
    return found


@pytest.mark.run_only_on("GPU")
@pytest.mark.parametrize("where", ["cpu", "cuda"])
def test_on_a_gpu(nest_config, audio, where):
    model = recognizer_models.build(nest_config, "ctc").cuda()
    bad = audio.clone()
    bad[1, 77] = math.nan
    with pytest.raises(ValueError, match="sample 77 of stream 1"):
        StreamingEncoderSession(model, 2).push(bad.to(where))
    session = StreamingEncoderSession(model, 2, on_nonfinite="zero")
    session.push(bad.to(where), [LENGTH, 5000])
    assert session.nonfinite_samples == [0, 1]
