# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nemo.collections.asr.modules import ConformerEncoder
from nemo.collections.asr.modules import _conformer_encoder_base as plain_encoders
from nemo.collections.asr.parts.contexts import AttentionContext
from nemo.collections.asr.parts.submodules import _multi_head_attention_base as plain
from nemo.collections.asr.parts.submodules import attention_windows
from nemo.collections.asr.parts.submodules.attention_windows import Band, is_faster
from nemo.collections.asr.parts.submodules.banded_attention import banded_attention
from nemo.collections.asr.parts.submodules.multi_head_attention import (
    MultiHeadAttention,
    RelPositionMultiHeadAttention,
    RelPositionMultiHeadAttentionLongformer,
)

HEADS, DIM = 2, 8


def full_mask(left, right, style, lengths, frames):
    """True where a query must not see a key, straight from the definition, (B, T, T)."""
    query, key = torch.arange(frames).unsqueeze(1), torch.arange(frames)
    left, right = (frames if reach < 0 else reach for reach in (left, right))
    inside = (key >= query - left) & (key <= query + right)
    if style == "chunked_limited":
        chunk = right + 1
        behind = query // chunk - key // chunk
        inside = (behind >= 0) & (behind <= left // chunk)
    valid = torch.arange(frames) < lengths.unsqueeze(1)
    return ~(inside & valid.unsqueeze(1) & valid.unsqueeze(2))


def band_of(left, right, style, lengths, frames):
    return Band.of(AttentionContext(left, right), style, lengths, frames)


def build(cls, dropout=0.0, **options):
    """A layer with the same weights each time."""
    torch.manual_seed(0)
    biases = () if cls in (MultiHeadAttention, plain.MultiHeadAttention) else (None, None)
    layer = cls(HEADS, DIM, dropout, *biases, **options)
    for name, parameter in layer.named_parameters():
        if "pos_bias" in name:  # NeMo starts them at zero
            torch.nn.init.normal_(parameter, std=0.5)
    return layer


def run(layer, x, mask, upstream):
    """Output and gradients of input and parameters; no gradient is zero."""
    x = x.detach().requires_grad_()
    positions = torch.randn(1, 2 * x.size(1) - 1, DIM, generator=torch.Generator().manual_seed(1)).to(x.dtype)
    output = layer(x, x, x, mask=mask, pos_emb=positions)
    parameters = list(layer.parameters())
    gradients = torch.autograd.grad(output, [x, *parameters], upstream.to(output.dtype), allow_unused=True)
    return output.detach(), [torch.zeros_like(p) if g is None else g for p, g in zip([x, *parameters], gradients)]


@st.composite
def cases(draw):
    """(left, right, style, frames, lengths, block size)"""
    style = draw(st.sampled_from(["regular", "chunked_limited"]))
    right = draw(st.integers(0 if style == "chunked_limited" else -1, 5))
    left = draw(st.sampled_from([-1, 0, 1, 2, 7, 30]))
    if style == "chunked_limited" and left > 0:
        left = -(-left // (right + 1)) * (right + 1)
    frames = draw(st.integers(1, 70))
    lengths = draw(st.lists(st.sampled_from([0, 1, frames // 2, frames]), min_size=1, max_size=3))
    return left, right, style, frames, torch.tensor(lengths), draw(st.sampled_from([1, 4, 16, 64]))


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setitem(attention_windows.BLOCK_SIZE, "cpu", 8)


class TestEqualsTheFullMatrix:
    @given(cases(), st.sampled_from(["rel_pos", "abs_pos"]), st.booleans())
    @settings(max_examples=150)
    def test_outputs_and_gradients(self, case, model, sdpa):
        left, right, style, frames, lengths, size = case
        ours, theirs = {
            "rel_pos": (RelPositionMultiHeadAttention, plain.RelPositionMultiHeadAttention),
            "abs_pos": (MultiHeadAttention, plain.MultiHeadAttention),
        }[model]
        x, upstream = torch.randn(len(lengths), frames, DIM), torch.randn(len(lengths), frames, DIM)
        band = band_of(left, right, style, lengths, frames)
        with pytest.MonkeyPatch.context() as patch:
            patch.setitem(attention_windows.BLOCK_SIZE, "cpu", size)
            output, gradients = run(build(ours), x, band, upstream)
        mask = full_mask(left, right, style, lengths, frames)
        expected, expected_gradients = run(build(theirs, use_pytorch_sdpa=sdpa), x, mask, upstream)
        torch.testing.assert_close(output, expected, rtol=0, atol=1e-5)
        torch.testing.assert_close(gradients, expected_gradients, rtol=1e-4, atol=1e-4)
        # rows of padding: zeros, and then the bias of the last layer
        padding = torch.arange(frames) >= lengths.unsqueeze(1)
        bias = build(ours).linear_out.bias.detach()
        assert torch.equal(output[padding], bias.expand(int(padding.sum()), -1))

    @pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
    @pytest.mark.parametrize("autocast", [False, True])
    def test_half_precision_is_as_exact_as_nemos(self, small_blocks, dtype, autocast):
        if autocast and dtype == torch.float16:
            pytest.skip("NeMo avoids fp16 under autocast")
        frames, lengths = 40, torch.tensor([40, 25])
        x, upstream = torch.randn(2, frames, DIM), torch.randn(2, frames, DIM)
        band, mask = band_of(5, 1, "regular", lengths, frames), full_mask(5, 1, "regular", lengths, frames)
        truth = run(build(plain.RelPositionMultiHeadAttention).double(), x.double(), mask, upstream)
        errors, dtypes = [], []
        for cls, kind in ((RelPositionMultiHeadAttention, band), (plain.RelPositionMultiHeadAttention, mask)):
            layer = build(cls)
            with torch.autocast("cpu", dtype, enabled=autocast):
                half = run(layer, x, kind, upstream) if autocast else run(layer.to(dtype), x.to(dtype), kind, upstream)
            dtypes.append(half[0].dtype)
            errors.append(
                [float((a.double() - b).abs().max()) for a, b in zip([half[0], *half[1]], [truth[0], *truth[1]])]
            )
        assert dtypes[0] == dtypes[1]
        for ours, theirs in zip(*errors):
            assert ours <= 1.5 * theirs + 2e-2

    def test_dropout_has_the_gradients_of_what_it_computes(self):
        shape = (HEADS, 2, 11, 3)
        tensors = [torch.randn(shape, dtype=torch.double, requires_grad=True) for _ in range(4)]
        positions = torch.randn(HEADS, 6, 3, dtype=torch.double, requires_grad=True)
        band = band_of(4, 1, "regular", torch.tensor([11, 7]), 11)

        def attend(*inputs):
            torch.manual_seed(0)
            query, key, value, position_query, positions = inputs
            return banded_attention(query, key, value, band, position_query, positions, dropout=0.4, size=4)

        assert torch.autograd.gradcheck(attend, [*tensors, positions])

    def test_dropout_leaves_the_mean_as_it_is_and_at_a_rate_of_1_nothing(self):
        query, key, value = torch.randn(3, HEADS, 1, 30, 4)
        band = band_of(6, 0, "regular", torch.tensor([30]), 30)
        whole = banded_attention(query, key, value, band)
        draws = torch.stack([banded_attention(query, key, value, band, dropout=0.3) for _ in range(2000)])
        assert (draws[0] - draws[1]).abs().max() > 0.1
        torch.testing.assert_close(draws.mean(dim=0), whole, rtol=0, atol=0.15)
        assert (banded_attention(query, key, value, band, dropout=1.0) == 0).all()

    @given(st.integers(-1, 9), st.integers(0, 3), st.integers(0, 40))
    @settings(max_examples=40)
    def test_a_change_at_t_moves_nothing_that_does_not_see_it(self, left, right, changed):
        query, key, value = torch.randn(3, HEADS, 1, 41, 4)
        band = band_of(left, right, "regular", torch.tensor([41]), 41)
        before = banded_attention(query, key, value, band, size=8)
        key[:, :, changed:], value[:, :, changed:] = torch.randn(2, HEADS, 1, 41 - changed, 4)
        after = banded_attention(query, key, value, band, size=8)
        assert torch.equal(before[:, :, : max(0, changed - right)], after[:, :, : max(0, changed - right)])


class TestCost:
    @staticmethod
    def saved(frames, left):
        """Numbers that are kept for the backward pass."""
        sizes = {}

        def count(tensor):
            sizes[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes() // tensor.element_size()
            return tensor

        layer, x = build(RelPositionMultiHeadAttention), torch.randn(1, frames, DIM, requires_grad=True)
        positions = torch.randn(1, 2 * frames - 1, DIM)
        with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
            mask = band_of(left, 0, "regular", torch.tensor([frames]), frames)
            output = layer(x, x, x, mask=mask, pos_emb=positions)
        assert output.requires_grad
        return sum(sizes.values())

    def test_memory_grows_with_the_window_and_linearly_with_the_utterance(self):
        assert self.saved(1024, 8) < 2.2 * self.saved(512, 8)
        assert self.saved(512, 128) > 3 * self.saved(512, 8)

    def test_is_chosen_where_it_leaves_scores_out(self):
        def faster(left, right, frames, device):
            return is_faster(band_of(left, right, "regular", torch.tensor([frames]), frames), frames, device)

        cpu, cuda = torch.device("cpu"), torch.device("cuda")
        assert faster(40, 0, 188, cpu)
        assert not faster(40, 0, 100, cpu)
        assert not faster(-1, -1, 1500, cpu)
        assert faster(40, 0, 750, cuda)
        assert not faster(40, 0, 188, cuda)

    @pytest.mark.long_run
    def test_compiles_without_a_graph_break(self, small_blocks):
        layer, x = build(RelPositionMultiHeadAttention), torch.randn(2, 20, DIM, requires_grad=True)
        positions, mask = torch.randn(1, 39, DIM), band_of(3, 1, "regular", torch.tensor([20, 9]), 20)
        results = []
        for function in (layer, torch.compile(layer, backend="aot_eager", fullgraph=True)):
            output = function(x, x, x, mask=mask, pos_emb=positions)
            results.append([output, *torch.autograd.grad(output.square().sum(), [x, layer.linear_pos.weight])])
        torch.testing.assert_close(*results, rtol=1e-5, atol=1e-5)

    def test_nothing_waits_for_the_device(self):
        # on `meta`, as on a GPU, no value can be looked at without an error or a wait
        layer, x = build(RelPositionMultiHeadAttention).to("meta"), torch.empty(2, 300, DIM, device="meta")
        lengths = torch.empty(2, device="meta", dtype=torch.long)
        for style, right in (("regular", 0), ("regular", 2), ("chunked_limited", 1)):
            mask = band_of(4, right, style, lengths, 300)
            positions = torch.empty(1, 599, DIM, device="meta")
            output = layer(x.requires_grad_(), x, x, mask=mask, pos_emb=positions)
            output.sum().backward()
            assert output.device.type == x.grad.device.type == "meta"

    @pytest.mark.run_only_on("GPU")
    @pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
    def test_on_a_gpu_it_equals_the_full_matrix(self, dtype):
        frames, lengths = 700, torch.tensor([700, 300], device="cuda")
        x = torch.randn(2, frames, DIM, device="cuda", dtype=dtype)
        positions = torch.randn(1, 2 * frames - 1, DIM, device="cuda", dtype=dtype)
        mask = full_mask(40, 1, "regular", lengths.cpu(), frames).cuda()
        torch.cuda.set_sync_debug_mode("error")
        try:
            layer = build(RelPositionMultiHeadAttention).cuda().to(dtype)
            band = band_of(40, 1, "regular", lengths, frames)
            output = layer(x, x, x, mask=band, pos_emb=positions)
            output.float().sum().backward()
        finally:
            torch.cuda.set_sync_debug_mode("default")
        expected = build(plain.RelPositionMultiHeadAttention).cuda().to(dtype)(x, x, x, mask=mask, pos_emb=positions)
        torch.testing.assert_close(output, expected, rtol=0, atol=1e-4 if dtype == torch.float32 else 3e-2)


class TestEncoder:
    @staticmethod
    def build(encoder_class=ConformerEncoder, **options):
        torch.manual_seed(0)
        sizes = dict(feat_in=16, n_layers=2, d_model=16, n_heads=2, subsampling_factor=4, subsampling_conv_channels=4)
        kind = dict(subsampling="dw_striding", conv_kernel_size=5, conv_norm_type="layer_norm", pos_emb_max_len=400)
        return encoder_class(**{**sizes, **kind, "att_context_size": [12, 0], **options}).eval()

    @staticmethod
    def encode(encoder, frames=600):
        torch.manual_seed(1)
        feats = torch.randn(2, 16, frames)
        return encoder(audio_signal=feats, length=torch.tensor([frames, frames // 2]))[0]

    @pytest.fixture
    def calls(self, monkeypatch):
        """How often attention ran in blocks."""
        from nemo.collections.asr.parts.submodules import multi_head_attention

        made = []
        attend = multi_head_attention.banded_attention
        monkeypatch.setattr(
            multi_head_attention, "banded_attention", lambda *args, **kw: made.append(1) or attend(*args, **kw)
        )
        return made

    @pytest.mark.parametrize("model", ["rel_pos", "abs_pos", "rel_pos_local_attn"])
    @pytest.mark.parametrize("style", ["regular", "chunked_limited"])
    def test_blocks_and_full_matrix_agree_with_contexts_for_each_layer(self, calls, model, style):
        outputs = []
        for choice in ("never", "auto", "always"):
            options = dict(self_attention_model=model, att_context_style=style, att_context_size=[12, 1])
            encoder = self.build(banded_attention=choice, **options)
            encoder.set_layer_contexts([[4, 1], [12, 1]])
            outputs.append(self.encode(encoder))
            assert len(calls) == {"never": 0, "auto": 2, "always": 4}[choice]
        torch.testing.assert_close(outputs[1], outputs[0], rtol=0, atol=1e-5)
        assert torch.equal(outputs[1], outputs[2])

    def test_one_context_for_all_is_nemo_to_the_bit_unless_asked_for(self, calls):
        expected = self.encode(self.build(plain_encoders.ConformerEncoder))
        encoder = self.build()
        assert torch.equal(self.encode(encoder), expected) and not calls
        encoder.banded_attention = "auto"
        torch.testing.assert_close(self.encode(encoder), expected, rtol=0, atol=1e-5)
        assert len(calls) == 2
        assert torch.equal(self.encode(encoder, 120), self.encode(self.build(), 120)) and len(calls) == 2

    def test_unlimited_layers_take_the_full_matrix(self, calls):
        encoder = self.build(banded_attention="always")
        encoder.set_layer_contexts([[4, 0], [-1, -1]])
        self.encode(encoder)
        assert len(calls) == 1

    def test_another_choice_is_refused(self, nest_config):
        from nemo.collections.asr.models import EncDecMaskedTokenPredModel

        message = "banded_attention='sometimes': must be one of null, auto, always, never"
        with pytest.raises(ValueError, match=message):
            self.build(banded_attention="sometimes")
        encoder = self.build()
        with pytest.raises(ValueError, match=message):
            encoder.banded_attention = "sometimes"
        with pytest.raises(ValueError, match="encoder." + message):
            EncDecMaskedTokenPredModel(nest_config("model.encoder.banded_attention=sometimes"))

    def test_local_attention_is_still_a_kind_of_relative_attention(self):
        assert issubclass(RelPositionMultiHeadAttentionLongformer, RelPositionMultiHeadAttention)
