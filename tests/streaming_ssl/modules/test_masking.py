# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

import re

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch._subclasses.fake_tensor import FakeTensorMode

from nemo.collections.asr.modules.ssl_modules import masking as masking_module
from nemo.collections.asr.modules.ssl_modules.masking import ConvFeatureMaksingWrapper, RandomBlockMasking

# plain NeMo puts a float32 embedding into features of another dtype: an error, or features that become float32
PUTS_FLOAT32 = pytest.mark.fix3(fails_with=RuntimeError, match="Index put requires .* dtypes match", before="3.0.0")
MAKES_FLOAT32 = pytest.mark.fix3(fails_with=AssertionError, match=r"torch.float32 == torch.b?float16", since="3.0.0")
# it masks padding behind a short utterance; 3.0.0 masks nothing in one
MASKS_PADDING = pytest.mark.fix2(fails_with=AssertionError, match=r"not tensor\(True\)", before="3.0.0")
MASKS_NOTHING = pytest.mark.fix2(fails_with=AssertionError, match=r"tensor\(False\) == \(\d+ > 0\)", since="3.0.0")

STRIDE = 8  # feature frames per encoder frame
UNUSABLE = [
    ("mask_prob", "much"),
    ("mask_prob", None),
    ("mask_prob", float("nan")),
    ("mask_prob", float("inf")),
    ("block_size", 0),
    ("block_size", -3),
    ("block_size", None),
    ("block_size", float("nan")),
]
CAUSAL = {"causal": True, "left_context_size": 10, "context_stride": STRIDE}
# each of them masks something in NeMo 2.5.3 or 3.0.0, or nothing where it says so
TAKEN_BY_NEMO = [
    ("mask_prob", -0.1),
    ("mask_prob", 1.5),
    ("mask_prob", True),
    ("block_size", 40.0),
    ("block_size", 2.5),
    ("block_size", 0.5),
    ("block_size", True),
    ("max_mask_ratio", 0),
    ("max_mask_ratio", -1),
    ("max_mask_ratio", 1.5),
    ("max_mask_ratio", None),
    ("max_mask_ratio", "all"),
    ("max_mask_ratio", float("nan")),
]


def draw(masking, lengths, num_frames, dtype=torch.float32, **streaming):
    """One mask as (B, T) booleans, after the checks that hold for every mask."""
    feats = torch.randn(len(lengths), 3, num_frames).to(dtype)
    masked_feats, masks = masking(feats, torch.tensor(lengths), **streaming)
    assert masked_feats.shape == masks.shape == feats.shape
    assert masked_feats.dtype == masks.dtype == dtype
    assert ((masks == 0) | (masks == 1)).all()
    mask = masks[:, 0].bool()
    assert (masks.bool() == mask.unsqueeze(1)).all()
    expected = torch.where(mask.unsqueeze(1), masking.mask_embedding.to(dtype).view(1, -1, 1), feats)
    assert torch.equal(masked_feats, expected)
    return mask


def draw_ones(masking, lengths):
    """One mask of each length, as booleans."""
    return draw(masking, lengths, max(lengths))


def nemos_own():
    """NeMo's class, of which ours is a child; in plain NeMo the class itself."""
    return next(c for c in reversed(RandomBlockMasking.__mro__) if c.__name__ == RandomBlockMasking.__name__)


@st.composite
def maskings(draw_value, **fixed):
    """A masking with any options, and the number of frames and lengths of a batch for it."""
    options = {
        "mask_prob": draw_value(st.sampled_from([0.0, 0.01, 0.05, 0.3, 0.5, 0.9, 1.0])),
        "block_size": draw_value(st.sampled_from([1, 3, 8, 20, 48, 5000])),
        "allow_overlap": draw_value(st.booleans()),
        "max_mask_ratio": draw_value(st.sampled_from([0.1, 0.5, 0.8, 1.0])),
        "context_stride": draw_value(st.sampled_from([1, 4, STRIDE])),
        "left_context_size": draw_value(st.sampled_from([-1, 1, 2, 3, 5, 7, 10, 14, 40])),
        "causal": True,
        **fixed,
    }
    if options["causal"] is None:
        options["causal"] = draw_value(st.booleans())
    # utterances shorter than a few windows, where corrections come most, as often as long ones
    num_frames = draw_value(st.one_of(st.integers(0, 60), st.integers(0, 400)))
    length = st.one_of(st.sampled_from([0, 1, num_frames]), st.integers(0, num_frames))
    lengths = draw_value(st.lists(length.filter(lambda n: n <= num_frames), min_size=1, max_size=40))
    torch.manual_seed(draw_value(st.integers(0, 2**32)))
    return RandomBlockMasking(feat_in=3, **options), num_frames, lengths


