# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Text from streams: however the audio is cut, it is what the model's own `transcribe` makes of the whole."""


import pytest
import recognizer_models
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf
from stream_pieces import cut, padded

from nemo.collections.asr.models import EncDecMaskedTokenPredModel
from nemo.collections.asr.parts.streaming import StreamingRecognizer

KINDS = ("ctc", "rnnt", "tdt", "hybrid")
CHUNKED = "model.encoder.att_context_size=[4,1]", "model.encoder.att_context_style=chunked_limited"
LENGTHS = (21000, 33333)  # samples
# empty ones too, but not so many that a stream takes thousands of calls
PIECES = st.lists(st.integers(0, 9000), min_size=1, max_size=12).filter(lambda sizes: sum(sizes) > 300 * len(sizes))


@pytest.fixture(scope="module")
def recognizers(nest_config):
    """Each kind of model, built once, with look-ahead where `chunked`."""
    built = {}

    def get(kind, chunked=False):
        if (kind, chunked) not in built:
            built[kind, chunked] = recognizer_models.build(nest_config, kind, *(CHUNKED if chunked else ()))
        return built[kind, chunked].eval()

    return get


@pytest.fixture(scope="module")
def audio():
    torch.manual_seed(5)
    return [row[:length] for row, length in zip(recognizer_models.sounds(2, max(LENGTHS)), LENGTHS)]


@pytest.fixture(scope="module")
def offline(recognizers, audio):
    """What a model's `transcribe` gives: offline(kind, chunked) -> hypotheses."""
    known = {}

    def transcribe(kind, chunked=False):
        if (kind, chunked) not in known:
            arrays, model = [samples.numpy() for samples in audio], recognizers(kind, chunked)
            known[kind, chunked] = recognizer_models.transcribe(model, arrays, return_hypotheses=True)
        return known[kind, chunked]

    return transcribe


class TestText:
    @pytest.mark.parametrize("kind", KINDS)
    def test_models_say_something(self, offline, kind):
        for hypothesis in offline(kind):
            assert len(hypothesis.text) > 10 and len(set(hypothesis.text)) > 4

    @pytest.mark.representative("ctc-False", "rnnt-True", "tdt-False", "hybrid-False")
    @pytest.mark.parametrize("chunked", [False, True])
    @pytest.mark.parametrize("kind", KINDS)
    @given(sizes=PIECES)
    @settings(max_examples=12)
    def test_any_cut_gives_what_transcribe_gives(self, recognizers, audio, offline, kind, chunked, sizes):
        with StreamingRecognizer(recognizers(kind, chunked)) as recognizer:
            for samples, hypothesis in zip(audio, offline(kind, chunked)):
                so_far, tokens = "", []
                for piece in cut(samples, sizes):
                    transcript = recognizer.push(piece.unsqueeze(0))[0]
                    tokens += transcript.new_tokens
                    assert transcript.text.startswith(so_far) and transcript.final == transcript.text
                    so_far = transcript.text
                last = recognizer.flush()[0]
                assert last.text == last.final == hypothesis.text
                assert [token.id for token in [*tokens, *last.new_tokens]] == ids_of(kind, hypothesis)

    @pytest.mark.parametrize("kind", ["rnnt", "tdt"])
    def test_times_are_those_of_the_offline_pass(self, recognizers, audio, offline, kind):
        recognizer = StreamingRecognizer(recognizers(kind))
        tokens = []
        for piece in cut(audio[1], [1700]):
            tokens += recognizer.push(piece.unsqueeze(0))[0].new_tokens
        tokens += recognizer.flush()[0].new_tokens
        expected = [0.08 * float(frame) for frame in offline(kind)[1].timestamp]
        assert [token.seconds for token in tokens] == pytest.approx(expected)
        assert "".join(token.text for token in tokens) == offline(kind)[1].text

    @pytest.mark.parametrize("kind", KINDS)
    def test_streams_begin_and_end_on_their_own(self, recognizers, audio, offline, kind):
        recognizer, nothing = StreamingRecognizer(recognizers(kind), batch_size=2), torch.zeros(0)
        first, second = (cut(samples, [3000]) for samples in audio)
        for piece in first:
            recognizer.push(*padded([piece, nothing]))
        recognizer.push(*padded([nothing, second[0]]))
        one, other = recognizer.flush([True, False])
        assert one.text == offline(kind)[0].text and other.text != ""
        for piece in second[1:]:
            recognizer.push(*padded([audio[0][:1000], piece]))
        recognizer.reset([True, False])
        silent, other = recognizer.flush()
        assert other.text == offline(kind)[1].text and silent.text == ""

    @pytest.mark.parametrize("name", ["ctc", "rnnt"])
    def test_each_decoder_of_a_hybrid_model(self, recognizers, audio, name):
        model = recognizers("hybrid")
        model.change_decoding_strategy(decoder_type=name)
        expected = recognizer_models.transcribe(model, [audio[0].numpy()])
        recognizer = StreamingRecognizer(model, decoder=name)
        recognizer.push(audio[0].unsqueeze(0))
        assert recognizer.flush()[0].text == expected[0].text
        model.change_decoding_strategy(decoder_type="rnnt")

    def test_what_is_read_late_is_what_was_said_then(self, recognizers, audio):
        recognizer = StreamingRecognizer(recognizers("ctc"))
        early = recognizer.push(audio[0][:9000].unsqueeze(0))[0]
        recognizer.push(audio[0][9000:].unsqueeze(0))
        ended = recognizer.flush()[0]
        assert 0 < len(early.text) < len(ended.text) and ended.text.startswith(early.text)


