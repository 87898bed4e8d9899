# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nemo.collections.asr.parts.submodules import _subsampling_base as plain
from nemo.collections.asr.parts.submodules import subsampling as ours
from nemo.collections.asr.parts.submodules.subsampling import ConvSubsampling


def build(module=ours, kind="dw_striding", causal=True, activation=torch.nn.ReLU, **options):
    """The same weights each time."""
    torch.manual_seed(0)
    sizes = dict(subsampling_factor=8, feat_in=10, feat_out=6, conv_channels=4)
    return module.ConvSubsampling(kind, **sizes, activation=activation(), is_causal=causal, **options)


def run(module, feats, lengths):
    """Output, lengths and gradients."""
    feats = feats.detach().requires_grad_()
    out, out_lengths = module(feats, lengths)
    parameters = [p for p in module.parameters()]
    return out.detach(), out_lengths, *torch.autograd.grad(out.float().square().sum(), [feats, *parameters])


def assert_equal(ones, others):
    assert len(ones) == len(others)
    for one, other in zip(ones, others):
        assert one.dtype == other.dtype and torch.equal(one, other)


class TestConvSubsampling:
    @given(
        kind=st.sampled_from(["dw_striding", "striding"]),
        causal=st.booleans(),
        frames=st.integers(1, 90),
        shares=st.lists(st.sampled_from([0.0, 0.1, 0.5, 1.0]), min_size=1, max_size=3),
        activation=st.sampled_from([torch.nn.ReLU, lambda: torch.nn.ReLU(True), torch.nn.SiLU]),
    )
    @settings(max_examples=80)
    def test_is_nemos_to_the_bit(self, kind, causal, frames, shares, activation):
        feats = torch.randn(len(shares), frames, 10)
        lengths = torch.tensor([max(1, int(share * frames)) for share in shares])
        assert_equal(*(run(build(m, kind, causal, activation), feats, lengths) for m in (ours, plain)))

    @pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
    def test_in_other_precisions(self, dtype):
        feats, lengths = torch.randn(2, 50, 10).to(dtype), torch.tensor([50, 23])
        assert_equal(*(run(build(m).to(dtype), feats, lengths) for m in (ours, plain)))

    def test_under_autocast(self):
        feats, lengths = torch.randn(2, 50, 10), torch.tensor([50, 23])
        with torch.autocast("cpu", torch.bfloat16):
            assert_equal(*(run(build(m), feats, lengths) for m in (ours, plain)))

    def test_split_by_batch(self):
        feats, lengths = torch.randn(4, 50, 10), torch.tensor([50, 23, 8, 1])
        assert_equal(*(run(build(m, subsampling_conv_chunking_factor=2), feats, lengths) for m in (ours, plain)))

    def test_state_dicts_stay_what_they_are_and_hooks_are_called(self):
        module, called = build(), []
        assert list(module.state_dict()) == list(build(plain).state_dict())
        module.conv[2].register_forward_hook(lambda *_: called.append(1))
        feats, lengths = torch.randn(2, 50, 10), torch.tensor([50, 23])
        assert_equal(run(module, feats, lengths), run(build(plain), feats, lengths))
        assert called

    def test_keeps_less_for_the_backward_pass_than_nemo(self):
        kept = []
        for module in (ours, plain):
            sizes = {}

            def count(tensor):
                sizes[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
                return tensor

            with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
                out = build(module)(torch.randn(2, 400, 10), torch.tensor([400, 300]))[0]
            assert out.requires_grad
            kept.append(sum(sizes.values()))
        assert kept[0] < 0.9 * kept[1]

    def test_nothing_waits_for_the_device(self):
        feats, lengths = torch.empty(2, 50, 10, device="meta"), torch.empty(2, dtype=torch.long, device="meta")
        out, out_lengths = build().to("meta")(feats, lengths)
        out.sum().backward()
        assert out.device.type == out_lengths.device.type == "meta"

    @pytest.mark.run_only_on("GPU")
    def test_on_a_gpu(self):
        feats, lengths = torch.randn(2, 50, 10).cuda(), torch.tensor([50, 23]).cuda()
        assert_equal(*(run(build(m).cuda(), feats, lengths)[:2] for m in (ours, plain)))

    def test_the_encoder_has_it(self):
        from nemo.collections.asr.modules import ConformerEncoder

        encoder = ConformerEncoder(feat_in=10, n_layers=1, d_model=8, subsampling="dw_striding", subsampling_factor=8)
        assert type(encoder.pre_encode) is ConvSubsampling and encoder.pre_encode.conv._stages() is not None
