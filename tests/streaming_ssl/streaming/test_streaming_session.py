# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

import gc
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from stream_pieces import cut, padded

from nemo.collections.asr.models.ssl_models import EncDecMaskedTokenPredModel
from nemo.collections.asr.modules import AudioToMelSpectrogramPreprocessor
from nemo.collections.asr.parts.streaming import StreamingEncoderSession

ENCODER = "model.encoder."
KINDS = {
    "regular": ["att_context_size=[5,0]"],
    "chunked": ["att_context_size=[6,2]", "att_context_style=chunked_limited"],
    "chunked, SDPA, batch norm": [
        "att_context_size=[4,1]",
        "att_context_style=chunked_limited",
        "conv_norm_type=batch_norm",
        "+use_pytorch_sdpa=true",
    ],
    "regular, SDPA, striding, no biases": [
        "att_context_size=[3,0]",
        "+use_pytorch_sdpa=true",
        "subsampling=striding",
        "use_bias=false",
        "xscaling=false",
        "untie_biases=false",
        "feat_out=24",
    ],
    "regular, factor 2": ["att_context_size=[7,0]", "subsampling_factor=2"],
    "regular, no subsampling": ["att_context_size=[20,0]", "subsampling_factor=1"],
    "chunked, no past": ["att_context_size=[0,2]", "att_context_style=chunked_limited"],
}
# after the model is built: contexts of its two layers, and the session's max_context
LAYERS = {
    "each its own": ("regular", [[2, 0], [9, 0]], None),
    "each its own, chunked": ("chunked", [[3, 2], [9, 2]], None),
    "unlimited": ("regular", [[-1, 0], [3, 0]], 70),
    "unlimited, chunked": ("chunked", [[-1, 2], [-1, 2]], 12),
}


@pytest.fixture(scope="module")
def build(nest_config):
    """build(kind): a tiny model in eval mode, the same each time, that no test changes without putting it back."""
    models = {}

    def built(kind="regular", *overrides):
        if (kind, overrides) not in models:
            options = [
                option.replace("+", "+" + ENCODER) if "+" in option else ENCODER + option for option in KINDS[kind]
            ]
            torch.manual_seed(0)
            model = EncDecMaskedTokenPredModel(nest_config(*options, *overrides)).eval()
            for name, parameter in model.encoder.named_parameters():
                if name.endswith("bias") or "pos_bias" in name or "norm" in name:  # ones and zeros show nothing
                    torch.nn.init.normal_(parameter, mean=1.0 if name.endswith("weight") else 0.0, std=0.3)
            for name, statistic in model.encoder.named_buffers():
                if "running" in name:
                    torch.nn.init.uniform_(statistic, 0.5, 1.5)
            models[kind, overrides] = model
        return models[kind, overrides]

    return built


@torch.no_grad()
def offline(model, audio):
    """The model's own forward: (D', T') of one stream, (samples,)."""
    lengths = torch.tensor([audio.numel()])
    feats, lengths = model.preprocessor(input_signal=audio.unsqueeze(0).clone(), length=lengths)
    encoded, lengths = model.encoder(audio_signal=feats, length=lengths)
    return encoded[0, :, : lengths[0]]


def speech(*shape):
    """Noise whose level changes, so that no stretch is like another."""
    return 0.1 * torch.randn(shape) * torch.linspace(0.5, 3.0, shape[-1])


class Streams:
    """Pieces of audio pushed into a session, and what came out for each stream."""

    def __init__(self, session):
        self.session = session
        self.outputs = [[] for _ in range(session.batch_size)]

    def push(self, pieces):
        samples, lengths = padded(pieces)
        self._keep(self.session.push(samples, torch.tensor(lengths)))

    def flush(self, mask=None):
        self._keep(self.session.flush(mask))

    def _keep(self, output):
        assert output.features.size(2) == max(output.lengths)
        for stream, features, length in zip(self.outputs, output.features, output.lengths):
            stream.append(features[:, :length])

    def taken(self, row):
        """What came out for a stream since the last call, (D', T')."""
        parts, self.outputs[row] = self.outputs[row], []
        return torch.cat(parts, dim=1)


def streamed(session, audio, sizes):
    streams = Streams(session)
    for piece in cut(audio, sizes):
        streams.push([piece])
    streams.flush()
    return streams.taken(0)


def assert_same(ours, theirs, atol=1e-4):
    assert ours.shape == theirs.shape
    torch.testing.assert_close(ours, theirs, rtol=0, atol=atol)


# single samples up to a second; at least one size is not zero, or the audio would never end
SIZES = st.lists(st.sampled_from([0, 1, 17, 159, 160, 161, 1280, 1281, 3840, 16000]), min_size=1, max_size=5).filter(
    lambda sizes: sum(sizes) / len(sizes) >= 100
)
LENGTHS = st.one_of(st.integers(1, 3000), st.integers(1, 40000))