def ids_of(kind, hypothesis):
    """The tokens of an offline hypothesis; CTC's has log-probabilities, in which repeats are not folded yet."""
    sequence = hypothesis.y_sequence
    if kind != "ctc":
        return [int(token) for token in sequence]
    ids = sequence.argmax(dim=1).tolist()
    blank = len(recognizer_models.VOCABULARY)
    return [token for token, before in zip(ids, [blank, *ids]) if token not in (before, blank)]


class TestBeam:
    @pytest.fixture
    def model(self, nest_config):
        model = recognizer_models.build(nest_config, "ctc")
        model.change_decoding_strategy(OmegaConf.create({"strategy": "beam_batch", "beam": {"beam_size": 4}}))
        return model.eval()

    def test_the_search_has_the_last_word(self, model, audio):
        expected = recognizer_models.transcribe(model, [audio[0].numpy()])[0].text
        recognizer = StreamingRecognizer(model)
        for piece in cut(audio[0], [5000, 0, 700]):
            transcript = recognizer.push(piece.unsqueeze(0))[0]
            assert transcript.final == ""
        assert transcript.text != ""
        again = StreamingRecognizer(model)
        again.load_state_dict(recognizer.state_dict())
        for each in (recognizer, again):
            last = each.flush()[0]
            assert last.text == last.final == expected

    def test_a_state_of_greedy_decoding_lacks_what_it_needs(self, model, recognizers, audio):
        greedy, searching = StreamingRecognizer(recognizers("ctc")), StreamingRecognizer(model)
        greedy.push(audio[0].unsqueeze(0))
        state = greedy.state_dict()
        with pytest.raises(ValueError, match="state 'decoder' is CTC, must be CTC with a search at the end here"):
            searching.load_state_dict(state)
        with pytest.raises(ValueError, match=r"log-probabilities of 0 frames, after \d+ frames"):
            searching.load_state_dict({name: state[name] for name in ("session", "streams")})

    def test_what_is_kept_for_it_has_no_graph(self, model, audio):
        recognizer = StreamingRecognizer(model)
        recognizer.push(audio[0].unsqueeze(0))
        kept = recognizer.state_dict()["streams"][0]["log_probs"]
        assert kept.size(0) > 10 and not kept.requires_grad

    def test_a_stream_without_audio_has_no_text(self, model):
        assert StreamingRecognizer(model).flush()[0].text == ""


