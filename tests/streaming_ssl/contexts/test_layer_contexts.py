# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf

from nemo.collections.asr.modules import ConformerEncoder
from nemo.collections.asr.modules import _conformer_encoder_base as plain
from nemo.collections.asr.parts.submodules import _conformer_modules_base as plain_modules

CONTEXTS = [[2, 1], [6, 1], [12, 1]]
KINDS = [
    (model, style, sdpa)
    for model, style, sdpa in itertools.product(
        ("rel_pos", "abs_pos", "rel_pos_local_attn"), ("regular", "chunked_limited"), (False, True)
    )
    if not (sdpa and model == "rel_pos_local_attn")  # NeMo has no such encoder
]


def build(model="rel_pos", style="regular", sdpa=False, context=(12, 1), encoder_class=ConformerEncoder, **options):
    """A small causal encoder in eval mode, the same weights each time."""
    torch.manual_seed(0)
    defaults = dict(
        feat_in=16,
        n_layers=3,
        d_model=32,
        n_heads=4,
        subsampling="dw_striding",
        subsampling_factor=8,
        subsampling_conv_channels=8,
        causal_downsampling=True,
        conv_kernel_size=5,
        conv_context_size="causal",
        conv_norm_type="layer_norm",
        pos_emb_max_len=100,
    )
    kind = dict(self_attention_model=model, att_context_style=style, use_pytorch_sdpa=sdpa)
    encoder = encoder_class(**{**defaults, **kind, "att_context_size": list(context), **options}).eval()
    for name, parameter in encoder.named_parameters():
        if "pos_bias" in name:  # NeMo starts them at zero
            torch.nn.init.normal_(parameter, std=0.5)
    return encoder


def features(batch=3, frames=250):
    torch.manual_seed(1)
    return torch.randn(batch, 16, frames), torch.tensor([frames, frames - 60, 40][:batch])


def explicit_mask(context, style, lengths, num_frames):
    """True where query i must not see key j, straight from the definition, (B, T, T)."""
    left, right = (num_frames if reach < 0 else reach for reach in context)
    allowed = torch.zeros(len(lengths), num_frames, num_frames, dtype=torch.bool)
    for b, i, j in itertools.product(range(len(lengths)), range(num_frames), range(num_frames)):
        if style == "regular":
            inside = i - left <= j <= i + right
        else:
            chunk = right + 1
            inside = i // chunk - left // chunk <= j // chunk <= i // chunk
        allowed[b, i, j] = inside and i < lengths[b] and j < lengths[b]
    return ~allowed


def layer_by_layer(encoder, feats, lengths, contexts):
    """The encoder's output from NeMo's own layers, each run by hand under its own explicit mask."""
    x, lengths = encoder.pre_encode(x=feats.transpose(1, 2), lengths=lengths)
    x, pos_emb = encoder.pos_enc(x=x)
    pad_mask = torch.arange(x.size(1)) >= lengths.unsqueeze(1)
    for layer, context in zip(encoder.layers, contexts):
        mask = explicit_mask(context, encoder.att_context_style, lengths.tolist(), x.size(1))
        x = plain_modules.ConformerLayer.forward(layer, x, att_mask=mask, pos_emb=pos_emb, pad_mask=pad_mask)
    return x.transpose(1, 2)