class TestEqualsOffline:
    @pytest.mark.parametrize("kind", KINDS)
    @given(length=LENGTHS, sizes=SIZES)
    @settings(max_examples=10)
    def test_however_the_audio_is_cut(self, build, kind, length, sizes):
        model, audio = build(kind), speech(length)
        assert_same(streamed(StreamingEncoderSession(model), audio, sizes), offline(model, audio))

    @given(length=LENGTHS, sizes=SIZES)
    @settings(max_examples=5)
    def test_with_features_normalised_by_constants(self, build, length, sizes):
        features = build().cfg.preprocessor.features
        mean, std = [0.1 * i - 9 for i in range(features)], [1 + 0.01 * i for i in range(features)]
        model = build("regular", f"model.preprocessor.normalize={{fixed_mean:{mean},fixed_std:{std}}}")
        audio = speech(length)
        assert_same(streamed(StreamingEncoderSession(model), audio, sizes), offline(model, audio))

    @pytest.mark.parametrize("name", LAYERS)
    @given(length=LENGTHS, sizes=SIZES)
    @settings(max_examples=8)
    def test_with_contexts_for_each_layer(self, build, name, length, sizes):
        kind, contexts, max_context = LAYERS[name]
        model, audio = build(kind), speech(length)
        try:
            model.encoder.set_layer_contexts(contexts)
            ours = streamed(StreamingEncoderSession(model, max_context=max_context), audio, sizes)
            capped = [[left if left >= 0 else max_context, right] for left, right in contexts]
            model.encoder.set_layer_contexts(capped)
            assert_same(ours, offline(model, audio))
        finally:
            model.encoder.set_layer_contexts(None)

    @pytest.mark.parametrize("kind, contexts", [("regular", [[2, 0], [9, 0]]), ("chunked", [[3, 2], [12, 2]])])
    def test_with_contexts_set_at_the_layers_by_hand(self, build, kind, contexts):
        model, audio = build(kind), speech(30000)
        try:
            for layer, context in zip(model.encoder.layers, contexts):
                layer.self_attn.att_context_size = context
            ours = streamed(StreamingEncoderSession(model), audio, [1280])
            assert_same(ours, offline(model, audio))
        finally:
            model.encoder.set_layer_contexts(None)

    @pytest.mark.parametrize("kind, cap", [("regular", 3), ("chunked", 4)])
    def test_within_a_cap(self, build, kind, cap):
        model, audio = build(kind), speech(30000)
        try:
            model.encoder.context_cap = [cap, -1]
            assert_same(streamed(StreamingEncoderSession(model), audio, [1280]), offline(model, audio))
        finally:
            model.encoder.set_layer_contexts(None)

    @pytest.mark.parametrize("length", [1, 100, 159, 160, 161, 1439, 1440, 1441, 1599, 1600, 2720])
    @pytest.mark.parametrize("kind", ["regular", "chunked"])
    def test_short_audio(self, build, kind, length):
        model, audio = build(kind), speech(length)
        session = StreamingEncoderSession(model)
        expected = offline(model, audio)
        assert_same(streamed(session, audio, [length]), expected)
        assert_same(streamed(session, audio, [50]), expected)  # the session starts anew after a flush

    @pytest.mark.parametrize("kind", ["regular", "chunked"])
    def test_long_pieces_go_through_in_blocks(self, build, kind):
        model, audio = build(kind), speech(16000 * 15)
        assert_same(streamed(StreamingEncoderSession(model), audio, [16000 * 15]), offline(model, audio))

    def test_local_attention_with_contexts_for_each_layer(self, build):
        model, audio = build("regular", "model.encoder.self_attention_model=rel_pos_local_attn"), speech(20000)
        with pytest.raises(
            ValueError, match="self_attention_model=rel_pos_local_attn without contexts for each layer"
        ):
            StreamingEncoderSession(model)
        model.encoder.set_layer_contexts([[4, 0], [8, 0]])
        assert_same(streamed(StreamingEncoderSession(model), audio, [1111]), offline(model, audio))

    def test_masked_after_the_subsampling(self, build):
        model, audio = build("regular", "model.mask_position=post_conv"), speech(20000)
        assert_same(streamed(StreamingEncoderSession(model), audio, [1111]), offline(model, audio))

    @pytest.mark.parametrize("kind", ["regular", "chunked"])
    def test_log_probs_and_tokens(self, build, kind):
        model, audio = build(kind), speech(20000)
        session = StreamingEncoderSession(model, return_log_probs=True, return_tokens=True)
        outputs = [session.push(piece.unsqueeze(0)) for piece in cut(audio, [700])] + [session.flush()]
        with torch.no_grad():
            expected = model.forward(
                input_signal=audio.unsqueeze(0), input_signal_length=torch.tensor([20000]), apply_mask=False
            )[0]
        log_probs = torch.cat([output.log_probs for output in outputs], dim=1)
        assert_same(log_probs, expected[:, : log_probs.size(1)], atol=1e-4)
        tokens = torch.cat([output.tokens for output in outputs], dim=1)
        assert torch.equal(tokens, log_probs.argmax(dim=2))
        assert StreamingEncoderSession(model).push(audio.unsqueeze(0)).tokens is None


