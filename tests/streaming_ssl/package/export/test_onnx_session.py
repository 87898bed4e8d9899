# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""A session on an export gives what a session of the model gives."""

import copy
import pickle
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("onnxruntime")
pytest.importorskip("nemo_streaming_ssl.onnx_session")


from side_by_side import SideBySide, assert_close, sounds

from nemo.collections.asr.parts.streaming.export import export_streaming
from nemo.collections.asr.parts.streaming.log_mel import StreamingLogMel
from nemo.collections.asr.parts.streaming.step.attention import StepAttention
from nemo_streaming_ssl.onnx_session import OnnxStreamingSession
from nemo_streaming_ssl.onnx_session.description import read_description

KINDS = (
    "regular",
    "chunked",
    "striding, batch norm, no biases, scaled",
    "no subsampling",
    "chunked, no subsampling",
    "no past",
    "each its own",
    "each its own, chunked",
)
PIECES = st.sampled_from([0, 1, 159, 900, 1280, 3840, 9000])
FLAGS = st.lists(st.booleans(), min_size=3, max_size=3)


class TestEqualsTheTorchSession:
    @pytest.mark.representative("regular", "striding, batch norm, no biases, scaled", "each its own, chunked")
    @pytest.mark.parametrize("kind", KINDS)
    @given(data=st.data())
    @settings(max_examples=6)
    def test_streams_of_different_ages_however_they_are_cut(self, models, exported, kind, data):
        both = SideBySide(models(kind), exported(kind), batch_size=3)
        for _ in range(data.draw(st.integers(1, 6))):
            both.push([sounds(data.draw(PIECES)) for _ in range(3)])
            both.flush(data.draw(FLAGS))
            both.reset(data.draw(FLAGS))
        both.flush()

    @pytest.mark.parametrize("kind", ["regular", "chunked", "no subsampling"])
    @given(data=st.data())
    @settings(max_examples=6)
    def test_features_in_place_of_audio(self, models, exported, kind, data):
        both = SideBySide(models(kind), exported(kind), batch_size=2)
        for frames in data.draw(st.lists(st.sampled_from([0, 1, 7, 8, 9, 40, 150]), max_size=4)):
            both.push_features(sounds(2, 80, frames), [frames, data.draw(st.integers(0, frames))])
        both.flush()

    def test_a_change_of_the_steps_attention_changes_both(self, models, exported, tmp_path, monkeypatch):
        model, samples = models("regular"), [sounds(20000)]
        before = SideBySide(model, exported("regular"))
        before.push(samples)
        scores = StepAttention._scores
        monkeypatch.setattr(StepAttention, "_scores", lambda self, *args: 3 * scores(self, *args))
        export_streaming(model, tmp_path / "changed", verify=False)
        after = SideBySide(model, tmp_path / "changed", verify=False)
        after.push(samples)
        assert abs(before.last.features - after.last.features).max() > 1e-3

    @pytest.mark.parametrize("samples", [1, 159, 160, 1439, 1440, 1441, 2720])
    def test_short_streams(self, models, exported, samples):
        both = SideBySide(models("chunked"), exported("chunked"))
        both.push([sounds(samples)])
        both.flush()
        assert both.last.lengths.item() > 0

    @pytest.mark.parametrize("kind", ["regular", "chunked"])
    def test_a_long_piece(self, models, exported, kind):
        both = SideBySide(models(kind), exported(kind))
        both.push([sounds(16000 * 12)])
        both.flush()

    @pytest.mark.parametrize("kind", ["ctc", "hybrid"])
    def test_log_probs_and_tokens(self, models, exported, kind):
        both = SideBySide(models(kind), exported(kind), 2, return_log_probs=True, return_tokens=True)
        both.push([sounds(20000), sounds(7000)])
        count = both.last.lengths[1]
        assert both.last.tokens[1, :count].tolist() == both.last.log_probs[1, :count].argmax(axis=1).tolist()
        both.flush()
        assert len(both.ours.vocabulary) == both.last.log_probs.shape[2] - 1

    def test_the_encoder_of_a_transducer(self, models, exported):
        both = SideBySide(models("rnnt"), exported("rnnt"))
        both.push([sounds(20000)])
        with pytest.raises(ValueError, match="return_tokens need a model that was exported with a CTC decoder"):
            OnnxStreamingSession(exported("rnnt"), return_tokens=True)

    def test_what_it_says_of_the_model(self, models, exported):
        for kind in ("regular", "chunked", "striding, batch norm, no biases, scaled"):
            both = SideBySide(models(kind), exported(kind))
            for name in ("chunk", "chunk_samples", "sample_rate", "lookahead_ms"):
                assert getattr(both.ours, name) == getattr(both.theirs, name)


