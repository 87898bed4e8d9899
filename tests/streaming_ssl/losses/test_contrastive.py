# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

import inspect
from itertools import product

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch._subclasses.fake_tensor import FakeTensorMode

from nemo.collections.asr.losses.ssl_losses import contrastive
from nemo.collections.asr.losses.ssl_losses.contrastive import ContrastiveLoss

FRAMES = 4  # frames per encoder step
STEPS, FEATURES, DIM = 10, 5, 8

# in plain NeMo, where the option is missing, these tests show what is wrong without it
AWARE = {"length_aware_negatives": True} if hasattr(contrastive, "sample_steps") else {}
# NeMo's own class; in plain NeMo the class itself
Original = next(c for c in reversed(ContrastiveLoss.__mro__) if c.__name__ == "ContrastiveLoss")

NEGATIVES = pytest.mark.parametrize(
    "options",
    [
        {"sample_from_same_utterance_only": same, "sample_from_non_masked": non_masked, "quantized_targets": quantized}
        for same, non_masked, quantized in product([True, False], repeat=3)
    ],
    ids=lambda options: "-".join(name for name, value in options.items() if value) or "none",
)


def make(cls=ContrastiveLoss, seed=0, **options):
    torch.manual_seed(seed)
    sizes = {"in_dim": FEATURES, "proj_dim": DIM, "combine_time_steps": FRAMES, "codebook_size": 6}
    return cls(**{**sizes, "num_negatives": 3, **options})


def batch(lengths=(STEPS, 6, 4), masked=((1, 2, 8), (1, 2, 5), (0, 1, 3)), frames=STEPS * FRAMES):
    """A loss's inputs: utterances of `lengths` encoder steps, of which those in `masked` are masked."""
    masks = torch.zeros(len(lengths), FEATURES, STEPS * FRAMES)
    for row, steps in zip(masks, masked):
        for step in steps:
            row[:, step * FRAMES : (step + 1) * FRAMES] = 1
    return {
        "spectrograms": torch.randn(len(lengths), FEATURES, STEPS * FRAMES)[:, :, :frames],
        "spec_masks": masks[:, :, :frames],
        "decoder_outputs": torch.randn(len(lengths), STEPS, DIM, requires_grad=True),
        "decoder_lengths": torch.tensor(lengths),
    }


def evaluate(loss, inputs, seed=1):
    """The loss, and its gradients in the decoder outputs and the parameters that it reaches."""
    torch.manual_seed(seed)
    value = loss(**inputs)
    leaves = {"decoder_outputs": inputs["decoder_outputs"], **dict(loss.named_parameters())}
    grads = torch.autograd.grad(value, list(leaves.values()), allow_unused=True)
    return value.detach(), dict(zip(leaves, grads))


def same(first, second):
    return first is second or torch.equal(first, second)