class TestFeatures:
    """Features pushed in place of audio."""

    @pytest.mark.parametrize("kind", ["regular", "chunked", "regular, factor 2", "regular, no subsampling"])
    @given(frames=st.integers(1, 150), sizes=st.lists(st.sampled_from([0, 1, 7, 8, 9, 40]), min_size=1, max_size=4))
    @settings(max_examples=10)
    def test_in_pieces_equal_the_encoder(self, build, kind, frames, sizes):
        model, feats = build(kind), torch.randn(80, frames)
        with torch.no_grad():
            expected, lengths = model.encoder(audio_signal=feats.unsqueeze(0), length=torch.tensor([frames]))
        session = StreamingEncoderSession(model)
        pieces = cut_features(feats, [*sizes, 8])
        outputs = [session.push_features(piece.unsqueeze(0)) for piece in pieces] + [session.flush()]
        ours = torch.cat([output.features[0] for output in outputs], dim=1)
        assert_same(ours, expected[0, :, : lengths[0]])

    @pytest.mark.parametrize("kind", ["regular", "chunked"])
    def test_equal_audio(self, build, kind):
        model, audio = build(kind), speech(2, 20000)
        feats, lengths = model.preprocessor(input_signal=audio, length=torch.tensor([20000, 9000]))
        session = StreamingEncoderSession(model, batch_size=2)
        by_audio = [session.push(audio, [20000, 9000]), session.flush()]
        by_features = [session.push_features(feats, lengths), session.flush()]
        for row in range(2):
            ours, theirs = (
                torch.cat([output.features[row, :, : output.lengths[row]] for output in outputs], dim=1)
                for outputs in (by_features, by_audio)
            )
            assert_same(ours, theirs)

    def test_are_what_a_preprocessor_of_ones_own_takes(self, build, monkeypatch):
        class Louder(AudioToMelSpectrogramPreprocessor):
            def get_features(self, input_signal, length):
                feats, lengths = super().get_features(input_signal, length)
                return feats + 1, lengths

        model = build()
        monkeypatch.setattr(model.preprocessor, "__class__", Louder)
        session = StreamingEncoderSession(model)
        with pytest.raises(ValueError, match="preprocessor=Louder: has its own get_features, .* push_features"):
            session.push(speech(1, 16000))
        assert session.push_features(torch.randn(1, 80, 40)).lengths.item() > 0

    def test_count_as_heard_and_are_masked(self, build):
        model = build("regular", "model.masking.mask_prob=0.2")
        session = StreamingEncoderSession(model, batch_size=2, apply_mask=True)
        output = session.push_features(torch.randn(2, 80, 100), [100, 50])
        assert session.current_frame.tolist() == output.mask_lengths.tolist() == [100, 50]
        assert output.masks.shape == (2, 80, 100) and output.masks.any() and not output.masks[1, :, 50:].any()

    def test_and_audio_in_one_batch_but_not_in_one_stream(self, build):
        model, audio = build(), speech(2, 16000)
        session = StreamingEncoderSession(model, batch_size=2)
        session.push(audio, [5000, 0])
        session.push_features(torch.randn(2, 80, 20), [0, 20])
        before = session.state_dict()
        with pytest.raises(ValueError, match=r"features for streams \[0\], which have had audio"):
            session.push_features(torch.randn(2, 80, 1))
        with pytest.raises(ValueError, match=r"audio for streams \[1\], which have had features"):
            session.push(audio)
        for name, value in session.state_dict().items():
            assert torch.equal(value, before[name]) if isinstance(value, torch.Tensor) else value == before[name]
        first = session.push(audio[:, 5000:], [11000, 0]).features[0]  # each goes on with its own kind
        assert first.size(1) > 0
        session.flush([False, True])
        session.push(audio, [0, 16000])  # a stream that has ended may take the other kind
        session.reset([True, False])
        session.push_features(torch.randn(2, 80, 9), [9, 0])

    def test_state_goes_on_to_the_bit(self, build):
        model, feats = build("chunked"), torch.randn(1, 80, 90)
        session, again = StreamingEncoderSession(model), StreamingEncoderSession(model)
        session.push_features(feats[:, :, :41])
        again.load_state_dict(session.state_dict())
        expected = session.push_features(feats[:, :, 41:]).features, session.flush().features
        found = again.push_features(feats[:, :, 41:]).features, again.flush().features
        assert all(torch.equal(ours, theirs) for ours, theirs in zip(found, expected))

    @pytest.mark.parametrize(
        "feats, lengths, message",
        [
            (torch.zeros(2, 9, 80), None, r"feats of shape \(2, 9, 80\).*\(batch_size, features, F\).*80 features"),
            (torch.zeros(1, 80, 9), None, r"feats of shape \(1, 80, 9\).*batch_size=2"),
            (torch.zeros(80, 9), None, r"feats of shape \(80, 9\)"),
            (torch.zeros(2, 80, 9, dtype=torch.int64), None, "feats of dtype torch.int64: must be floats"),
            (None, None, "feats is a NoneType"),
            (torch.zeros(2, 80, 9), [9, 10], r"lengths=\[9, 10\].*from 0 to 9, the feature frames"),
        ],
    )
    def test_that_are_none(self, build, feats, lengths, message):
        with pytest.raises(ValueError, match=message):
            StreamingEncoderSession(build(), batch_size=2).push_features(feats, lengths)


def cut_features(feats, sizes):
    """Pieces of these sizes again and again, up to the end of (D, F)."""
    pieces, start = [], 0
    while start < feats.size(1):
        size = sizes[len(pieces) % len(sizes)]
        pieces.append(feats[:, start : start + size])
        start += size
    return pieces