class TestLayerContexts:
    @pytest.mark.parametrize("model, style, sdpa", KINDS)
    def test_each_layer_attends_within_its_own_window(self, model, style, sdpa):
        encoder = build(model, style, sdpa)
        feats, lengths = features()
        before = encoder(audio_signal=feats, length=lengths)[0]
        encoder.set_layer_contexts(CONTEXTS)
        output, encoded_lengths = encoder(audio_signal=feats, length=lengths)
        reference = build("rel_pos" if "rel_pos" in model else model, style, sdpa)
        reference.load_state_dict(encoder.state_dict())
        expected = layer_by_layer(reference, feats, lengths, CONTEXTS)
        for b, length in enumerate(encoded_lengths):
            torch.testing.assert_close(output[b, :, :length], expected[b, :, :length], rtol=0, atol=1e-5)
        assert (output - before).abs().max() > 1e-3
        # and one context alone changes the output
        encoder.layers[1].self_attention.att_context_size = [2, 1]
        assert (output - encoder(audio_signal=feats, length=lengths)[0]).abs().max() > 1e-4

    @pytest.mark.parametrize("model, style, sdpa", KINDS)
    def test_without_layer_contexts_it_is_nemo_to_the_bit(self, model, style, sdpa):
        ours, nemos = build(model, style, sdpa), build(model, style, sdpa, encoder_class=plain.ConformerEncoder)
        assert list(ours.state_dict()) == list(nemos.state_dict())
        feats, lengths = features()
        expected = nemos(audio_signal=feats, length=lengths)[0]
        assert torch.equal(ours(audio_signal=feats, length=lengths)[0], expected)
        ours.set_layer_contexts(CONTEXTS)
        ours(audio_signal=feats, length=lengths)
        assert list(ours.state_dict()) == list(nemos.state_dict())
        ours.set_layer_contexts(None)
        assert torch.equal(ours(audio_signal=feats, length=lengths)[0], expected)

    def test_the_encoder_follows_the_widest_layer(self):
        encoder = build(context=(12, 0))
        encoder.layers[0].self_attention.att_context_size = [3, 0]
        encoder.layers[2].self_attention.att_context_size = [20, 0]
        assert encoder.layer_contexts == [[3, 0], [12, 0], [20, 0]]
        encoder(audio_signal=features()[0], length=features()[1])
        assert encoder.att_context_size == [20, 0] and encoder.streaming_cfg.last_channel_cache_size == 20
        assert encoder.layers[1].self_attn.att_context_size == [12, 0]
        encoder.layers[2].self_attention.att_context_size = [-1, 0]
        encoder.setup_streaming_params()
        assert encoder.att_context_size == [-1, 0]
        encoder.set_layer_contexts(None)
        assert encoder.att_context_size == [12, 0] and encoder.layer_contexts == [[12, 0]] * 3

    @pytest.mark.parametrize("several", [False, True], ids=["one context", "several contexts"])
    @pytest.mark.parametrize("style, default", [("regular", [4, 0]), ("chunked_limited", [4, 1])])
    def test_layer_contexts_are_true_after_the_default_was_set(self, style, default, several):
        contexts = [[4, 3], [12, 3], [-1, 3]]
        encoder = build(style=style, context=[[12, 3], default] if several else [12, 3])
        encoder.set_layer_contexts(contexts)
        encoder.set_default_att_context_size(default)
        assert encoder.layer_contexts == [default] * 3

        feats, lengths = features()
        other = build(style=style)
        other.set_layer_contexts(encoder.layer_contexts)
        out, expected = (e(audio_signal=feats, length=lengths)[0] for e in (encoder, other))
        torch.testing.assert_close(out, expected, atol=1e-6, rtol=0)
        encoder.set_default_att_context_size([12, 3] if several else [-1, -1])
        assert encoder.own_layer_contexts == contexts

    @pytest.mark.parametrize("default", [[4], "low", [4, -2]])
    def test_a_bad_default_is_refused(self, default):
        encoder = build()
        encoder.set_layer_contexts(CONTEXTS)
        with pytest.raises(ValueError, match="att_context_size"):
            encoder.set_default_att_context_size(default)
        assert encoder.layer_contexts == CONTEXTS

    @pytest.mark.parametrize("style, sizes", [("regular", [[4, 0], [8, 1]]), ("chunked_limited", [[4, 0], [8, 3]])])
    def test_with_sampled_contexts_a_window_is_what_both_see(self, style, sizes):
        right = 0 if style == "regular" else 1
        contexts = [[2, right], [6, right], [20, right]]
        encoder = build(style=style, context=sizes, att_context_probs=[0.5, 0.5], dropout=0.0, dropout_att=0.0)
        encoder = encoder.train()
        for module in encoder.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0
        encoder.set_layer_contexts(contexts)
        feats, lengths = features(batch=1)
        x, lengths = encoder.pre_encode(x=feats.transpose(1, 2), lengths=lengths)
        x, pos_emb = encoder.pos_enc(x=x)
        pad_mask = torch.arange(x.size(1)) >= lengths.unsqueeze(1)
        possible = []
        for sampled in sizes:
            y = x
            for layer, context in zip(encoder.layers, contexts):
                masks = [explicit_mask(c, style, lengths.tolist(), x.size(1)) for c in (context, sampled)]
                y = plain_modules.ConformerLayer.forward(
                    layer, y, att_mask=masks[0] | masks[1], pos_emb=pos_emb, pad_mask=pad_mask
                )
            possible.append(y.transpose(1, 2))
        seen = set()
        for _ in range(12):
            output = encoder(audio_signal=feats, length=features(batch=1)[1])[0]
            seen |= {i for i, y in enumerate(possible) if torch.allclose(output, y, atol=1e-5)}
        assert seen == {0, 1} and encoder.att_context_size == sizes[0]

    @pytest.mark.parametrize("context", [[4, 0], [4, 4]])
    def test_the_default_context_can_still_be_set_narrower(self, context):
        encoder = build(context=(12, 0))
        encoder.set_layer_contexts([[2, 0], [6, 0], [12, 0]])
        encoder.set_default_att_context_size(context)
        feats, lengths = features(batch=1)
        output = encoder(audio_signal=feats, length=lengths)[0]
        expected = layer_by_layer(build(), feats, lengths, [[2, 0], [4, 0], [4, 0]])
        torch.testing.assert_close(output, expected, rtol=0, atol=1e-5)

    def test_adapters_and_other_attention_models_keep_the_contexts(self):
        from nemo.core.classes.mixins.adapter_mixins import get_registered_adapter

        info = get_registered_adapter(ConformerEncoder)
        assert issubclass(info.adapter_class, ConformerEncoder)
        encoder = build(context=(12, 1))
        sizes = dict(d_model=32, n_heads=4, pos_emb_max_len=100, dropout=0.1, dropout_emb=0.0, dropout_att=0.0)
        encoder._cfg = OmegaConf.create(sizes)
        for layer, context in zip(encoder.layers, CONTEXTS):  # by hand, and not in force yet
            layer.self_attention.att_context_size = context
        encoder.change_attention_model("abs_pos")
        assert encoder.layer_contexts == CONTEXTS and encoder.self_attention_model == "abs_pos"

    @given(st.lists(st.integers(-1, 9), min_size=3, max_size=3), st.integers(0, 40))
    @settings(max_examples=20)
    def test_a_change_at_t_moves_nothing_before_t(self, lefts, changed):
        encoder = build(context=(12, 0))
        encoder.set_layer_contexts([[left, 0] for left in lefts])
        embeddings = torch.randn(1, 41, 32)
        other = embeddings.clone()
        other[:, changed:] = torch.randn(1, 41 - changed, 32)
        lengths = torch.tensor([41])
        outputs = [encoder(audio_signal=x, length=lengths, bypass_pre_encode=True)[0] for x in (embeddings, other)]
        assert torch.equal(outputs[0][..., :changed], outputs[1][..., :changed])

    def test_reach_is_the_sum_of_the_layers_left_contexts_and_convolutions(self):
        encoder = build(context=(12, 0)).double()
        lefts = [2, 5, 9]
        encoder.set_layer_contexts([[left, 0] for left in lefts])
        embeddings = torch.randn(1, 60, 32, dtype=torch.double)
        other = embeddings.clone()
        other[:, 0] = torch.randn(32)  # a constant would vanish in the layer norms
        lengths = torch.tensor([60])
        first, second = (
            encoder(audio_signal=x, length=lengths, bypass_pre_encode=True)[0] for x in (embeddings, other)
        )
        moved = (first != second).any(dim=1)[0]
        reach = sum(lefts) + 3 * 4  # three layers' convolutions of five frames see four frames back
        assert moved[: reach + 1].all() and not moved[reach + 1 :].any()