class TestContrastiveLoss:
    @pytest.mark.parametrize("reduce", ["sum", "mean"])
    @pytest.mark.parametrize("groups", [1, 2])
    @pytest.mark.parametrize("ids", [{}, {"reduce_ids": True}, {"store_ids": False}])
    @NEGATIVES
    def test_without_the_option_it_is_nemos_bit_for_bit(self, options, ids, groups, reduce):
        self.assert_nemos(num_groups=groups, reduce=reduce, **options, **ids)

    @pytest.mark.parametrize("reduce", ["sum", "mean"])
    @pytest.mark.parametrize("non_masked", [True, False])
    # NeMo runs neither with the other number of groups (of this size)
    @pytest.mark.parametrize("source, groups", [("sample_from_codebook", 2), ("group_loss", 1)])
    def test_without_the_option_negatives_from_the_codebook_are_nemos(self, source, groups, non_masked, reduce):
        options = {"sample_from_same_utterance_only": False, "quantized_targets": True, source: True}
        self.assert_nemos(num_groups=groups, reduce=reduce, sample_from_non_masked=non_masked, **options)

    def assert_nemos(self, **options):
        torch.manual_seed(2)
        inputs = batch()
        original = make(Original, **options)
        expected, expected_grads = evaluate(original, inputs)
        loss = make(**options)
        value, grads = evaluate(loss, inputs)
        assert torch.equal(value, expected) and value.dtype == expected.dtype
        assert grads.keys() == expected_grads.keys()
        assert all(same(grad, expected_grads[name]) for name, grad in grads.items())
        for attribute in ("target_ids", "target_lengths"):
            assert same(getattr(loss, attribute, None), getattr(original, attribute, None))

    @pytest.mark.parametrize("reduce", ["sum", "mean"])
    @pytest.mark.parametrize("training", [True, False])
    @NEGATIVES
    def test_equals_nemo_where_nothing_is_padding(self, options, training, reduce):
        # as many draws as there are candidates: only their order is random
        number = STEPS if options["sample_from_non_masked"] else 3
        number *= 1 if options["sample_from_same_utterance_only"] else 3
        options = {**options, "num_negatives": number, "reduce": reduce}
        inputs = batch(lengths=(STEPS,) * 3)
        modules = make(**options, **AWARE).train(training), make(Original, **options).train(training)
        (value, grads), (expected, expected_grads) = (evaluate(module, inputs) for module in modules)
        torch.testing.assert_close(value, expected, rtol=1e-5, atol=1e-5)
        for name, grad in grads.items():
            assert (grad is None) == (expected_grads[name] is None)
            if grad is not None:
                torch.testing.assert_close(grad, expected_grads[name], rtol=1e-4, atol=1e-4)
        if options["quantized_targets"]:
            assert torch.equal(modules[0].target_ids, modules[1].target_ids)

    @pytest.mark.limit(fails_with=AssertionError, match="the padding changes the loss")
    @pytest.mark.parametrize("same_utterance", [True, False])
    def test_padding_is_never_drawn_as_a_negative(self, same_utterance):
        options = {"sample_from_same_utterance_only": same_utterance, "sample_from_non_masked": True}
        loss, inputs = make(num_negatives=STEPS, **options, **AWARE), batch()
        losses = []
        for planted in (1.0, 100.0):
            for row, length in zip(inputs["spectrograms"], inputs["decoder_lengths"]):
                row[:, length * FRAMES :] = planted * torch.linspace(-1, 1, FEATURES).unsqueeze(1)
            losses.append(evaluate(loss, inputs)[0])
        assert losses[0] == losses[1], "what lies in the padding changes the loss"

    @pytest.mark.parametrize("planted", [1e3, 1e30, float("inf"), float("nan")])
    @NEGATIVES
    def test_what_lies_in_the_padding_changes_nothing(self, options, planted):
        loss = make(**options, **AWARE)
        inputs = batch()
        expected, expected_grads = evaluate(loss, inputs)
        for i, length in enumerate(inputs["decoder_lengths"]):
            inputs["spectrograms"][i, :, length * FRAMES :] = planted
            inputs["decoder_outputs"].data[i, length:] = planted
        value, grads = evaluate(loss, inputs)
        assert value.isfinite() and torch.equal(value, expected)
        assert all(same(grad, expected_grads[name]) for name, grad in grads.items())

    @NEGATIVES
    def test_a_masked_step_in_the_padding_is_not_in_the_loss(self, options):
        loss = make(**options, **AWARE)
        inputs = batch()
        expected = evaluate(loss, inputs)[0]
        for i, length in enumerate(inputs["decoder_lengths"]):
            inputs["spec_masks"][i, :, length * FRAMES :] = 1
        assert torch.equal(evaluate(loss, inputs)[0], expected)

    @pytest.mark.parametrize("frames", [(STEPS - 2) * FRAMES, (STEPS - 1) * FRAMES - 1, STEPS * FRAMES - 1])
    @pytest.mark.parametrize("lengths", [True, False])
    @NEGATIVES
    def test_the_filled_up_end_is_never_a_negative(self, options, frames, lengths, monkeypatch):
        candidates = spy_on_candidates(monkeypatch)
        inputs = batch((STEPS,) * 3, [(1, 2, 8, 9)] * 3, frames=frames)
        if not lengths:
            del inputs["decoder_lengths"]
        value, grads = evaluate(make(**options, **AWARE), inputs)
        whole = torch.arange(STEPS) < frames // FRAMES
        masked = torch.ones(STEPS, dtype=torch.bool)
        if not options["sample_from_non_masked"]:
            masked = torch.zeros(STEPS, dtype=torch.bool).index_fill(0, torch.tensor([1, 2, 8, 9]), True)
        assert torch.equal(candidates[0].reshape(3, STEPS), (whole & masked).expand(3, -1))
        assert value.isfinite() and grads["decoder_outputs"].isfinite().all()

    @pytest.mark.representative(
        "sample_from_same_utterance_only-sample_from_non_masked-quantized_targets",
        "sample_from_same_utterance_only",
        "sample_from_non_masked",
        "none",
    )
    @NEGATIVES
    @given(data=st.data())
    def test_any_lengths_and_masks_train(self, options, data):
        lengths = data.draw(st.lists(st.integers(0, STEPS + 1), min_size=1, max_size=4))
        masked = data.draw(st.lists(st.sets(st.integers(0, STEPS - 1)), min_size=len(lengths), max_size=len(lengths)))
        frames = data.draw(st.integers((STEPS - 2) * FRAMES, STEPS * FRAMES))
        extra = {
            "num_negatives": data.draw(st.sampled_from([1, 4, 60])),
            "reduce": data.draw(st.sampled_from(["sum", "mean"])),
            "reduce_ids": data.draw(st.booleans()),
        }
        loss = make(**options, **extra, **AWARE)
        with pytest.MonkeyPatch.context() as monkeypatch:
            candidates = spy_on_candidates(monkeypatch)
            value, grads = evaluate(loss, batch(lengths, masked, frames))
        assert value.isfinite() and value.shape == ()
        connected = {name for name, grad in grads.items() if grad is not None and grad.isfinite().all()}
        assert connected == grads.keys()
        for length, steps, row in zip(lengths, masked, candidates[0].reshape(-1, STEPS).tolist()):
            allowed = range(STEPS) if options["sample_from_non_masked"] else steps
            assert {step for step, flag in enumerate(row) if flag} == {
                step for step in allowed if step < length and (step + 1) * FRAMES <= frames
            }

    @pytest.mark.parametrize("lengths, masked", [((4, 6), ((), ())), ((0, 0), ((1,), (2,))), ((3, 2), ((5,), (7, 8)))])
    @pytest.mark.parametrize("reduce", ["sum", "mean"])
    @NEGATIVES
    def test_nothing_to_predict_is_a_loss_of_zero(self, options, reduce, lengths, masked):
        value, grads = evaluate(make(**options, reduce=reduce, **AWARE), batch(lengths, masked))
        assert value == 0
        assert all(torch.equal(grad, torch.zeros_like(grad)) for grad in grads.values())

    @pytest.mark.parametrize("quantized", [True, False])
    def test_no_candidate_is_a_loss_of_zero(self, quantized):
        # the only masked step is the last one, which zeros fill up
        inputs = batch((STEPS,), ((STEPS - 1,),), frames=STEPS * FRAMES - 1)
        value, grads = evaluate(make(quantized_targets=quantized, mask_threshold=0.5, **AWARE), inputs)
        assert value == 0
        assert all(torch.equal(grad, torch.zeros_like(grad)) for grad in grads.values())

    @given(
        candidates=st.lists(st.lists(st.booleans(), min_size=7, max_size=7), min_size=1, max_size=3),
        number=st.integers(1, 10),
    )
    def test_draws_are_candidates_and_distinct_if_there_are_enough(self, candidates, number):
        drawn = contrastive.sample_steps(torch.tensor(candidates), number)
        assert drawn.shape == (len(candidates), 7, number) and 0 <= drawn.min() and drawn.max() < 7
        for allowed, rows in zip(candidates, drawn.tolist()):
            allowed = {step for step, flag in enumerate(allowed) if flag}
            for row in rows:
                assert not allowed or set(row) <= allowed
                assert len(allowed) < number or len(set(row)) == number

    @pytest.mark.parametrize("number", [2, 5])
    def test_draws_are_even(self, number):
        # 3 candidates: 2 draws without, 5 with replacement
        candidates = torch.tensor([0, 1, 1, 0, 1, 0] * 500, dtype=torch.bool).reshape(500, 6)
        counts = contrastive.sample_steps(candidates, number).flatten().bincount(minlength=6).float()
        shares = counts / counts.sum()
        assert torch.allclose(shares, torch.tensor([0, 1, 1, 0, 1, 0]) / 3, atol=0.02)

    def test_a_negative_that_equals_the_positive_does_not_count(self):
        targets = torch.tensor([[[1.0, 2.0], [3.0, 4.0], [1.0, 2.0]]])
        negatives = torch.tensor([[[0, 1, 2], [0, 1, 2], [1, 0, 1]]])
        expected = [[[True, False, True], [False, True, False], [False, True, False]]]
        assert contrastive.equals_positive(targets, negatives).tolist() == expected
        inputs = batch((STEPS,), (range(STEPS),))
        inputs["spectrograms"][:] = 1
        assert evaluate(make(**AWARE), inputs)[0] == 0

    def test_runs_of_ids_are_collapsed(self):
        ids = torch.tensor([[1, 1, 2, 2, 1], [3, 3, 3, 0, 0], [0, 5, 5, 5, 5], [7, 7, 7, 7, 7]])
        speech = torch.arange(5) < torch.tensor([[5], [3], [4], [0]])
        collapsed, lengths = contrastive.collapse_runs(ids, speech)
        assert collapsed.tolist() == [[1, 2, 1], [3, 0, 0], [0, 5, 0], [0, 0, 0]] and lengths.tolist() == [3, 1, 2, 0]

    @pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
    @pytest.mark.parametrize("quantized", [True, False])
    def test_other_precisions(self, dtype, quantized):
        inputs = batch()
        loss = make(quantized_targets=quantized, num_negatives=60, **AWARE).eval()
        expected = evaluate(loss, inputs)[0]
        if dtype == torch.float64:
            value = evaluate(loss.double(), {name: double(tensor) for name, tensor in inputs.items()})[0]
            assert torch.allclose(value.float(), expected, rtol=1e-4)
            return
        with torch.autocast("cpu", dtype=dtype):
            value, grads = evaluate(loss, {**inputs, "decoder_outputs": inputs["decoder_outputs"].to(dtype)})
        assert value.dtype == torch.float32 and torch.allclose(value, expected, rtol=0.1)
        assert all(grad.isfinite().all() for grad in grads.values())

    @pytest.mark.parametrize("training", [True, False])
    @NEGATIVES
    def test_on_a_gpu_nothing_waits_for_the_device(self, options, training):
        # NeMo's quantizer makes the ids with an index that needs a build for CUDA, even here
        loss = make(**options, store_ids=False, **AWARE).train(training)
        inputs, weights = batch(), loss.state_dict()
        with FakeTensorMode(), torch.no_grad():
            fakes = {name: torch.empty(weight.shape, device="cuda:0") for name, weight in weights.items()}
            loss.load_state_dict(fakes, assign=True)
            shapes = {name: (tensor.shape, tensor.dtype) for name, tensor in inputs.items()}
            value = loss(**{name: torch.empty(s, dtype=d, device="cuda:0") for name, (s, d) in shapes.items()})
            assert value.shape == () and value.device == torch.device("cuda:0")

    @pytest.mark.run_only_on("GPU")
    @NEGATIVES
    def test_on_a_gpu(self, options):
        loss, inputs = make(**options, **AWARE).cuda(), {name: tensor.cuda() for name, tensor in batch().items()}
        loss(**inputs)
        torch.cuda.set_sync_debug_mode("error")
        try:
            value = loss(**inputs)
        finally:
            torch.cuda.set_sync_debug_mode("default")
        assert value.isfinite()

    @pytest.mark.parametrize(
        "options, message",
        [
            ({"length_aware_negatives": "yes"}, "length_aware_negatives='yes': must be one of True, False"),
            ({"length_aware_negatives": None}, "length_aware_negatives=None"),
            ({"num_negatives": 0}, "num_negatives=0"),
            ({"reduce": "none"}, "reduce='none': must be one of sum, mean"),
            ({"sample_from_codebook": True, "quantized_targets": True}, "sample_from_codebook=True"),
            ({"group_loss": True, "quantized_targets": True}, "group_loss=True"),
        ],
    )
    def test_bad_options_are_named(self, options, message):
        with pytest.raises(ValueError, match=message):
            make(**{"sample_from_same_utterance_only": False, **AWARE, **options})

    def test_a_combine_time_steps_that_is_not_the_encoders_is_named(self):
        inputs = batch()
        with pytest.raises(ValueError, match=r"decoder outputs \(3, 10, 8\), spectrograms \(3, 5, 40\)"):
            make(**{**AWARE, "combine_time_steps": 2})(**inputs)

    def test_the_rest_of_the_interface_is_nemos(self):
        loss, original = make(quantized_targets=True, **AWARE), make(Original, quantized_targets=True)
        assert loss.needs_labels is False
        assert loss.input_types.keys() == original.input_types.keys()
        assert loss.state_dict().keys() == original.state_dict().keys()
        assert list(inspect.signature(loss.forward).parameters) == list(inspect.signature(original.forward).parameters)
        loss.set_num_updates(10)
        original.set_num_updates(10)
        assert loss.quantizer.curr_temp == original.quantizer.curr_temp


def double(tensor):
    return tensor.detach().double().requires_grad_(tensor.requires_grad) if tensor.is_floating_point() else tensor


def spy_on_candidates(monkeypatch):
    """What the loss draws from, call by call."""
    seen, sample_steps = [], contrastive.sample_steps

    def spy(candidates, number):
        seen.append(candidates)
        return sample_steps(candidates, number)

    monkeypatch.setattr(contrastive, "sample_steps", spy)
    return seen
