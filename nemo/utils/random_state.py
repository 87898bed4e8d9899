# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""The random states of a process: seeded, taken down, put back."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

RandomState = dict[str, Any]


def derive_seed(*words: int) -> int:
    """One number of 64 bits out of several non-negative ones, unlike that of any other several."""
    return int(np.random.SeedSequence(words).generate_state(1, np.uint64)[0])


def seed_process(number: int) -> None:
    """Seeds what draws in this process: Python, NumPy, torch on the CPU, and the current CUDA device."""
    _seed_cpu(number)
    if torch.cuda.is_available():
        torch.cuda.manual_seed(number)


def capture(device: torch.device) -> RandomState:
    """The random states of Python, NumPy, torch, and of the device if it is a CUDA device; plain types and tensors."""
    kind, keys, *rest = np.random.get_state(legacy=True)
    state: RandomState = {
        "python": random.getstate(),
        "numpy": (kind, torch.from_numpy(np.asarray(keys, np.int64)), *rest),
        "torch": torch.get_rng_state(),
    }
    if device.type == "cuda":
        state["cuda"] = torch.cuda.get_rng_state(device)
    return state


def put_back(state: RandomState, device: torch.device) -> None:
    """Goes on with random states that `capture` has returned, of a checkpoint also."""
    version, python, gauss = state["python"]
    random.setstate((version, tuple(python), gauss))
    kind, keys, *rest = state["numpy"]
    np.random.set_state((kind, keys.cpu().numpy().astype(np.uint32), *rest))
    torch.set_rng_state(state["torch"].cpu())
    if device.type == "cuda" and "cuda" in state:
        torch.cuda.set_rng_state(state["cuda"].cpu(), device)


@contextmanager
def seeded(number: int) -> Iterator[None]:
    """Draws on the CPU as seeded with a number; afterwards the process goes on as if nothing had been drawn."""
    before = random.getstate(), np.random.get_state(), torch.get_rng_state()
    _seed_cpu(number)
    try:
        yield
    finally:
        random.setstate(before[0])
        np.random.set_state(before[1])
        torch.set_rng_state(before[2])


def _seed_cpu(number: int) -> None:
    random.seed(number)
    np.random.seed(number % 2**32)
    torch.random.default_generator.manual_seed(number % 2**63)