class TestFeatures:
    @pytest.mark.parametrize("guard", ["add", "clamp"])
    def test_near_the_guard_of_the_logarithm_are_the_models(
        self, models, tmp_path, monkeypatch, without_graphs, guard
    ):
        featurizer = models("regular").preprocessor.featurizer
        monkeypatch.setattr(featurizer, "log_zero_guard_type", guard)
        monkeypatch.setattr(featurizer, "log_zero_guard_value", 1e-3)
        export_streaming(models("regular"), tmp_path / "out")
        ours, theirs = read_description(tmp_path / "out").front_end(), StreamingLogMel(featurizer)
        audio = 0.1 * sounds(1, 5000)
        found, _ = ours.push(ours.initial_state(1), audio, [5000])
        expected, _ = theirs.push(theirs.initial_state(1), torch.from_numpy(audio), [5000])
        assert expected.min() < np.log(2e-3) < expected.max()
        assert_close(found, expected)


class TestLeftContexts:
    @pytest.mark.parametrize(
        "kind, lefts", [("regular", [3, 0]), ("regular", [1, 5]), ("chunked", [3, 6]), ("chunked", [0, 3])]
    )
    def test_a_shorter_past_is_a_shorter_context(self, models, exported, kind, lefts):
        model, right = models(kind), 2 if kind == "chunked" else 0
        try:
            model.encoder.set_layer_contexts([[left, right] for left in lefts])
            both = SideBySide(model, exported(kind), 2, left_contexts=lefts)
            for size in (9000, 100, 20000):
                both.push([sounds(size), sounds(size // 3)])
            both.flush()
        finally:
            model.encoder.set_layer_contexts(None)

    def test_one_number_is_the_most_that_a_layer_has(self, exported):
        session = OnnxStreamingSession(exported("each its own"), left_contexts=4)
        assert session.left_contexts == [2, 4]
        assert session.state_bytes() < OnnxStreamingSession(exported("each its own")).state_bytes()

    def test_an_unlimited_one_is_what_max_context_says(self, models, exported):
        both = SideBySide(models("unlimited"), exported("unlimited"), max_context=7)
        both.push([sounds(30000)])

    @pytest.mark.parametrize(
        "kind, lefts, message",
        [
            ("regular", [6, 5], r"left_contexts\[0\]=6: must be a multiple of 1 from 0 to 5"),
            ("chunked", [6, 4], r"left_contexts\[1\]=4: must be a multiple of 3 from 0 to 6"),
            ("regular", [5], r"left_contexts=\[5\]: must be an integer, or 2, one for each layer"),
            ("regular", -1, "left_contexts=-1: must be an integer >= 0"),
            ("regular", "all", "left_contexts='all': must be an integer, or 2"),
        ],
    )
    def test_that_cannot_be(self, exported, kind, lefts, message):
        with pytest.raises(ValueError, match=message):
            OnnxStreamingSession(exported(kind), left_contexts=lefts)


class TestState:
    @pytest.mark.parametrize("kind", ["regular", "chunked"])
    def test_goes_on_to_the_bit(self, exported, kind):
        session, again = (OnnxStreamingSession(exported(kind), 2, threads=1) for _ in range(2))
        session.push(sounds(2, 20000), [20000, 7000])
        saved = pickle.loads(pickle.dumps(session.state_dict()))
        audio = sounds(2, 9000)
        expected = [session.push(audio).features, session.flush().features]
        again.load_state_dict(saved)
        found = [again.push(audio).features, again.flush().features]
        assert all(np.array_equal(ours, theirs) for ours, theirs in zip(found, expected))

    def test_that_was_saved_stays_as_it_is(self, exported):
        session = OnnxStreamingSession(exported("regular"), 2, threads=1)
        session.push(sounds(2, 9000))
        saved = session.state_dict()
        before = copy.deepcopy(saved)
        session.push(sounds(2, 9000))
        session.flush()
        assert saved.keys() == before.keys() and all(np.array_equal(saved[name], before[name]) for name in saved)

    def test_does_not_grow(self, exported):
        session = OnnxStreamingSession(exported("regular"), threads=1)
        sizes = set()
        for _ in range(8):
            session.push(sounds(1, 16000 * 4))
            shapes = [(name, np.shape(value)) for name, value in session.state_dict().items()]
            sizes.add((session.state_bytes(), *shapes))
        assert len(sizes) == 1

    def test_that_does_not_fit_is_refused_by_name(self, exported):
        session = OnnxStreamingSession(exported("regular"), 2, threads=1)
        session.push(sounds(2, 9000))
        state = session.state_dict()
        changes = {
            "state 'encoder.made': missing": lambda s: s.pop("encoder.made"),
            "state 'extra': unknown": lambda s: s.update(extra=1),
            r"state 'encoder.keys_0' is an array of shape \(1,\)": lambda s: s.update({"encoder.keys_0": np.zeros(1)}),
            r"state 'encoder.made' is 9 for stream 1: must be 7": lambda s: s.update({"encoder.made": [7, 9]}),
            "state 'kind' is StreamingEncoderSession, must be OnnxStreamingSession": lambda s: s.update(
                kind="StreamingEncoderSession"
            ),
            "state 'precision' is int8, must be float32 here": lambda s: s.update(precision="int8"),
            "state 'batch_size' is 3, must be 2 here": lambda s: s.update(batch_size=3),
            "state 'sample_rate' is 8000, must be 16000 here": lambda s: s.update(sample_rate=8000),
            r"state 'encoder.waiting' is not finite for streams \[1\]": lambda s: s["encoder.waiting"][1].fill(np.nan),
            r"state 'left_contexts' is \[1, 1\], must be \[5, 5\] here": lambda s: s.update(left_contexts=[1, 1]),
        }
        for message, change in changes.items():
            wrong = copy.deepcopy(state)
            change(wrong)
            with pytest.raises(ValueError, match=message):
                session.load_state_dict(wrong)
        with pytest.raises(ValueError, match="state is a list: must be what state_dict gave"):
            session.load_state_dict([])
        for name, value in session.state_dict().items():
            assert np.array_equal(value, state[name])

    def test_without_what_was_added_goes_on_as_before(self, exported):
        session, again = (OnnxStreamingSession(exported("regular"), 2, threads=1) for _ in range(2))
        session.push(sounds(2, 9000))
        old = session.state_dict()
        for name in ("kind", "batch_size", "sample_rate", "precision", "nonfinite"):
            del old[name]
        again.load_state_dict(old)
        audio = sounds(2, 5000)
        assert np.array_equal(again.push(audio).features, session.push(audio).features)

    def test_is_reset_after_a_with_block(self, exported):
        session = OnnxStreamingSession(exported("regular"), threads=1)
        with session, pytest.raises(RuntimeError, match="in use already"):
            session.push(sounds(1, 5000))
            session.__enter__()
        assert session.current_frame.tolist() == [0]


WRONG = st.sampled_from([np.nan, np.inf, -np.inf])


class TestNotFinite:
    @given(row=st.integers(0, 1), at=st.integers(0, 4999), wrong=WRONG)
    @settings(max_examples=10)
    def test_audio_is_refused_with_its_place_and_nothing_is_taken(self, exported, row, at, wrong):
        session, audio = OnnxStreamingSession(exported("regular"), 2, threads=1), sounds(2, 9000)
        session.push(audio[:, :4000])
        bad, before = audio[:, 4000:].copy(), session.state_dict()
        bad[row, at] = wrong
        message = rf"sample {4000 + at} of stream {row} \({at} of this piece\) is {wrong}: must be finite"
        with pytest.raises(ValueError, match=message):
            session.push(bad)
        after = session.state_dict()
        assert all(np.array_equal(after[name], value) for name, value in before.items())

    @given(spots=st.lists(st.tuples(st.integers(0, 1), st.integers(0, 8999), WRONG), max_size=9), data=st.data())
    @settings(max_examples=10)
    def test_silence_takes_its_place_and_is_counted_as_in_the_torch_session(self, models, exported, spots, data):
        both = SideBySide(models("regular"), exported("regular"), 2, on_nonfinite="zero")
        audio = sounds(2, 9000)
        for row, at, wrong in spots:
            audio[row, at] = wrong
        begin = 0
        while begin < 9000:
            end = begin + data.draw(st.integers(700, 9000))
            both.push(list(audio[:, begin:end]))
            begin = end
        counts = (~np.isfinite(audio)).sum(axis=1).tolist()
        assert both.ours.nonfinite_samples == both.theirs.nonfinite_samples == counts
        again = OnnxStreamingSession(exported("regular"), 2, threads=1)
        again.load_state_dict(both.ours.state_dict())
        assert again.nonfinite_samples == counts
        both.reset([True, False])
        assert both.ours.nonfinite_samples == [0, counts[1]]
        both.flush()
        assert both.ours.nonfinite_samples == [0, 0] and np.isfinite(both.last.features).all()

    def test_features(self, models, exported):
        feats = sounds(2, 80, 30)
        feats[1, 7, 3] = np.nan
        feats[0, :, 25:] = np.nan  # behind its own
        session = OnnxStreamingSession(exported("regular"), 2, threads=1)
        with pytest.raises(
            ValueError, match=r"feature frame 3 of stream 1 \(3 of this piece\) is nan: must be finite"
        ):
            session.push_features(feats, [25, 30])
        assert session.current_frame.tolist() == [0, 0]
        both = SideBySide(models("regular"), exported("regular"), 2, on_nonfinite="zero")
        both.push_features(feats, [25, 30])
        assert both.ours.nonfinite_samples == both.theirs.nonfinite_samples == [0, 1]
        both.flush()

    @pytest.mark.parametrize("action", ["raise", "zero"])
    @pytest.mark.parametrize("scale", [32768.0, 1e30])
    def test_integers_taken_for_floats(self, exported, action, scale):
        session = OnnxStreamingSession(exported("regular"), threads=1, on_nonfinite=action)
        with pytest.raises(ValueError, match="of stream 0 .*must be from -1 to 1, at most 100; divide 16-bit samples"):
            session.push(scale * sounds(1, 9000))
        assert session.nonfinite_samples == [0] and session.push(sounds(1, 9000)).lengths[0] > 0


class TestBadInput:
    @pytest.mark.parametrize(
        "call, message",
        [
            (lambda s: s.push(np.zeros((2, 9), np.int16)), "samples of dtype int16: must be floats"),
            (lambda s: s.push(np.zeros((1, 9))), r"samples of shape \(1, 9\).*batch_size=2"),
            (lambda s: s.push([[0.0], [0.0, 1.0]]), "samples is a list that cannot be made an array"),
            (lambda s: s.push(None), "samples is a NoneType that cannot be made an array"),
            (lambda s: s.push(np.zeros((2, 9)), [9, 10]), r"lengths=\[9, 10\]: must be integers from 0 to 9"),
            (lambda s: s.push(np.zeros((2, 9)), [9.5, 1]), r"lengths=\[9.5, 1.0\]: must be integers"),
            (lambda s: s.push(np.zeros((2, 9)), [9]), r"lengths of shape \(1,\)"),
            (lambda s: s.push_features(np.zeros((2, 9, 80))), r"feats of shape \(2, 9, 80\).*80 features"),
            (lambda s: s.flush([0, 2]), r"mask=\[0, 2\]: must be true or false"),
            (lambda s: s.reset([True]), r"mask of shape \(1,\)"),
        ],
    )
    def test_is_named(self, exported, call, message):
        with pytest.raises(ValueError, match=message):
            call(OnnxStreamingSession(exported("regular"), 2, threads=1))

    def test_audio_and_features_in_one_stream(self, exported):
        session = OnnxStreamingSession(exported("regular"), 2, threads=1)
        session.push(sounds(2, 5000), [5000, 0])
        session.push_features(sounds(2, 80, 9), [0, 9])
        with pytest.raises(ValueError, match=r"features for streams \[0\], which have had audio"):
            session.push_features(sounds(2, 80, 1))
        with pytest.raises(ValueError, match=r"audio for streams \[1\], which have had features"):
            session.push(sounds(2, 9))

    @pytest.mark.parametrize(
        "options, message",
        [
            ({"batch_size": 0}, "batch_size=0: must be an integer >= 1"),
            ({"on_nonfinite": "skip"}, "on_nonfinite='skip': must be one of raise, zero"),
            ({"threads": True}, "threads=True: must be an integer >= 1"),
            ({"precision": "float16"}, "precision='float16': .* has float32, int8"),
        ],
    )
    def test_options_that_cannot_be(self, exported, options, message):
        with pytest.raises(ValueError, match=message):
            OnnxStreamingSession(exported("regular"), **options)

    def test_a_folder_that_is_no_export(self, tmp_path):
        with pytest.raises(ValueError, match="is no export folder, model.json cannot be read"):
            OnnxStreamingSession(tmp_path)
        (tmp_path / "model.json").write_text('{"format": "x"}')
        with pytest.raises(ValueError, match=r"format and version are \('x', None\), must be"):
            OnnxStreamingSession(tmp_path)


ALONE = """
import sys
import numpy as np
from nemo_streaming_ssl.onnx_session import OnnxStreamingSession
with OnnxStreamingSession(sys.argv[1], threads=1) as session:
    features = session.push(np.load(sys.argv[2])).features
np.save(sys.argv[3], features)
print(sorted({"torch", "nemo", "omegaconf"} & set(sys.modules)))
"""


class TestAlone:
    def test_it_needs_neither_torch_nor_nemo(self, exported, tmp_path):
        audio = sounds(1, 20000)
        np.save(tmp_path / "audio.npy", audio)
        files = [str(tmp_path / name) for name in ("audio.npy", "features.npy")]
        command = [sys.executable, "-c", ALONE, str(exported("regular")), *files]
        found = subprocess.run(command, check=True, capture_output=True, text=True)
        assert found.stdout.strip() == "[]"
        expected = OnnxStreamingSession(exported("regular"), threads=1).push(audio).features
        np.testing.assert_array_equal(np.load(files[1]), expected)
