# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

import pytest
import torch
import torch.nn.functional as F
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.profiler import ProfilerActivity, profile

from nemo.collections.asr.modules.ssl_modules import RandomProjectionVectorQuantizer, quantizers

# frames that are no multiple of `combine_time_steps`
UNEVEN = pytest.mark.fix4(
    fails_with=RuntimeError, match="is invalid for input of size|mat1 and mat2 shapes cannot be multiplied"
)


def pair(dist_fn="l2", **options):
    """A quantizer, and NeMo's own with the same weights and `dist_fn: l2`."""
    options = {"feat_in": 5, "code_dim": 16, "num_classes": 32, "num_books": 1, "combine_time_steps": 8, **options}
    quantizer = RandomProjectionVectorQuantizer(dist_fn=dist_fn, **options)
    # in plain NeMo the class itself
    original = next(c for c in reversed(type(quantizer).__mro__) if c.__name__ == type(quantizer).__name__)
    original = original(dist_fn="l2", **options)
    original.load_state_dict(quantizer.state_dict())
    return quantizer, original


def peak_memory(run):
    """Bytes that `run` holds at a time on the CPU, at most: the running sum of what it allocates and frees."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        run()
    events = [event for event in profiler.profiler.kineto_results.events() if event.name() == "[memory]"]
    held = peak = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        held += event.nbytes()
        peak = max(peak, held)
    return peak


class TestRandomProjectionVectorQuantizer:
    @pytest.mark.parametrize("time_ahead", [True, False])
    @pytest.mark.parametrize("books, squeeze", [(1, True), (1, False), (4, False)])
    @pytest.mark.parametrize("frames", [40, *(pytest.param(frames, marks=UNEVEN) for frames in (1, 39, 41))])
    def test_fills_the_last_group_up_with_zeros(self, time_ahead, books, squeeze, frames):
        quantizer = RandomProjectionVectorQuantizer(
            feat_in=5,
            code_dim=4,
            num_classes=32,
            num_books=books,
            dist_fn="l2",
            time_ahead=time_ahead,
            squeeze_single=squeeze,
            combine_time_steps=8,
        )
        feats = torch.randn(2, 5, frames)
        padded = F.pad(feats, (0, -frames % 8))
        if time_ahead:
            feats, padded = feats.transpose(1, 2), padded.transpose(1, 2)
        quantized, tokens = quantizer(input_signal=feats)
        expected = quantizer(input_signal=padded)
        assert torch.equal(quantized, expected[0]) and torch.equal(tokens, expected[1])
        assert tokens.shape == (2, -(-frames // 8)) + (() if squeeze else (books,))

    @pytest.mark.parametrize("dist_fn", ["l2", "cosine"])
    @pytest.mark.parametrize("time_ahead", [True, False])
    @pytest.mark.parametrize("books, squeeze", [(1, True), (1, False), (4, True), (4, False)])
    def test_tokens_and_codes_are_those_of_nemos_l2(self, dist_fn, time_ahead, books, squeeze):
        quantizer, original = pair(dist_fn, num_books=books, time_ahead=time_ahead, squeeze_single=squeeze)
        # padding frames too, which are equally far from all codes
        feats = torch.randn(2, 5, 168)
        feats[1, :, 80:] = 0
        if time_ahead:
            feats = feats.transpose(1, 2)
        results, expected = quantizer(input_signal=feats), original(input_signal=feats)
        for ours, theirs in zip(results, expected):
            assert torch.equal(ours, theirs)
            assert (ours.dtype, ours.stride(), ours.requires_grad) == (theirs.dtype, theirs.stride(), False)

    @pytest.mark.parametrize("dist_fn", ["l2", "cosine"])
    @pytest.mark.parametrize("books", [1, 4])
    def test_a_token_differs_only_between_codes_that_are_equally_near(self, dist_fn, books):
        quantizer, original = pair(dist_fn, num_books=books, num_classes=256, time_ahead=True)
        feats = torch.randn(10, 8 * 1000 // books, 5)
        tokens, expected = quantizer(input_signal=feats)[1], original(input_signal=feats)[1]
        vectors = F.normalize(quantizer.proj(feats.reshape(-1, 40)).view(-1, books, 16), dim=-1)
        book, differs = torch.arange(books), (tokens != expected).reshape(-1, books)
        ours, theirs = (
            (vectors - quantizer.codebooks[book, found.reshape(-1, books)]).norm(dim=-1)
            for found in (tokens, expected)
        )
        assert tokens.numel() == 10000 and differs.sum() <= 1
        assert ((ours - theirs).abs()[differs] < 1e-6).all()

    @pytest.mark.parametrize("max_scores", [1, 100, 32 * 7, 2**30])
    def test_the_chunks_size_changes_no_token(self, max_scores, monkeypatch):
        quantizer, original = pair(num_books=3)
        feats = torch.randn(2, 5, 8 * 11)
        monkeypatch.setattr(quantizers, "MAX_SCORES", max_scores)
        assert torch.equal(quantizer(input_signal=feats)[1], original(input_signal=feats)[1])

    @pytest.mark.parametrize("shape", [(0, 5, 16), (2, 5, 0)])
    def test_nothing_in_gives_nothing_out(self, shape):
        codes, tokens = pair()[0](input_signal=torch.empty(shape))
        assert codes.shape == (shape[0], 16, shape[2] // 8, 1) and tokens.shape == (shape[0], shape[2] // 8, 1)

    @pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
    @pytest.mark.parametrize("books", [1, 4])
    def test_autocast_and_half_precision_give_nemos_tokens(self, dtype, books):
        quantizer, original = pair(num_books=books)
        feats = torch.randn(4, 5, 800)
        with torch.autocast("cpu", dtype=dtype):
            for inputs in (feats, feats.to(dtype)):
                for ours, theirs in zip(quantizer(input_signal=inputs), original(input_signal=inputs)):
                    assert torch.equal(ours, theirs) and ours.dtype == theirs.dtype
        # a whole model in half precision: NeMo rounds each distance to it, here none is rounded
        codes, tokens = quantizer.to(dtype)(input_signal=feats.to(dtype))
        vectors = quantizer._project(feats.to(dtype)).double().unsqueeze(-2)
        distances = (vectors - quantizer.codebooks.double()).norm(dim=-1)
        chosen = distances.gather(-1, tokens.unsqueeze(-1)).squeeze(-1)
        assert codes.dtype == dtype and (chosen - distances.amin(dim=-1)).max() < 1e-12

    def test_codes_have_a_gradient_in_the_codebooks_only(self):
        quantizer, original = pair(freeze=False, num_books=4)
        feats = torch.randn(2, 5, 80, requires_grad=True)
        weights = torch.randn(2, 10, 16, 4).transpose(1, 2)
        for module in (quantizer, original):
            codes, tokens = module(input_signal=feats)
            (codes * weights).sum().backward()
            assert feats.grad is None and module.proj.weight.grad is None and not tokens.requires_grad
        torch.testing.assert_close(quantizer.codebooks.grad, original.codebooks.grad)

    @pytest.mark.parametrize("dist_fn", ["l2", "cosine"])
    @pytest.mark.parametrize("books", [1, 4])
    @pytest.mark.parametrize("time_ahead", [True, False])
    def test_on_a_gpu_nothing_waits_for_the_device(self, dist_fn, books, time_ahead):
        quantizer = pair(dist_fn, num_books=books, time_ahead=time_ahead)[0]
        weights = quantizer.state_dict()
        with FakeTensorMode(), torch.device("cuda:0"):
            fakes = {name: torch.empty(weight.shape, dtype=weight.dtype) for name, weight in weights.items()}
            quantizer.load_state_dict(fakes, assign=True)
            feats = torch.empty((2, 83, 5) if time_ahead else (2, 5, 83))
            codes, tokens = quantizer(input_signal=feats)
            assert codes.device == tokens.device == feats.device and codes.dtype == torch.float64
            assert codes.shape == ((2, 11, 16, books) if time_ahead else (2, 16, 11, books))

    @pytest.mark.run_only_on("GPU")
    @pytest.mark.parametrize("dist_fn", ["l2", "cosine"])
    @pytest.mark.parametrize("books", [1, 4])
    def test_on_a_gpu_tokens_are_nemos(self, dist_fn, books):
        quantizer, original = (module.cuda() for module in pair(dist_fn, num_books=books, num_classes=256))
        feats = torch.randn(4, 5, 8000, device="cuda")
        quantizer(input_signal=feats)
        torch.cuda.set_sync_debug_mode("error")
        try:
            tokens = quantizer(input_signal=feats)[1]
        finally:
            torch.cuda.set_sync_debug_mode("default")
        assert (tokens != original(input_signal=feats)[1]).float().mean() <= 1e-4

    def test_memory_is_a_twentieth_of_nemos(self):
        # NeMo's is proportional to the frames, so a tenth of 4 x 1500 shows at least what those show
        quantizer, original = pair(feat_in=80, num_classes=8192, combine_time_steps=1)
        feats = torch.randn(4, 80, 150)
        peaks = [peak_memory(lambda: module(input_signal=feats)) for module in (quantizer, original)]
        assert 0 < peaks[0] <= peaks[1] / 20

    def test_checkpoints_fit_both_ways(self):
        quantizer, original = pair(num_books=4)
        ours, theirs = quantizer.state_dict(), original.state_dict()
        assert {key: (value.shape, value.dtype) for key, value in ours.items()} == {
            key: (value.shape, value.dtype) for key, value in theirs.items()
        }

    @pytest.mark.parametrize("time_ahead", [True, False])
    @pytest.mark.parametrize("books", [1, 4])
    def test_switched_off_it_is_nemos(self, time_ahead, books, monkeypatch):
        quantizer = pair(num_books=books, time_ahead=time_ahead)[0]
        feats = torch.randn((2, 83, 5) if time_ahead else (2, 5, 83))
        expected = quantizer(input_signal=feats)
        monkeypatch.setattr(quantizers, "is_on", lambda fast_path: fast_path != "quantizer")
        monkeypatch.setattr(quantizers, "nearest_codes", pytest.fail)
        for result, value in zip(quantizer(input_signal=feats), expected):
            assert torch.equal(result, value)


@pytest.mark.parametrize("books", [1, 3])
class TestWhereValuesCannotBeLookedAt:
    """Tokens and codes are the same in a graph, which serves any number of frames."""

    @pytest.fixture
    def quantizer(self, books, monkeypatch):
        monkeypatch.setattr(quantizers, "MAX_SCORES", 1)  # eagerly each frame has its own matmul
        return pair(num_books=books)[0]

    @staticmethod
    def check(call, quantizer, frames=(80, 96, 83)):
        for count in frames:
            feats = torch.randn(2, 5, count)
            for result, value in zip(call(feats), quantizer(input_signal=feats)):
                assert torch.equal(result, value)

    @pytest.mark.long_run
    @pytest.mark.parametrize("dynamic", [True, None])
    def test_compiled_it_is_one_graph(self, quantizer, dynamic):
        torch._dynamo.reset()
        compiled = torch.compile(quantizer, fullgraph=True, dynamic=dynamic, backend="aot_eager")
        self.check(lambda feats: compiled(input_signal=feats), quantizer)

    @pytest.mark.representative("False-3")
    @pytest.mark.parametrize("strict", [True, False])
    def test_exported(self, quantizer, strict):
        shapes = {"input_signal": {2: 8 * torch.export.Dim("groups")}}
        inputs = {"input_signal": torch.randn(2, 5, 160)}
        program = torch.export.export(quantizer, (), kwargs=inputs, dynamic_shapes=shapes, strict=strict)
        self.check(lambda feats: program.module()(input_signal=feats), quantizer, frames=(80, 240))

    def test_fake_tensors(self, quantizer, books):
        with FakeTensorMode(allow_non_fake_inputs=True) as mode:
            codes, tokens = quantizer(input_signal=mode.from_tensor(torch.randn(2, 5, 83)))
        assert codes.shape == (2, 16, 11, books) and tokens.shape == (2, 11, books) and tokens.device.type == "cpu"

    def test_vmap(self, quantizer):
        call = torch.func.vmap(lambda x: quantizer(input_signal=x))
        self.check(lambda feats: [result[0] for result in call(feats.unsqueeze(0))], quantizer)
