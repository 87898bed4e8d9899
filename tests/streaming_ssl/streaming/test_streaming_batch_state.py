# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

from dataclasses import dataclass, field

import pytest
import torch

from nemo.collections.asr.parts.streaming.batch_state import FIXED, BatchState, streams_at


@dataclass
class Inner(BatchState):
    by_head: torch.Tensor = field(metadata=streams_at(1))
    end: int
    limit: int = field(metadata=FIXED)

    def allowed(self, attribute):
        return range(self.limit)


@dataclass
class Outer(BatchState):
    plain: torch.Tensor
    stages: list[torch.Tensor]
    none: list[torch.Tensor]
    inner: list[Inner]
    counts: list[int]


def some():
    """Three streams, everything above zero."""
    inner = [Inner(torch.ones(2, 3, 4) + i, 5, 9) for i in range(2)]
    return Outer(torch.ones(3, 2), [torch.ones(3), torch.ones(3, 1, 5)], [], inner, [7, 8, 9])


NAMES = ["plain", "stages.0", "stages.1", "inner.0.by_head", "inner.0.end", "inner.1.by_head", "inner.1.end", "counts"]


class TestBatchState:
    """A field that is added to a state is reset, saved and loaded; nothing else has to be written for it."""

    def test_names_say_where_a_field_is(self):
        assert list(some().state_dict()) == NAMES
        assert [name for name, _ in some().tensors()] == [name for name in NAMES if name not in ("counts",) + ENDS]

    def test_reset_touches_the_streams_that_are_named_and_no_other(self):
        state = some()
        state.reset([0, 2], torch.tensor([True, False, True]))
        assert state.counts == [0, 8, 0] and [inner.end for inner in state.inner] == [5, 5]
        for x in (state.plain, *state.stages, *(inner.by_head.transpose(0, 1) for inner in state.inner)):
            assert not x[0].any() and x[1].all() and not x[2].any()

    def test_a_saved_state_is_a_copy_and_comes_back(self):
        state = some()
        saved = state.state_dict()
        state.reset([0, 1, 2], torch.tensor([True] * 3))
        state.inner[1].end = 2
        assert saved["plain"].all() and saved["counts"] == [7, 8, 9] and saved["inner.1.end"] == 5
        state.load_state_dict(saved)
        again = state.state_dict()
        for name, value in some().state_dict().items():
            assert torch.equal(again[name], value) if isinstance(value, torch.Tensor) else again[name] == value
        saved["counts"][0] = 1
        assert state.counts == [7, 8, 9]

    @pytest.mark.parametrize(
        "name, value, message",
        [
            ("plain", torch.ones(3, 3), r"'plain' is a tensor of shape \(3, 3\), torch.float32, must be a tensor"),
            ("stages.1", torch.ones(3, 1, 5).double(), "'stages.1' is a tensor .* torch.float64"),
            ("counts", [1, 2], "'counts' is 2 numbers >= 0, must be 3 numbers"),
            ("counts", [1, 2, -3], "'counts' is a list, must be"),
            ("inner.1.end", 9, "'inner.1.end' is 9: must be from 0 to 8"),
            ("inner.0.end", "5", "'inner.0.end' is a str, must be a number"),
        ],
    )
    def test_what_does_not_fit_is_refused_and_nothing_changes(self, name, value, message):
        state, before = some(), some().state_dict()
        wrong = {key: torch.zeros_like(x) if isinstance(x, torch.Tensor) else x for key, x in before.items()}
        with pytest.raises(ValueError, match=message):
            state.load_state_dict({**wrong, name: value})
        assert all(torch.equal(x, before[name]) for name, x in state.tensors())


ENDS = ("inner.0.end", "inner.1.end")
