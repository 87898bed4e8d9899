# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

import random

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from nemo.utils.random_state import capture, put_back, seeded


class TestSeeded:
    @given(seed=st.integers(0, 2**64 - 1), draws=st.integers(0, 5))
    def test_what_is_drawn_while_seeded_is_not_drawn_outside(self, seed, draws):
        def draw():
            return random.random(), np.random.rand(), torch.rand(()).item()

        before = capture(torch.device("cpu"))
        expected = draw()
        put_back(before, torch.device("cpu"))
        with seeded(seed):
            inside = [draw() for _ in range(draws)]
        assert draw() == expected
        with seeded(seed):
            assert [draw() for _ in range(draws)] == inside