def most_in(masking, size):
    """The most frames that may be masked in a window: its share, or one encoder step where the share is less."""
    return max(int(masking.max_mask_ratio * size), masking.context_stride)


def whole_steps(mask, first, stop, step):
    """Which encoder steps within [first, stop) are masked in full."""
    starts = range(-(-first // step) * step, stop - step + 1, step)
    return [bool(mask[start : start + step].all()) for start in starts]


class TestRandomBlockMasking:
    def test_a_window_that_is_drawn_too_full_keeps_as_many_masked_frames_as_it_may_have(self):
        options = dict(feat_in=2, mask_prob=1.0, block_size=10, allow_overlap=True, max_mask_ratio=0.6)
        masking = RandomBlockMasking(**options, causal=True, left_context_size=40)
        feats, lengths = torch.zeros(64, 2, 100), torch.full((64,), 100)
        for window in (40, 25):
            masks = masking(feats, lengths, current_frame=90, effective_left_context=window)[1]
            assert masks[:, 0].sum(dim=1).tolist() == [0.6 * window] * 64

    @pytest.mark.parametrize("stride", [1, 4, STRIDE])
    @given(st.data(), st.sampled_from([None, -1, 0, 1, 5, 7, 10, 40]))
    def test_streaming_masks_only_heard_frames_within_the_left_context(self, stride, data, effective):
        masking, num_frames, lengths = data.draw(maskings(context_stride=stride))
        # mostly with a full window behind them
        current = data.draw(st.lists(st.integers(0, num_frames + 20), min_size=len(lengths), max_size=len(lengths)))
        mask = draw(
            masking, lengths, num_frames, current_frame=torch.tensor(current), effective_left_context=effective
        )
        left = masking.left_context_size if effective is None else effective
        for row, length, frame in zip(mask, lengths, current):
            stop = min(frame, length)
            first = 0 if left < 0 else max(0, stop - left * masking.context_stride)
            assert not row[:first].any() and not row[stop:].any()
            assert row.sum() <= most_in(masking, stop - first)
            steps = whole_steps(row, first, stop, masking.context_stride)
            assert any(steps) == bool(steps and masking.mask_prob)

    @given(maskings())
    def test_whole_utterances_are_masked_in_every_window_up_to_the_ratio_and_never_in_padding(self, case):
        masking, num_frames, lengths = case
        mask, windows_of = masking.draw(torch.tensor(lengths), num_frames)
        for b, (row, length) in enumerate(zip(mask, lengths)):
            assert not row[length:].any()
            steps = whole_steps(row, 0, length, masking.context_stride)
            assert any(steps) == bool(steps and masking.mask_prob)
            windows = {w for w in zip(windows_of.first[b].tolist(), windows_of.stop[b].tolist()) if w[0] < w[1]}
            assert sum(stop - first for first, stop in windows) == length
            max_masked = {w: int(masking.max_mask_ratio * (w[1] - w[0])) for w in windows}
            over = [w for w in windows if row[slice(*w)].sum() > max_masked[w]]
            # one step is more than the ratio of its window only where it is more than that of every window
            assert len(over) <= 1
            for window in over:
                assert row[slice(*window)].sum() == masking.context_stride > max(max_masked.values())

    @given(maskings(causal=None))
    def test_forward_masks_what_draw_draws(self, case):
        masking, num_frames, lengths = case
        state = torch.get_rng_state()
        mask, windows = masking.draw(torch.tensor(lengths), num_frames)
        torch.set_rng_state(state)
        masks = masking(torch.zeros(len(lengths), 3, num_frames), torch.tensor(lengths))[1]
        assert torch.equal(masks[:, 0].bool(), mask)
        assert windows.per_utterance == 1 or masking.causal
        assert (windows.stop - windows.first).sum(dim=1).tolist() == lengths

    @given(maskings(causal=False), st.sampled_from([None, 5]), st.sampled_from([None, 1]))
    def test_without_causal_streaming_parameters_are_ignored(self, case, current_frame, left_context):
        masking, num_frames, lengths = case
        state = torch.get_rng_state()
        plain = draw(masking, lengths, num_frames)
        torch.set_rng_state(state)
        mask = draw(masking, lengths, num_frames, current_frame=current_frame, effective_left_context=left_context)
        assert torch.equal(mask, plain)
        for row, length in zip(mask, lengths):
            assert not row[length:].any()
            steps = whole_steps(row, 0, length, masking.context_stride)
            assert any(steps) == bool(steps and masking.mask_prob) and (masking.mask_prob or not row.any())

    @pytest.mark.parametrize("options", [(True, 0.01, 40), (True, 0.03, 40), (False, 0.5, 48), (False, 0.65, 20)])
    @pytest.mark.parametrize("seconds", [0.5, 2, 5, 20])
    def test_causal_masks_as_much_as_non_causal_and_every_frame_sometimes(self, options, seconds):
        overlap, prob, block = options
        common = dict(feat_in=1, allow_overlap=overlap, mask_prob=prob, block_size=block, context_stride=STRIDE)
        num_frames, batch = int(100 * seconds), int(4000 / seconds**0.5)
        lengths = torch.full((batch,), num_frames)
        feats = torch.zeros(batch, 1, num_frames)
        shares = []
        for left in (None, -(-4 * block // STRIDE), 40, -1):
            causal = {} if left is None else {"causal": True, "left_context_size": left}
            masks = RandomBlockMasking(**common, **causal)(feats, lengths)[1]
            shares.append(masks.mean().item())
            assert left is None or masks.amax(dim=0).all()
        assert max(abs(share - shares[0]) for share in shares) < 0.02

    @pytest.mark.parametrize("frames", [9, 12, 13, 20, 60, 100])
    def test_short_utterances_have_every_frame_masked_sometimes(self, frames):
        masking = RandomBlockMasking(feat_in=1, mask_prob=0.01, block_size=40, causal=True, context_stride=STRIDE)
        masks = masking(torch.zeros(2000, 1, frames), torch.full((2000,), frames))[1]
        # one whole step of nine frames is all that may be masked: the ninth frame can be in none
        assert masks.amax(dim=0).sum() == (8 if frames == 9 else frames)

    @pytest.mark.parametrize("overlap", [True, False])
    @pytest.mark.parametrize("left, block", [(1, 40), (2, 1), (5, 40), (9, 5), (11, 40), (14, 48)])
    def test_after_the_subsampling_every_stream_has_a_mask_within_the_ratio(self, left, block, overlap):
        masking = RandomBlockMasking(
            feat_in=1, mask_prob=0.01, block_size=block, allow_overlap=overlap, causal=True, left_context_size=left
        )
        for seed in range(3):
            torch.manual_seed(seed)
            current = torch.randint(1, 100, (300,))
            masks = masking(torch.zeros(300, 1, 100), torch.full((300,), 100), current_frame=current)[1]
            masked, window = masks[:, 0].sum(dim=1), current.clamp(max=left)
            assert (masked >= 1).all() and (masked <= (0.8 * window).floor().clamp(min=1)).all()

    @pytest.mark.parametrize("left", [1, 2, 5, 40])
    def test_frames_after_the_last_whole_step_are_masked_sometimes(self, left):
        masking = RandomBlockMasking(
            feat_in=1, mask_prob=0.01, block_size=40, causal=True, left_context_size=left, context_stride=STRIDE
        )
        masks = masking(torch.zeros(4000, 1, 21), torch.full((4000,), 21))[1]
        assert masks.amax(dim=0).all()

    @MASKS_NOTHING
    @pytest.mark.parametrize("overlap", [True, pytest.param(False, marks=MASKS_PADDING)])
    def test_masks_utterances_of_every_length(self, overlap):
        masking = RandomBlockMasking(feat_in=3, mask_prob=0.5, block_size=10, allow_overlap=overlap)
        for length in range(81):
            mask = draw(masking, [length, 80], 80)
            assert not mask[0, length:].any() and mask[0].any() == (length > 0)

    @pytest.mark.fix2(fails_with=IndexError, match=r"index \d+ is out of bounds", before="3.0.0")
    def test_an_utterance_alone_may_have_any_length(self):
        masking = RandomBlockMasking(feat_in=3, mask_prob=0.5, block_size=10, allow_overlap=False)
        for length in range(1, 81):
            draw(masking, [length], length)

    @pytest.mark.fix2(fails_with=AssertionError, match=r"assert tensor\(False\)")
    def test_the_configuration_that_nemo_ships_masks_something_in_each_short_utterance(self):
        masking = RandomBlockMasking(feat_in=3, mask_prob=0.01, block_size=40, allow_overlap=True)
        mask = draw(masking, [100] * 200, 100)
        assert mask.any(dim=1).all()

    def test_current_frame_may_be_an_int_or_a_tensor(self):
        feats = torch.randn(2, 80, 100).half()
        masking = RandomBlockMasking(feat_in=80, causal=True)
        results = []
        for current in (50, torch.tensor([50, 50]), torch.tensor([50, 50], dtype=torch.int32), torch.tensor(50)):
            torch.manual_seed(1)
            results.append(masking(feats, torch.tensor([100, 90]), current_frame=current)[1])
        assert results[0][:, 0, :50].any(dim=1).all() and not results[0][..., 50:].any()
        assert all(torch.equal(masks, results[0]) for masks in results)

    @PUTS_FLOAT32
    @pytest.mark.parametrize(
        "dtype", [*(pytest.param(x, marks=MAKES_FLOAT32) for x in (torch.float16, torch.bfloat16)), torch.float64]
    )
    @pytest.mark.parametrize("overlap", [True, False])
    def test_masks_and_features_keep_the_dtype(self, dtype, overlap):
        masking = RandomBlockMasking(feat_in=3, mask_prob=0.5, block_size=10, allow_overlap=overlap)
        assert draw(masking, [60, 80], 80, dtype=dtype).any()

    # it reads numbers of the device on the host, and from 3.0.0 on it mixes the two devices
    @pytest.mark.fix3(fails_with=RuntimeError, match="item.. cannot be called on meta tensors", before="3.0.0")
    @pytest.mark.fix3(fails_with=RuntimeError, match="device cpu is not on the expected device meta", since="3.0.0")
    @pytest.mark.parametrize("overlap", [True, False])
    def test_the_module_may_be_on_another_device(self, overlap):
        masking = RandomBlockMasking(feat_in=3, mask_prob=0.5, block_size=10, allow_overlap=overlap)
        feats = torch.empty(2, 3, 100, device="meta")
        for result in masking(feats, torch.tensor([100, 60], device="meta")):
            assert (result.device, result.shape) == (feats.device, feats.shape)

    @pytest.mark.parametrize("overlap", [True, False])
    @pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
    def test_features_on_another_device_are_masked_there_without_a_synchronisation(self, overlap, dtype):
        options = {"causal": True, "left_context_size": 5, "context_stride": STRIDE}
        masking = RandomBlockMasking(feat_in=3, mask_prob=0.5, block_size=10, allow_overlap=overlap, **options)
        with FakeTensorMode(allow_non_fake_inputs=True):
            feats = torch.empty(2, 3, 100, device="cuda:0", dtype=dtype)
            lengths = torch.empty(2, device="cuda:0", dtype=torch.long)
            calls = [{}, {"current_frame": 50}, {"current_frame": lengths}, {"effective_left_context": -1}]
            for streaming in calls:
                for result in masking(feats, lengths, **streaming):
                    assert (result.device, result.dtype, result.shape) == (feats.device, dtype, feats.shape)

    @pytest.mark.run_only_on("GPU")
    @pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
    def test_on_a_gpu_with_the_module_on_the_cpu(self, dtype):
        masking = RandomBlockMasking(feat_in=3, mask_prob=0.5, block_size=10, causal=True, left_context_size=40)
        feats = torch.randn(4, 3, 200, device="cuda", dtype=dtype)
        lengths = torch.tensor([200, 100, 9, 0], device="cuda")
        masking(feats, lengths)
        torch.cuda.set_sync_debug_mode("error")
        try:
            masked_feats, masks = masking(feats, lengths)
        finally:
            torch.cuda.set_sync_debug_mode("default")
        assert masked_feats.device == masks.device == feats.device and masks.dtype == dtype
        assert masks[:3].any(dim=2).all() and not masks[3].any() and not masks[1, :, 100:].any()

    def test_the_embedding_is_trained_unless_frozen(self):
        for freeze in (True, False):
            masking = RandomBlockMasking(feat_in=3, freeze=freeze, causal=True)
            feats = torch.randn(2, 3, 100, requires_grad=True)
            masked_feats, masks = masking(feats, torch.tensor([100, 90]))
            masked_feats.sum().backward()
            assert torch.equal(feats.grad, 1 - masks)
            assert (masking.mask_embedding.grad is None) == freeze

    def test_a_left_context_of_zero_masks_nothing(self):
        masking = RandomBlockMasking(feat_in=3, causal=True, left_context_size=0)
        assert not draw(masking, [100], 100).any()
        assert not draw(masking, [100], 100, current_frame=50).any()

    @pytest.mark.parametrize("ours", [{"causal": True}, {"left_context_size": 40}, {"context_stride": STRIDE}])
    @pytest.mark.parametrize("option, value", [*UNUSABLE, *TAKEN_BY_NEMO])
    def test_an_option_out_of_range_is_refused_by_name(self, option, value, ours):
        with pytest.raises(ValueError, match=re.escape(f"{option}={value!r}: must be")):
            RandomBlockMasking(feat_in=3, **{**ours, option: value})

    @pytest.mark.parametrize("option, value", UNUSABLE)
    def test_what_no_mask_can_be_drawn_with_is_refused_always(self, option, value):
        with pytest.raises(ValueError, match=re.escape(f"{option}={value!r}: must be")):
            RandomBlockMasking(feat_in=3, **{option: value})

    @pytest.mark.parametrize("overlap", [True, False])
    @pytest.mark.parametrize("option, value", TAKEN_BY_NEMO)
    def test_what_nemo_takes_is_taken_with_one_warning(self, option, value, overlap, monkeypatch):
        warnings = []
        monkeypatch.setattr(masking_module.logging, "warning", lambda text, **mode: warnings.append(text))
        masking = RandomBlockMasking(feat_in=3, allow_overlap=overlap, **{option: value})
        assert len(warnings) == 1 and f"{option}={value!r}: must be" in warnings[0]
        mask = draw(masking, [400, 100, 7, 1, 0], 400)
        assert mask[:4].any(dim=1).all() == (masking.mask_prob > 0) and len(warnings) == 1

    @pytest.mark.parametrize(
        "options, same_as",
        [
            ({"block_size": 40.0}, {"block_size": 40}),
            ({"block_size": 2.5}, {"block_size": 2}),
            ({"block_size": True}, {"block_size": 1}),
            ({"mask_prob": -0.5}, {"mask_prob": 0.0}),
            ({"mask_prob": True}, {"mask_prob": 1.0}),
            ({"mask_prob": 1.5, "allow_overlap": True}, {"mask_prob": 1.0, "allow_overlap": True}),
            ({"max_mask_ratio": None}, {}),
        ],
    )
    def test_it_masks_as_the_value_in_range_does(self, options, same_as):
        maskings = [RandomBlockMasking(feat_in=3, **given) for given in (options, same_as)]
        masks = []
        for masking in maskings:
            torch.manual_seed(0)
            masks.append(draw(masking, [400, 100, 7], 400))
        assert torch.equal(*masks)

    def test_more_than_all_masks_as_many_frames_as_nemo(self):
        options = dict(feat_in=1, mask_prob=1.5, block_size=10, max_mask_ratio=1.5)
        feats, lengths = torch.zeros(400, 1, 230), torch.full((400,), 200)
        ours, nemos = (cls(**options)(feats, lengths)[1].mean() for cls in (RandomBlockMasking, nemos_own()))
        assert abs(ours - nemos) < 0.02

    @pytest.mark.parametrize("ratio, too_short", [(1.5, 26), (0.5, 80), (0, 400), (-1, 400)])
    def test_the_ratio_decides_from_which_length_on_an_utterance_is_too_short_for_a_block(self, ratio, too_short):
        masking = RandomBlockMasking(feat_in=1, mask_prob=1.0, block_size=40, max_mask_ratio=ratio)
        lengths = list(range(1, 401))
        masked = draw_ones(masking, lengths).sum(dim=1).tolist()
        short = [min(8, n) if ratio != 0.5 else min(8, max(1, n // 2)) for n in lengths[:too_short]]
        assert masked[:too_short] == short and all(n > 8 for n in masked[too_short:])

    @pytest.mark.parametrize(
        "option, value", [("left_context_size", -2), ("left_context_size", None), ("context_stride", 0)]
    )
    def test_our_own_options_are_always_checked(self, option, value):
        with pytest.raises(ValueError, match=f"{option}={value!r}: must be"):
            RandomBlockMasking(feat_in=3, **{option: value})

    @pytest.mark.parametrize(
        "name, value",
        [
            ("current_frame", 1.5),
            ("current_frame", -1),
            ("current_frame", True),
            ("current_frame", torch.tensor([1.0, 2.0])),
            ("current_frame", torch.tensor([1, 2, 3])),
            ("current_frame", torch.tensor([[1, 2]])),
            ("effective_left_context", -2),
            ("effective_left_context", 1.0),
        ],
    )
    def test_a_bad_streaming_parameter_is_refused_by_name(self, name, value):
        masking = RandomBlockMasking(feat_in=3, causal=True)
        with pytest.raises(ValueError, match=name):
            masking(torch.randn(2, 3, 100), torch.tensor([100, 90]), **{name: value})


CALLS = {
    "plain": ({}, {}),
    "whole utterances": (CAUSAL, {}),
    "an int": (CAUSAL, {"current_frame": 50}),
    "a tensor": (CAUSAL, {"current_frame": torch.tensor([50, 60, 7])}),
    "no left context": (CAUSAL, {"effective_left_context": 0}),
}


@pytest.mark.parametrize("overlap", [True, False])
@pytest.mark.parametrize("options, streaming", CALLS.values(), ids=CALLS.keys())
class TestWhereValuesCannotBeLookedAt:
    """NeMo 3.0.0 masks without a look at a value, and so do we where that is asked for, on the CPU too."""

    FEATS, LENGTHS = torch.randn(3, 2, 120), torch.tensor([120, 90, 9])

    @pytest.fixture
    def masking(self, options, overlap):
        return RandomBlockMasking(feat_in=2, mask_prob=0.3, block_size=20, allow_overlap=overlap, **options)

    @staticmethod
    def check(masking, masked_feats, masks, streaming, feats=FEATS):
        """The properties of a mask of these lengths."""
        left = streaming.get("effective_left_context", masking.left_context_size)
        end = torch.minimum(torch.tensor([120, 90, 9]), torch.as_tensor(streaming.get("current_frame", 120)))
        frames = torch.arange(120)
        mask = masks[:, 0].bool()
        assert not (mask & (frames >= end.unsqueeze(1))).any()
        assert mask.any(dim=1).tolist() == [bool(left) and n >= masking.context_stride for n in end.tolist()]
        value = masking.mask_embedding.view(1, -1, 1)
        assert torch.equal(masked_feats, torch.where(mask.unsqueeze(1), value, feats))

    @pytest.mark.representative("a tensor-False")
    def test_compiled_it_is_one_graph(self, masking, streaming):
        torch._dynamo.reset()
        compiled = torch.compile(masking, fullgraph=True, backend="aot_eager")
        self.check(masking, *compiled(self.FEATS, self.LENGTHS, **streaming), streaming)

    @pytest.mark.representative("whole utterances-True", "a tensor-False")
    def test_exported(self, masking, streaming):
        program = torch.export.export(masking, (self.FEATS, self.LENGTHS), kwargs=streaming, strict=False)
        self.check(masking, *program.module()(self.FEATS, self.LENGTHS, **streaming), streaming)

    def test_traced_it_holds_for_other_batches(self, masking, streaming):
        feats, lengths = self.FEATS, self.LENGTHS

        def call(feats, lengths):
            return masking(feats, lengths, **streaming)

        traced = torch.jit.trace(call, (feats.flip(0), lengths.flip(0)), check_trace=False)
        self.check(masking, *traced(feats, lengths), streaming)

    def test_fake_tensors(self, masking, streaming):
        with FakeTensorMode(allow_non_fake_inputs=True) as mode:
            feats, lengths = mode.from_tensor(self.FEATS), mode.from_tensor(self.LENGTHS)
            for result in masking(feats, lengths, **streaming):
                assert (result.device, result.dtype, result.shape) == (feats.device, feats.dtype, feats.shape)

    def test_vmap(self, masking, streaming):
        feats = torch.stack([self.FEATS, self.FEATS + 1])
        call = torch.func.vmap(lambda x: masking(x, self.LENGTHS, **streaming), randomness="different")
        results = call(feats)
        for masked_feats, masks, x in zip(*results, feats):
            self.check(masking, masked_feats, masks, streaming, x)

    def test_the_gradient_of_torch_func(self, masking, streaming):
        def masked_sum(feats):
            masked_feats, masks = masking(feats, self.LENGTHS, **streaming)
            return masked_feats.sum(), masks

        gradient, masks = torch.func.grad(masked_sum, has_aux=True)(self.FEATS)
        assert torch.equal(gradient, 1 - masks)


@pytest.mark.long_run
def test_compiled_for_any_length_it_is_one_graph():
    torch._dynamo.reset()
    masking = RandomBlockMasking(feat_in=2, mask_prob=0.3, block_size=20, **CAUSAL)
    compiled = torch.compile(masking, fullgraph=True, backend="eager", dynamic=True)
    for num_frames in (120, 47, 1000):
        feats, lengths = torch.randn(3, 2, num_frames), torch.tensor([num_frames, 40, 9])
        mask = compiled(feats, lengths)[1][:, 0].bool()
        assert mask.any(dim=1).all() and not mask[1, 40:].any() and not mask[2, 9:].any()


class TestConvFeatureMaksingWrapper:
    class Halve(torch.nn.Module):
        def forward(self, x, lengths):
            return x[:, ::2], lengths // 2

    def test_hands_the_streaming_parameters_on(self):
        masking = RandomBlockMasking(feat_in=3, mask_prob=0.5, block_size=4, causal=True)
        wrapper = ConvFeatureMaksingWrapper(self.Halve(), masking)
        wrapper.set_masking_enabled(True, current_frame=20, effective_left_context=10)
        feats, lengths = wrapper(x=torch.randn(2, 100, 3), lengths=torch.tensor([100, 80]))
        mask = wrapper.get_current_mask()
        assert feats.shape == (2, 50, 3) and mask.shape == (2, 3, 50)
        assert mask[..., 10:20].any() and not mask[..., :10].any() and not mask[..., 20:].any()
        assert torch.equal(feats[mask.transpose(1, 2) == 0], wrapper.get_current_feat()[mask.transpose(1, 2) == 0])

    @pytest.mark.fix2(fails_with=AssertionError, match=r"torch.Size\(\[2, 50, 3\]\) == \(2, 3, 50\)")
    def test_the_empty_mask_has_the_masks_shape(self):
        wrapper = ConvFeatureMaksingWrapper(self.Halve(), RandomBlockMasking(feat_in=3))
        wrapper(x=torch.randn(2, 100, 3), lengths=torch.tensor([100, 80]))
        assert wrapper.get_current_mask().shape == (2, 3, 50)