class TestCache:
    @staticmethod
    def stream(encoder, feats, chunk):
        """Encodes feature frames chunk by chunk, each with the real history that the subsampling needs."""
        encoder.setup_streaming_params()
        caches = encoder.get_initial_cache_state(batch_size=feats.size(0))
        outputs, done = [], 0
        total = -(-feats.size(2) // 8)
        while done < total:
            stop = min(done + chunk, total)
            # two encoder frames are made again, from the frames that three convolutions of stride 2 look back at
            history = min(done, 2)
            part = feats[..., 8 * (done - history) : 8 * (stop - 1) + 1]
            encoder.streaming_cfg.drop_extra_pre_encoded = history
            output = encoder(
                audio_signal=part,
                length=torch.full((feats.size(0),), part.size(2)),
                cache_last_channel=caches[0],
                cache_last_time=caches[1],
                cache_last_channel_len=caches[2],
            )
            output, caches = output[0], output[2:]
            outputs.append(output)
            done = stop
        return torch.cat(outputs, dim=2)

    @pytest.mark.parametrize("model", ["rel_pos", "rel_pos_local_attn"])
    @pytest.mark.parametrize("style, right, chunk", [("regular", 0, 1), ("regular", 0, 3), ("chunked_limited", 1, 2)])
    def test_chunks_with_cache_equal_the_full_forward(self, model, style, right, chunk):
        encoder = build(model, style, context=(12, max(right, "local" in model)))
        encoder.set_layer_contexts([[2, right], [6, right], [12, right]])
        feats, lengths = features(batch=2, frames=8 * 31 + 1)
        lengths = torch.full((2,), feats.size(2))
        full = encoder(audio_signal=feats, length=lengths)[0]
        streamed = self.stream(encoder, feats, chunk)
        torch.testing.assert_close(streamed, full, rtol=0, atol=1e-4)

    def test_absolute_positions_are_refused(self):
        with pytest.raises(ValueError, match="abs_pos: a cache does not know absolute positions"):
            self.stream(build("abs_pos"), features()[0], 2)

    def test_unlimited_left_context_with_cache(self):
        encoder = build(context=(-1, 0))
        feats, _ = features(batch=1, frames=8 * 20 + 1)
        full = encoder(audio_signal=feats, length=torch.tensor([feats.size(2)]))[0]
        encoder.set_layer_contexts([[4, 0], [-1, 0], [-1, 0]])
        narrow = encoder(audio_signal=feats, length=torch.tensor([feats.size(2)]))[0]
        assert (full - narrow).abs().max() > 1e-4
        setup = encoder.setup_streaming_params
        encoder.setup_streaming_params = lambda: setup(max_context=300)  # more than pos_emb_max_len
        torch.testing.assert_close(self.stream(encoder, feats, 7), narrow, rtol=0, atol=1e-4)


class TestBadContexts:
    @pytest.mark.parametrize(
        "style, contexts, message",
        [
            ("regular", [[4, 0]] * 2, "2 contexts for 3 layers"),
            ("regular", [[4, 0], [4], [4, 0]], r"context of layer 1=\[4\]: must be \[left, right\]"),
            ("regular", [[4, 0], [4, 0], [-2, 0]], "left context of context of layer 2=-2: must be an integer >= -1"),
            ("chunked_limited", [[4, 1], [5, 1], [4, 1]], r"layer 1=\[5, 1\]: the left context must be a multiple of"),
            (
                "chunked_limited",
                [[4, 1], [4, 0], [4, 1]],
                r"layer 1=\[4, 0\]: the right context must be 1 as in layer 0",
            ),
            ("chunked_limited", [[4, 1], [4, -1], [4, 1]], "must be limited for att_context_style=chunked_limited"),
        ],
    )
    def test_are_refused_and_change_nothing(self, style, contexts, message):
        encoder = build(style=style)
        with pytest.raises(ValueError, match=message):
            encoder.set_layer_contexts(contexts)
        assert encoder.layer_contexts == [[12, 1]] * 3

    def test_a_bad_context_set_by_hand_is_refused_at_the_next_forward(self):
        encoder = build()
        encoder.layers[1].self_attention.att_context_size = 40
        with pytest.raises(ValueError, match=r"context of layer 1=40: must be \[left, right\]"):
            encoder(audio_signal=features()[0], length=features()[1])

    def test_global_tokens_cannot_be_combined_with_layer_contexts(self):
        encoder = build("rel_pos_local_attn", global_tokens=1)
        with pytest.raises(ValueError, match="global_tokens=1: must be 0"):
            encoder.set_layer_contexts(CONTEXTS)

    def test_probabilities_sum_to_one_within_rounding(self):
        sizes = [[4, 0], [8, 0], [12, 0]]
        assert build(context=sizes, att_context_probs=[0.7, 0.2, 0.1]).att_context_probs == [0.7, 0.2, 0.1]
        with pytest.raises(ValueError, match="equal to one"):
            build(context=sizes, att_context_probs=[0.7, 0.2, 0.2])
        with pytest.raises(ValueError, match="must be one for each of"):
            build(context=sizes, att_context_probs=[0.7, 0.3])
