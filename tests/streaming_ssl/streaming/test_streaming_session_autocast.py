# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Under autocast streams are what the model's own forward is there, whatever their ages; state keeps its type."""

import pytest
import recognizer_models
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from stream_pieces import padded

from nemo.collections.asr.parts.streaming import StreamingEncoderSession

CHUNKED = "model.encoder.att_context_size=[4,1]", "model.encoder.att_context_style=chunked_limited"
KINDS = {
    "regular": (),
    "chunked": CHUNKED,
    "projected": ("model.encoder.feat_out=24", "model.encoder.xscaling=true"),
    "striding, batch norm, SDPA": (
        "model.encoder.subsampling=striding",
        "model.encoder.conv_norm_type=batch_norm",
        "+model.encoder.use_pytorch_sdpa=true",
    ),
}
LENGTHS = (20000, 13000)
SIZES = st.lists(st.tuples(st.integers(0, 6000), st.integers(0, 6000)), min_size=1, max_size=8)


@pytest.fixture(scope="module")
def build(nest_config):
    """build(kind): the same CTC model each time."""
    models = {}

    def built(kind):
        if kind not in models:
            models[kind] = recognizer_models.build(nest_config, "ctc", *KINDS[kind])
        return models[kind]

    return built


@pytest.fixture(scope="module")
def audio():
    torch.manual_seed(3)
    return [row[:length] for row, length in zip(recognizer_models.sounds(2, max(LENGTHS)), LENGTHS)]


def under_autocast():
    return torch.autocast("cpu", torch.bfloat16)


@torch.no_grad()
def offline(model, audio):
    """The encoder's features (D', T') and the decoder's log-probabilities (T', C) of a stream."""
    feats, length = model.preprocessor(input_signal=audio.unsqueeze(0), length=torch.tensor([audio.numel()]))
    encoded, length = model.encoder(audio_signal=feats, length=length)
    return encoded[0, :, : length[0]].float(), model.decoder(encoder_output=encoded)[0, : length[0]].float()


def streamed(session, audio, sizes):
    """The same of both streams, in pieces of these sizes, with all that is left at the end."""
    rest, outputs = list(audio), []
    for counts in [*sizes, LENGTHS]:
        pieces, rest = [x[:n] for x, n in zip(rest, counts)], [x[n:] for x, n in zip(rest, counts)]
        outputs.append(session.push(*padded(pieces)))
    outputs.append(session.flush())
    rows = [[(o.features[row, :, :n], o.log_probs[row, :n]) for o, n in lengths(outputs, row)] for row in range(2)]
    return [(torch.cat(f, dim=1).float(), torch.cat(p).float()) for f, p in (zip(*row) for row in rows)]


def lengths(outputs, row):
    return [(output, output.lengths[row]) for output in outputs]


@pytest.mark.parametrize("kind", KINDS)
@given(sizes=SIZES)
@settings(max_examples=8)
def test_any_cut_of_streams_of_any_age(build, audio, kind, sizes):
    model = build(kind)
    exact = [offline(model, own) for own in audio]
    with under_autocast():
        theirs = [offline(model, own) for own in audio]
        session = StreamingEncoderSession(model, 2, return_log_probs=True)
        ours = streamed(session, audio, sizes)
    for own, rounded, true in zip(ours, theirs, exact):
        for x, y, z in zip(own, rounded, true):
            assert x.shape == y.shape == z.shape
            spread = z.std()
            assert (x - z).abs().mean() <= 1.5 * (y - z).abs().mean() + 1e-3 * spread  # as good as the model's forward
            assert (x - y).abs().max() < 0.15 * z.abs().max()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("made_under", [True, False])
def test_the_types_of_state_and_features_do_not_depend_on_it(build, audio, kind, made_under):
    model = build(kind)
    with torch.autocast("cpu", torch.bfloat16, enabled=made_under):
        session = StreamingEncoderSession(model, 2)
    before = [(name, x.dtype) for name, x in session._state.tensors()]
    samples, counts = padded(audio)
    for enabled in (not made_under, made_under, not made_under):
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            output = session.push(samples, counts)
            assert output.features.dtype == torch.float32
            assert session.push(samples, [1500, 0]).features.dtype == torch.float32
        assert [(name, x.dtype) for name, x in session._state.tensors()] == before
        assert all(x.dtype == torch.float32 for _, x in session._state.tensors())
    session.load_state_dict(session.state_dict())


@pytest.mark.parametrize("kind", ["regular", "chunked"])
def test_masked_frames(nest_config, kind):
    from nemo.collections.asr.models import EncDecMaskedTokenPredModel

    overrides = KINDS[kind] or ("model.encoder.att_context_size=[4,0]",)
    model = EncDecMaskedTokenPredModel(nest_config(*overrides, "model.masking.mask_prob=0.2")).eval()
    with under_autocast():
        session = StreamingEncoderSession(model, 2, apply_mask=True, return_tokens=True)
        output = session.push(recognizer_models.sounds(2, 20000), [20000, 7000])
    assert output.masks.any() and output.features.isfinite().all()


@pytest.mark.run_only_on("GPU")
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_on_a_gpu(nest_config, audio, dtype):
    model = recognizer_models.build(nest_config, "ctc").cuda()
    with torch.autocast("cuda", dtype):
        session = StreamingEncoderSession(model, 2, return_log_probs=True)
        ours = streamed(session, audio, [(3000, 700), (0, 2000)])
    for own, samples in zip(ours, audio):
        exact = offline(model, samples.cuda())
        assert all((x - y).abs().max() < 0.2 * y.abs().max() for x, y in zip(own, exact))
