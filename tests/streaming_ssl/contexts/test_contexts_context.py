# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

import pytest
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from nemo.collections.asr.parts.contexts import (
    AttentionContext,
    ContextRamp,
    ContextSchedule,
    lookahead_frames,
    tightest_left,
    widest,
)
from nemo.collections.asr.parts.contexts.context import check_layer_contexts

reaches = st.integers(-1, 400)
contexts = st.builds(AttentionContext, reaches, reaches)


def sees(context, query, key, last=2000):
    """Whether a query sees a key, straight from the definition (style regular)."""
    left, right = (last if reach == -1 else reach for reach in (context.left, context.right))
    return query - left <= key <= query + right


def lefts(schedule, n_layers):
    return [context.left for context in schedule.for_layers(n_layers)]


class TestAttentionContext:
    @given(contexts, contexts, st.integers(0, 1000), st.integers(0, 1000))
    def test_within_is_what_both_see_and_widest_covers_both(self, a, b, query, key):
        assert sees(a.within(b), query, key) == (sees(a, query, key) and sees(b, query, key))
        assert sees(widest([a, b]), query, key) or not (sees(a, query, key) or sees(b, query, key))
        assert widest([a, b]).within(a) == a

    @given(st.lists(contexts, min_size=1))
    def test_the_tightest_left_context_is_the_smallest_finite_one(self, many):
        finite = [context.left for context in many if context.left >= 0]
        assert tightest_left(many) == (min(finite) if finite else None)

    @given(reaches, st.integers(0, 12), st.integers(1, 400))
    def test_a_cap_cuts_the_left_context_to_whole_chunks(self, left, right, cap):
        context, limit = AttentionContext(left if left < 0 else left * (right + 1), right), AttentionContext(cap, -1)
        capped = context.capped(limit, "chunked_limited")
        assert capped == capped.within(context) and 0 <= capped.left <= cap and capped.left % (right + 1) == 0
        assert cap - capped.left <= right or capped.left == context.left
        assert context.capped(limit, "regular").left == (cap if context.left == -1 else min(cap, context.left))
        assert context.whole_chunks("chunked_limited") == context == context.whole_chunks("regular")

    def test_right_contexts_add_up_but_chunks_do_not(self):
        layers = [AttentionContext(12, 2)] * 5
        assert lookahead_frames(layers) == 10 and lookahead_frames(layers, "chunked_limited") == 2
        assert lookahead_frames([*layers, AttentionContext(12, -1)]) == -1

    @pytest.mark.parametrize("value", [None, 40, "40", [40], [40, 0, 0], [40, -2], [4.5, 0], [True, 0], [None, 0]])
    def test_anything_else_is_refused_by_name(self, value):
        with pytest.raises(ValueError, match="window"):
            AttentionContext.parse(value, "window")


class TestContextSchedule:
    POINTS = [[0, [40, 0]], [6, [120, 0]], [12, [320, 0]]]

    def test_step_holds_until_the_next_layer_index(self):
        assert lefts(ContextSchedule.parse(self.POINTS), 17) == [40] * 6 + [120] * 6 + [320] * 5

    def test_linear_is_a_rounded_ramp(self):
        ramp = lefts(ContextSchedule.parse(self.POINTS, "linear"), 14)
        assert ramp == [40, 53, 67, 80, 93, 107, 120, 153, 187, 220, 253, 287, 320, 320]
        chunks = ContextSchedule.parse([[0, [8, 3]], [4, [40, 3]]], "linear").for_layers(5, "chunked_limited")
        assert [context.left for context in chunks] == [8, 16, 24, 32, 40]

    @given(st.lists(st.tuples(st.integers(1, 30), contexts), max_size=5, unique_by=lambda point: point[0]), contexts)
    def test_every_point_has_its_context_and_steps_change_nowhere_else(self, points, first):
        points = [(0, first), *sorted(points)]
        layers = ContextSchedule.parse([[index, c.as_list()] for index, c in points]).for_layers(31)
        for index, context in points:
            assert layers[index] == context
        changes = {i for i in range(1, 31) if layers[i] != layers[i - 1]}
        assert changes <= {index for index, _ in points}

    def test_a_config_block(self):
        block = OmegaConf.create({"enabled": True, "interpolation": "linear", "schedule": self.POINTS})
        assert ContextSchedule.from_config(block) == ContextSchedule.parse(self.POINTS, "linear")
        block.enabled = False
        assert ContextSchedule.from_config(block) is None and ContextSchedule.from_config(None) is None
        with pytest.raises(ValueError, match="hierarchical_context.sched=1: unknown option"):
            ContextSchedule.from_config({"sched": 1})

    def test_linear_has_no_values_between_a_number_and_unlimited(self):
        schedule = ContextSchedule.parse([[0, [40, 0]], [2, [-1, 0]]], "linear")
        with pytest.raises(ValueError, match="from 40 to -1: an unlimited context"):
            schedule.for_layers(3)
        assert lefts(schedule.parse([[0, [40, 0]], [1, [-1, 0]]], "linear"), 3) == [40, -1, -1]

    def test_chunked_contexts_must_fit_together(self):
        for bad in ([[4, 1], [5, 1]], [[4, 1], [4, 0]], [[4, -1]]):
            with pytest.raises(ValueError, match="chunked_limited"):
                check_layer_contexts(bad, "chunked_limited")
        assert check_layer_contexts([[4, 1], [-1, 1], [0, 1]], "chunked_limited")[1].left == -1


class TestContextRamp:
    @given(st.integers(1, 400), st.integers(1, 400), st.integers(0, 1000), st.integers(1, 50), st.integers(0, 1500))
    def test_goes_from_start_to_end_and_changes_at_multiples_only(self, start, end, warmup, every, step):
        ramp = ContextRamp(start, end, warmup, every)
        assert ramp.cap(0) == (start if warmup else end) and ramp.cap(warmup + every) == end
        assert min(start, end) <= ramp.cap(step) <= max(start, end)
        assert (ramp.cap(step + 1) - ramp.cap(step)) * (end - start) >= 0
        assert ramp.cap(step) == ramp.cap(step - step % every)

    @pytest.mark.parametrize(
        "name, value", [("start_context", 0), ("end_context", -1), ("warmup_steps", -1), ("every_n_steps", 0)]
    )
    def test_a_number_out_of_range_is_refused_by_name(self, name, value):
        good = dict(start_context=40, end_context=320, warmup_steps=100)
        for bad in (value, 1.5, True, None):
            with pytest.raises(ValueError, match=f"{name}={bad}: must be an integer"):
                ContextRamp(**{**good, name: bad})