class TestBatch:
    @pytest.mark.parametrize("kind", ["regular", "chunked", "chunked, SDPA, batch norm"])
    @given(data=st.data())
    @settings(max_examples=8)
    def test_ragged_streams_that_start_and_end_on_their_own(self, build, kind, data):
        model = build(kind)
        streams = Streams(StreamingEncoderSession(model, batch_size=3))
        heard = [torch.zeros(0)] * 3
        for _ in range(data.draw(st.integers(1, 8))):
            pieces = [speech(data.draw(st.sampled_from([0, 1, 900, 1280, 3840, 9000]))) for _ in range(3)]
            streams.push(pieces)
            heard = [torch.cat([before, piece]) for before, piece in zip(heard, pieces)]
            ends, dropped = (data.draw(st.lists(st.booleans(), min_size=3, max_size=3)) for _ in range(2))
            streams.flush(torch.tensor(ends))
            streams.session.reset(dropped)
            for row in range(3):
                if ends[row]:
                    self.check(model, streams.taken(row), heard[row])
                elif dropped[row]:
                    streams.taken(row)
                if ends[row] or dropped[row]:
                    heard[row] = torch.zeros(0)
        streams.flush()
        for row in range(3):
            self.check(model, streams.taken(row), heard[row])

    @staticmethod
    def check(model, ours, audio):
        if audio.numel() == 0:
            assert ours.size(1) == 0  # a stream that never was has no frame
        else:
            assert_same(ours, offline(model, audio))

    @pytest.mark.parametrize("kind", ["regular", "chunked"])
    def test_a_batch_equals_single_streams(self, build, kind):
        model, audio = build(kind), speech(4, 30000)
        batch, single = (StreamingEncoderSession(model, batch_size=size) for size in (4, 1))
        parts = [batch.push(audio[:, i : i + 1000]).features for i in range(0, 30000, 1000)] + [batch.flush().features]
        together = torch.cat(parts, dim=2)
        for row, one in zip(together, audio):
            assert_same(row, streamed(single, one, [1000]))

    def test_current_frame_is_what_each_stream_has_heard(self, build):
        session = StreamingEncoderSession(build(), batch_size=2)
        session.push(torch.zeros(2, 2000), [2000, 500])
        assert session.current_frame.tolist() == [12, 2]
        session.reset([True, False])
        assert session.current_frame.tolist() == [0, 2]

    def test_masking_is_told_the_current_frame(self, build):
        model = build("regular", "model.masking.mask_prob=0.2")
        session = StreamingEncoderSession(model, batch_size=2, apply_mask=True)
        told = []
        handle = model.mask_processor.register_forward_pre_hook(
            lambda _, args, kwargs: told.append(kwargs), with_kwargs=True
        )
        try:
            output = session.push(speech(2, 16000), [16000, 8000])
        finally:
            handle.remove()
        assert told[0]["current_frame"].tolist() == session.current_frame.tolist() == [99, 49]
        assert told[0]["effective_left_context"] == 5 and output.mask_lengths.tolist() == [99, 49]
        assert output.masks.shape == (2, 80, 99) and output.masks.any() and not output.masks[1, :, 49:].any()
        # and what is masked is what is encoded
        plain = StreamingEncoderSession(model, batch_size=2).push(speech(2, 16000), [16000, 8000])
        assert not torch.equal(plain.features, output.features)
        with pytest.raises(
            ValueError, match="apply_mask=True needs a model with a mask_processor and mask_position=pre"
        ):
            StreamingEncoderSession(build("regular", "model.mask_position=post_conv"), apply_mask=True)

    def test_masking_is_the_models(self, build, monkeypatch):
        model = build()
        monkeypatch.delattr(EncDecMaskedTokenPredModel, "mask_features")
        with pytest.raises(ValueError, match=r"needs a model with mask_features\(\); EncDecMasked.* has none"):
            StreamingEncoderSession(model, apply_mask=True)


CONTINUE = """
import sys, torch
torch.set_num_threads(1)
from nemo.collections.asr.models.ssl_models import EncDecMaskedTokenPredModel
from nemo.collections.asr.modules import AudioToMelSpectrogramPreprocessor
from nemo.collections.asr.parts.streaming import StreamingEncoderSession
given = torch.load(sys.argv[1], weights_only=False)
model = EncDecMaskedTokenPredModel(given["cfg"]).eval()
model.load_state_dict(given["model"])
session = StreamingEncoderSession(model, batch_size=2)
session.load_state_dict(given["state"])
outputs = [session.push(piece).features for piece in given["audio"].split(1000, dim=1)] + [session.flush().features]
torch.save(torch.cat(outputs, dim=2), sys.argv[2])
"""