class TestState:
    @pytest.mark.parametrize("kind", KINDS)
    @pytest.mark.parametrize("at", [0, 1, 4])
    def test_goes_on_in_another_recognizer(self, recognizers, audio, offline, tmp_path, kind, at):
        model = recognizers(kind)
        recognizer = StreamingRecognizer(model)
        pieces = cut(audio[1], [5000])
        for piece in pieces[:at]:
            recognizer.push(piece.unsqueeze(0))
        torch.save(recognizer.state_dict(), tmp_path / "state.pt")
        for piece in pieces[at:]:  # what is saved is a copy
            recognizer.push(piece.unsqueeze(0))
        other = StreamingRecognizer(model)
        other.push(audio[0].unsqueeze(0))
        other.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
        for piece in pieces[at:]:
            other.push(piece.unsqueeze(0))
        assert recognizer.flush()[0].text == other.flush()[0].text == offline(kind)[1].text

    def test_what_does_not_fit_is_refused_and_changes_nothing(self, recognizers, audio, offline):
        recognizer = StreamingRecognizer(recognizers("ctc"))
        recognizer.push(audio[0].unsqueeze(0))
        two = StreamingRecognizer(recognizers("ctc"), batch_size=2).state_dict()
        good = recognizer.state_dict()
        for state, message in (
            ({}, "state 'session': missing"),
            ({**good, "extra": 1}, "state 'extra': unknown"),
            ([], "state is a list: must be what state_dict gave"),
            (recognizer.session.state_dict(), "state 'kind' is StreamingEncoderSession, must be StreamingRecognizer"),
            (two, "state has 2 streams: must have batch_size=1"),
            ({**good, "streams": [{}]}, "of another decoder"),
            ({**good, "session": {}}, "state"),
        ):
            with pytest.raises(ValueError, match=message):
                recognizer.load_state_dict(state)
        assert recognizer.flush()[0].text == offline("ctc")[0].text

    @pytest.mark.parametrize("at", [0, 20000])
    @pytest.mark.parametrize("kind", ["ctc", "rnnt", "tdt"])
    @pytest.mark.parametrize("other", ["ctc", "rnnt", "tdt"])
    def test_of_another_decoder_is_refused_by_its_name(self, recognizers, audio, offline, kind, other, at):
        given, recognizer = StreamingRecognizer(recognizers(other)), StreamingRecognizer(recognizers(kind))
        for each in (given, recognizer):
            each.push(audio[1][:at].unsqueeze(0))
        if kind != other:
            names = {"ctc": "CTC", "rnnt": "RNN-T", "tdt": "TDT"}
            with pytest.raises(ValueError, match=f"state 'decoder' is {names[other]}, must be {names[kind]} here"):
                recognizer.load_state_dict(given.state_dict())
        else:
            recognizer.load_state_dict(given.state_dict())
        recognizer.push(audio[1][at:].unsqueeze(0))
        assert recognizer.flush()[0].text == offline(kind)[1].text

    @pytest.mark.parametrize("kind", ["ctc", "rnnt", "tdt"])
    @pytest.mark.parametrize("other", ["ctc", "rnnt", "tdt"])
    def test_that_does_not_say_its_decoder_goes_on_where_it_fits(self, recognizers, audio, offline, kind, other):
        given, recognizer = StreamingRecognizer(recognizers(other)), StreamingRecognizer(recognizers(kind))
        given.push(audio[1][:20000].unsqueeze(0))
        old = {name: value for name, value in given.state_dict().items() if name in ("session", "streams")}
        if kind != other:
            with pytest.raises(ValueError, match="is of another decoder than"):
                recognizer.load_state_dict(old)
            recognizer.push(audio[1][:20000].unsqueeze(0))
        else:
            recognizer.load_state_dict(old)
        recognizer.push(audio[1][20000:].unsqueeze(0))
        assert recognizer.flush()[0].text == offline(kind)[1].text

    @pytest.mark.parametrize(
        "kind, changes, message",
        [
            ("ctc", {"blank": 4}, "state 'blank' is 4, must be 28 here"),
            ("rnnt", {"pred_hidden": 64}, "state 'pred_hidden' is 64, must be 32"),
            ("tdt", {"joint_hidden": 7}, "state 'joint_hidden' is 7, must be 32"),
            ("ctc", {"decoder": "CTC with a search at the end"}, "is CTC with a search at the end, must be CTC here"),
            ("rnnt", None, r"state 'decoding' is a NoneType"),
        ],
    )
    def test_of_another_size_is_refused_by_name(self, recognizers, kind, changes, message):
        recognizer = StreamingRecognizer(recognizers(kind))
        state = recognizer.state_dict()
        state["decoding"] = None if changes is None else {**state["decoding"], **changes}
        with pytest.raises(ValueError, match=message):
            recognizer.load_state_dict(state)

    def test_the_models_train_mode_and_weights_stay(self, recognizers, audio):
        model = recognizers("rnnt")
        before = {name: value.clone() for name, value in model.state_dict().items()}
        with StreamingRecognizer(model) as recognizer:
            recognizer.push(audio[0].unsqueeze(0))
            recognizer.flush()
        assert not any(module.training for module in model.modules())
        assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


class TestRefusals:
    def test_a_model_without_text(self, nest_config):
        model = EncDecMaskedTokenPredModel(nest_config("model.encoder.att_context_size=[4,0]")).eval()
        with pytest.raises(ValueError, match="EncDecMaskedTokenPredModel has no CTC or RNN-T decoding"):
            StreamingRecognizer(model)

    def test_a_decoder_that_is_not_there(self, recognizers):
        with pytest.raises(ValueError, match="decoder='rnnt': must be one of ctc"):
            StreamingRecognizer(recognizers("ctc"), decoder="rnnt")
        with pytest.raises(ValueError, match="decoder='tdt': must be one of ctc, rnnt"):
            StreamingRecognizer(recognizers("hybrid"), decoder="tdt")

    @pytest.mark.parametrize(
        "decoding", [{"strategy": "greedy"}, {"strategy": "greedy_batch", "greedy": {"loop_labels": False}}]
    )
    def test_a_decoding_that_cannot_go_on(self, nest_config, decoding):
        model = recognizer_models.build(nest_config, "rnnt")
        model.change_decoding_strategy(OmegaConf.create(decoding))
        with pytest.raises(ValueError, match=f"strategy={decoding['strategy']}: streams need greedy_batch"):
            StreamingRecognizer(model.eval())

    def test_a_model_that_cannot_stream(self, nest_config):
        model = recognizer_models.build(nest_config, "ctc", "model.encoder.conv_context_size=null")
        with pytest.raises(ValueError, match="conv_context_size"):
            StreamingRecognizer(model)


@pytest.mark.run_only_on("GPU")
@pytest.mark.parametrize("kind", KINDS)
def test_on_a_gpu(recognizers, audio, kind):
    model = recognizers(kind).cuda()
    recognizer = StreamingRecognizer(model)
    for piece in cut(audio[0], [3000]):
        recognizer.push(piece.unsqueeze(0))
    expected = recognizer_models.transcribe(model, [audio[0].numpy()])
    assert recognizer.flush()[0].text == expected[0].text
    recognizers(kind).cpu()