class TestState:
    def test_goes_on_to_the_bit_in_another_process(self, build, tmp_path, children):
        model, audio = build("chunked"), speech(2, 40000)
        session = StreamingEncoderSession(model, batch_size=2)
        session.push(audio[:, :20001], [20001, 9000])
        given = dict(cfg=model.cfg, model=model.state_dict(), state=session.state_dict(), audio=audio[:, 20001:])
        torch.save(given, tmp_path / "given.pt")
        parts = [session.push(piece).features for piece in given["audio"].split(1000, dim=1)] + [
            session.flush().features
        ]
        expected = torch.cat(parts, dim=2)
        again = StreamingEncoderSession(model, batch_size=2)
        again.load_state_dict(given["state"])  # a copy: the first session has gone on since
        parts = [again.push(piece).features for piece in given["audio"].split(1000, dim=1)] + [again.flush().features]
        assert torch.equal(torch.cat(parts, dim=2), expected)
        files = [str(tmp_path / name) for name in ("given.pt", "result.pt")]
        children.run("-c", CONTINUE, *files)
        assert torch.equal(torch.load(files[1]), expected)

    def test_is_tensors_and_plain_numbers(self, build, tmp_path):
        session = StreamingEncoderSession(build())
        session.push(speech(1, 10000))
        torch.save(session.state_dict(), tmp_path / "state.pt")
        state = torch.load(tmp_path / "state.pt", weights_only=True)  # which refuses anything else
        session.load_state_dict(state)

    def test_does_not_grow(self, build):
        session = StreamingEncoderSession(build())
        sizes = set()
        for _ in range(12):
            session.push(speech(1, 16000))
            sizes.add((session.state_bytes(), bytes_of(session.state_dict().values())))
        assert len(sizes) == 1 and len({size for size in sizes.pop()}) == 1

    def test_nothing_else_grows(self, build):
        session, audio = StreamingEncoderSession(build("chunked")), speech(1, 16000 * 12)
        bytes_after = []
        for _ in range(2):
            for piece in cut(audio[0], [160, 900, 5000, 16000 * 9]):
                session.push(piece.unsqueeze(0))
            gc.collect()
            # plain ones: what other tests have left of fake tensors has no memory
            bytes_after.append(bytes_of(x for x in gc.get_objects() if type(x) in (torch.Tensor, torch.nn.Parameter)))
        assert bytes_after[1] <= bytes_after[0]

    @pytest.mark.parametrize("kind", ["regular", "chunked", "regular, no subsampling"])
    @given(data=st.data())
    @settings(max_examples=15)
    def test_that_counts_what_cannot_be_is_refused(self, build, kind, data):
        session = StreamingEncoderSession(build(kind), batch_size=2)
        for count in data.draw(st.lists(st.sampled_from([1, 200, 1280, 5000, 12000]), max_size=4)):
            session.push(speech(2, count), [count, count // 3])
        state = session.state_dict()
        session.load_state_dict(state)  # what a session gave is always taken
        name = data.draw(st.sampled_from(["features.samples", "features.frames", "encoder.heard", "encoder.made"]))
        row = data.draw(st.integers(0, 1))
        wrong = list(state[name])
        wrong[row] += data.draw(st.sampled_from([-1, 1, 3, 1000, 10**6, 2**63, 10**30]))
        try:
            StreamingEncoderSession(build(kind), batch_size=2).load_state_dict({**state, name: wrong})
        except ValueError as error:
            assert "state '" in str(error)
        else:  # fewer or more samples may make the same frames, and without any the features may have been pushed
            fed_by_features = name == "encoder.heard" and state["features.samples"][row] == 0
            assert fed_by_features or (name == "features.samples" and abs(wrong[row] - state[name][row]) < 160)

    @pytest.mark.parametrize("state", [None, [], "x"])
    def test_of_another_kind_is_refused(self, build, state):
        with pytest.raises(ValueError, match="state is a .*: must be what state_dict"):
            StreamingEncoderSession(build()).load_state_dict(state)

    def test_that_does_not_fit_is_refused_by_name(self, build):
        session = StreamingEncoderSession(build("chunked"), batch_size=2)
        session.push(speech(2, 10000))
        state, before = session.state_dict(), session.state_dict()
        for change, message in (
            (lambda s: s.pop("encoder.made"), "state 'encoder.made': missing"),
            (lambda s: s.update(extra=1), "state 'extra': unknown"),
            (
                lambda s: s.update(contexts=[[3, 2], [6, 2]]),
                r"state 'contexts' is \[\[3, 2\], \[6, 2\]\], must be \[\[6, 2\], \[6, 2\]\] here",
            ),
            (
                lambda s: s.update({"features.tail": s["features.tail"][:1]}),
                "state 'features.tail' is a tensor of shape",
            ),
            (lambda s: s.update({"encoder.made": [1]}), "state 'encoder.made' is 1 numbers >= 0, must be 2"),
            (
                lambda s: s.update({"encoder.layers.1.attention.end": 1}),
                "state 'encoder.layers.1.attention.end' is 1: must be from 6 to",
            ),
            (lambda s: s.update({"encoder.layers.0.attention.end": True}), "end' is a bool, must be a number"),
        ):
            changed = dict(state)
            change(changed)
            with pytest.raises(ValueError, match=message):
                session.load_state_dict(changed)
        after = session.state_dict()
        assert all(
            torch.equal(after[k], v) if isinstance(v, torch.Tensor) else after[k] == v for k, v in before.items()
        )
        with pytest.raises(ValueError, match="state 'batch_size' is 2, must be 1 here"):
            StreamingEncoderSession(build("chunked")).load_state_dict(state)


def bytes_of(things):
    """The memory of the tensors among some things, views of the same memory once."""
    storages = {x.untyped_storage().data_ptr(): x.untyped_storage() for x in things if isinstance(x, torch.Tensor)}
    return sum(storage.nbytes() for storage in storages.values())


def snapshot(model):
    """Everything that a model is: its tensors by identity, shape and version, its other attributes as they print."""
    seen = {}
    for path, module in model.named_modules():
        seen[path, "training"] = module.training
        for kind in ("_parameters", "_buffers"):
            for name, x in getattr(module, kind).items():
                seen[path, name] = (
                    None if x is None else (id(x), x.shape, x.requires_grad, x.is_inference() or x._version)
                )
        for name, value in vars(module).items():
            if not name.startswith("_") and not isinstance(value, (torch.nn.Module, torch.Tensor)):
                seen[path, name] = (type(value), repr(value))
    return seen


def train_one_step(model):
    """Loss, gradients and a step of the optimizer, as training does; the model is in eval mode again afterwards."""
    model.train()
    try:
        optimizer = torch.optim.SGD(model.encoder.parameters(), lr=1e-3)
        encoded, _ = model.encoder(audio_signal=torch.randn(2, 80, 120), length=torch.tensor([120, 90]))
        encoded.square().mean().backward()
        optimizer.step()
        gradient = model.encoder.layers[0].self_attn.linear_pos.weight.grad
        assert gradient.isfinite().all() and gradient.any()
    finally:
        model.eval()
        model.zero_grad(set_to_none=True)


class TestTheModel:
    # the positions of a block of 64 encoder frames and 64 before it just fit into the model's table of 128
    @pytest.mark.parametrize("max_context", [8, 64, 65, 127, 128, 129, 500])
    def test_is_what_it_was_and_can_train(self, build, max_context):
        model = build("regular", "model.encoder.att_context_size=[-1,0]", "model.encoder.pos_emb_max_len=128")
        before = snapshot(model)
        session = StreamingEncoderSession(
            model, batch_size=2, max_context=max_context, return_tokens=True, apply_mask=True
        )
        assert snapshot(model) == before
        for samples in speech(2, 40000).split(9000, dim=1):
            session.push(samples, [samples.size(1), samples.size(1) // 3])
        session.load_state_dict(session.state_dict())
        session.flush([True, False])
        session.reset()
        assert snapshot(model) == before
        train_one_step(model)

    @pytest.mark.parametrize("max_context", [65, 200])
    def test_positions_beyond_its_table_are_right(self, build, max_context):
        model, audio = build("regular", "model.encoder.pos_emb_max_len=128"), speech(16000 * 12)
        try:
            model.encoder.set_layer_contexts([[-1, 0], [-1, 0]])
            ours = streamed(StreamingEncoderSession(model, max_context=max_context), audio, [7000])
            model.encoder.set_layer_contexts([[max_context, 0]] * 2)
            assert_same(ours, offline(model, audio))
        finally:
            model.encoder.set_layer_contexts(None)

    @pytest.mark.parametrize("mode", [torch.inference_mode, torch.no_grad, torch.enable_grad])
    def test_what_comes_out_can_be_trained_on(self, build, mode):
        with mode():
            session = StreamingEncoderSession(build(), return_log_probs=True, apply_mask=True)
        head = torch.nn.Linear(32, 3)
        for samples in speech(1, 12000).split(5000, dim=1):
            with mode():
                output = session.push(samples)
            for x in (output.features, output.lengths, output.log_probs, output.masks):
                assert not x.is_inference() and not x.requires_grad
            loss = head(output.features.transpose(1, 2)).sum() + (output.log_probs * head.bias[0]).sum()
            loss.backward()
            for x in (output.features, output.log_probs, output.masks):
                x.mul_(head.bias[0])  # and in place
        with mode():
            assert not session.flush().features.is_inference()
        assert head.weight.grad.any()


class TestKindsOfInput:
    """What users have at hand: arrays, lists, tensors of another dtype; the same comes out of all."""

    def features(self, model, samples, lengths=None, ends=None):
        session = StreamingEncoderSession(model, batch_size=2)
        pushed = session.push(samples, lengths)
        return torch.cat([pushed.features, session.flush(ends).features], dim=2)

    @pytest.mark.parametrize(
        "convert",
        [
            torch.Tensor.numpy,
            torch.Tensor.tolist,
            list,
            lambda x: list(x.numpy()),
            lambda x: x.numpy().astype("float64"),
            lambda x: np.frombuffer(x.numpy().tobytes(), dtype=np.float32).reshape(2, -1),  # not writable
            lambda x: np.ascontiguousarray(x.numpy()[:, ::-1])[:, ::-1],  # goes backwards in memory
            lambda x: x.numpy().astype(">f4"),  # as some files have it
            lambda x: x.double().requires_grad_(),
        ],
    )
    def test_samples(self, build, convert):
        samples = speech(2, 4000)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            ours = self.features(build(), convert(samples))
        assert torch.equal(ours, self.features(build(), samples))

    @pytest.mark.parametrize("lengths", [[3000, 1000], (3000, 1000), np.array([3000, 1000]), [3000.0, 1000.0]])
    def test_lengths(self, build, lengths):
        samples = speech(2, 4000)
        expected = self.features(build(), samples, torch.tensor([3000, 1000]))
        assert torch.equal(self.features(build(), samples, lengths), expected)

    @pytest.mark.parametrize("ends", [[True, False], (1, 0), np.array([True, False]), torch.tensor([1, 0])])
    def test_masks(self, build, ends):
        samples = speech(2, 4000)
        expected = self.features(build(), samples, ends=torch.tensor([True, False]))
        assert torch.equal(self.features(build(), samples, ends=ends), expected)

    @pytest.mark.parametrize(
        "samples, message",
        [
            (np.zeros((2, 9), np.int16), r"samples of dtype torch.int16.*floats.*divide int16 by 32768"),
            (torch.zeros(2, 9, dtype=torch.int32), r"samples of dtype torch.int32.*floats"),
            (torch.zeros(2, 9, dtype=torch.complex64), r"samples of dtype torch.complex64.*floats"),
            ([[1, 2], [3, 4]], r"samples of dtype torch.int64.*floats"),
            (np.zeros(9), r"samples of shape \(9,\).*\(batch_size, N\) with batch_size=2"),
            (np.zeros((2, 1, 9)), r"samples of shape \(2, 1, 9\)"),
            (np.zeros((9, 2)), r"samples of shape \(9, 2\)"),
            (0.5, r"samples of shape \(\)"),
            ([[0.1], [0.1, 0.2]], r"samples is a list.*cannot be made a tensor"),
            (None, r"samples is a NoneType.*cannot be made a tensor"),
            ("a.wav", r"samples is a str.*cannot be made a tensor"),
            ({"samples": 1}, r"samples is a dict.*cannot be made a tensor"),
        ],
    )
    def test_samples_that_are_none(self, build, samples, message):
        with pytest.raises(ValueError, match=message):
            StreamingEncoderSession(build(), batch_size=2).push(samples)

    @pytest.mark.parametrize(
        "lengths, message",
        [
            (torch.tensor([[9, 9]]), r"lengths of shape \(1, 2\).*\(batch_size,\) with batch_size=2"),
            (torch.tensor(9), r"lengths of shape \(\)"),
            (9, r"lengths of shape \(\)"),
            ([9, 9, 9], r"lengths of shape \(3,\)"),
            ([9, 8.5], r"lengths=\[9.0, 8.5\].*integers from 0 to 9"),
            ([9, float("inf")], r"lengths=\[9.0, inf\].*integers from 0 to 9"),
            ([9, float("nan")], r"lengths=\[9.0, nan\].*integers from 0 to 9"),
            ([9, 10], r"lengths=\[9, 10\].*integers from 0 to 9"),
            ([9, -1], r"lengths=\[9, -1\].*integers from 0 to 9"),
            (np.array([True, True]), r"lengths of dtype torch.bool"),
            ([9, None], r"lengths is a list.*cannot be made a tensor"),
            ("99", r"lengths is a str.*cannot be made a tensor"),
        ],
    )
    def test_lengths_that_are_none(self, build, lengths, message):
        with pytest.raises(ValueError, match=message):
            StreamingEncoderSession(build(), batch_size=2).push(torch.zeros(2, 9), lengths)

    @pytest.mark.parametrize(
        "mask, message",
        [
            (True, r"mask of shape \(\).*\(batch_size,\) with batch_size=2"),
            (torch.tensor(True), r"mask of shape \(\)"),
            (np.array([[True, False]]), r"mask of shape \(1, 2\)"),
            ([True], r"mask of shape \(1,\)"),
            ([0, 2], r"mask=\[0, 2\].*true or false"),
            ([0.0, float("nan")], r"mask=\[0.0, nan\].*true or false"),
            (["yes", "no"], r"mask is a list.*cannot be made a tensor"),
        ],
    )
    def test_masks_that_are_none(self, build, mask, message):
        session = StreamingEncoderSession(build(), batch_size=2)
        for call in (session.flush, session.reset):
            with pytest.raises(ValueError, match=message):
                call(mask)


class TestRefusals:
    def test_every_reason_at_once(self, build):
        model = build(
            "regular",
            "model.preprocessor.normalize=per_feature",
            "model.encoder.causal_downsampling=false",
            "model.encoder.conv_context_size=null",
            "model.encoder.self_attention_model=abs_pos",
            "model.encoder.att_context_size=[5,1]",
        )
        with pytest.raises(ValueError) as error:
            StreamingEncoderSession(model)
        lines = str(error.value).splitlines()
        assert lines[0] == "this model cannot stream:" and len(lines) == 6
        for reason in (
            "preprocessor.normalize=per_feature averages over the whole utterance",
            "encoder.subsampling=dw_striding sees 7 feature frames ahead",
            "encoder.conv_context_size=null looks",
            "self_attention_model=abs_pos: must be rel_pos",
            "att_context_style=regular with right context 1: must be 0",
        ):
            assert reason in str(error.value)

    @pytest.mark.parametrize(
        "overrides, message",
        [
            (["reduction=striding", "reduction_position=0", "reduction_factor=2"], "reduction"),
            (["subsampling=stacking"], "downsampling: encoder.subsampling=stacking"),
            (["conv_norm_type=group_norm4"], "conv_norm_type=group_norm4 averages over the whole utterance"),
            (["att_context_size=[-1,0]"], "max_context=None: layers have an unlimited left context"),
            (["att_context_size=[-1,-1]"], "regular with right context -1"),
        ],
    )
    def test_one_reason(self, build, overrides, message):
        options = [f"++{ENCODER}{option}" for option in overrides]
        with pytest.raises(ValueError, match=message):
            StreamingEncoderSession(build("regular", *options))

    def test_max_context_must_be_whole_chunks(self, build):
        model = build("chunked", "model.encoder.att_context_size=[-1,2]")
        for value, message in ((7, "must be a multiple of right"), (True, "integer"), (-1, "integer")):
            with pytest.raises(ValueError, match=f"max_context={value}.*{message}"):
                StreamingEncoderSession(model, max_context=value)

    def test_a_model_in_train_mode(self, build):
        model = build()
        session = StreamingEncoderSession(model)
        model.train()
        try:
            for call in (
                lambda: StreamingEncoderSession(model),
                lambda: session.push(torch.zeros(1, 1)),
                session.flush,
            ):
                with pytest.raises(ValueError, match="train mode"):
                    call()
        finally:
            model.eval()

    def test_a_part_of_the_model_in_train_mode(self, build):
        model = build()
        model.encoder.layers[1].feed_forward1.dropout.train()
        try:
            with pytest.raises(ValueError, match="train mode"):
                StreamingEncoderSession(model)
        finally:
            model.eval()

    @pytest.mark.parametrize("part", ["encoder", "preprocessor"])
    def test_a_part_that_was_put_in_train_mode_since(self, build, part):
        model = build()
        session = StreamingEncoderSession(model)
        getattr(model, part).train()
        try:
            with pytest.raises(ValueError, match="train mode"):
                session.push(torch.zeros(1, 1))
        finally:
            model.eval()

    def test_a_model_without_what_is_asked_for(self, build):
        model = build()
        with pytest.raises(ValueError, match="batch_size=0: must be an integer >= 1"):
            StreamingEncoderSession(model, batch_size=0)

        class NoEncoder(torch.nn.Module):
            encoder = preprocessor = torch.nn.Linear(1, 1).eval()

        with pytest.raises(ValueError, match="encoder: Linear cannot stream"):
            StreamingEncoderSession(NoEncoder().eval())

    def test_samples_and_lengths_that_do_not_fit(self, build):
        session = StreamingEncoderSession(build(), batch_size=2)
        for samples, lengths, message in (
            (torch.zeros(100), None, r"shape \(100,\)"),
            (torch.zeros(3, 100), None, r"batch_size=2"),
            (torch.zeros(2, 100, dtype=torch.int16), None, "must be floats"),
            (torch.zeros(2, 100), [100], r"lengths of shape \(1,\)"),
            (torch.zeros(2, 100), [100, 101], "must be integers from 0 to 100"),
            (torch.zeros(2, 100), torch.tensor([-1, 0]), "must be integers from 0 to 100"),
        ):
            with pytest.raises(ValueError, match=message):
                session.push(samples, lengths)

    def test_entering_twice(self, build):
        session = StreamingEncoderSession(build())
        with session:
            session.push(speech(1, 5000))
            with pytest.raises(RuntimeError, match="StreamingEncoderSession is in use already"):
                session.__enter__()
        assert session.current_frame.tolist() == [0]
        with session:
            pass


class TestPrecisionAndDevices:
    @pytest.mark.parametrize("dtype, tolerance", [(torch.bfloat16, 0.15), (torch.float16, 0.03)])
    def test_half_precision(self, build, nest_config, dtype, tolerance):
        model, audio = build("chunked"), speech(16000)
        half = EncDecMaskedTokenPredModel(model.cfg).eval()
        half.load_state_dict(model.state_dict())
        half = half.to(dtype)
        session = StreamingEncoderSession(half)
        ours = streamed(session, audio, [1777])
        assert ours.dtype == dtype and session.state_dict()["features.tail"].dtype == torch.float32
        theirs = offline(half, audio)
        assert ours.shape == theirs.shape
        exact = offline(model, audio)
        error = (ours.float() - exact).abs().mean()
        assert error <= 1.5 * (theirs.float() - exact).abs().mean() + 1e-3  # as good as the model's own forward
        assert (ours.float() - theirs.float()).abs().mean() < tolerance

    def test_everything_is_on_the_models_device(self, build):
        model = build("chunked")
        on_meta = EncDecMaskedTokenPredModel(model.cfg).eval().to("meta")
        session = StreamingEncoderSession(on_meta, batch_size=2, return_tokens=True)
        for lengths in (None, [16000, 333], [0, 9000]):
            output = session.push(torch.zeros(2, 16000), lengths)
            session.flush([False, True])
            session.reset([True, False])
        state = session.state_dict().values()
        assert {x.device.type for x in state if isinstance(x, torch.Tensor)} == {"meta"}
        assert {x.device.type for x in (output.features, output.lengths, output.tokens)} == {"meta"}

    @pytest.mark.run_only_on("GPU")
    @pytest.mark.parametrize("kind", ["regular", "chunked"])
    def test_on_a_gpu_it_equals_the_cpu(self, build, kind):
        model, audio = build(kind), speech(30000)
        expected = offline(model, audio)
        on_gpu = EncDecMaskedTokenPredModel(model.cfg).eval()
        on_gpu.load_state_dict(model.state_dict())
        ours = streamed(StreamingEncoderSession(on_gpu.cuda()), audio, [1777])
        assert_same(ours.cpu(), expected, atol=1e-3)

    def test_look_ahead_and_sample_rate(self, build):
        regular, chunked = StreamingEncoderSession(build()), StreamingEncoderSession(build("chunked"))
        assert regular.sample_rate == 16000 and regular.chunk_samples == 1280 and chunked.chunk_samples == 3840
        assert regular.lookahead_ms == 12.5 and chunked.lookahead_ms == 172.5
