# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""How the benchmarks of speed measure: wall and CPU time, turn by turn, and peak memory."""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
import torch
from torch.profiler import ProfilerActivity, profile

PERCENTILES = (20, 50, 80)
Output = TypeVar("Output")


def wait(device: torch.device) -> None:
    """Returns when the device is idle."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


@dataclass
class Times:
    """Wall and CPU time of each call, in ms."""

    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)

    def add(self, step: Callable[[], Output], device: torch.device) -> Output:
        """Calls `step` and returns its output.

        The wall time is taken from an idle device to an idle device, on a GPU between two of its events.
        """
        wait(device)
        cpu = time.process_time()
        if device.type == "cuda":
            start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            start.record()
            output = step()
            end.record()
            wait(device)
            self.wall.append(start.elapsed_time(end))
        else:
            began = time.perf_counter()
            output = step()
            self.wall.append(1000.0 * (time.perf_counter() - began))
        self.cpu.append(1000.0 * (time.process_time() - cpu))
        return output


def percentiles(times: Sequence[float], prefix: str = "") -> dict[str, float]:
    """The columns `p20_ms`, `p50_ms` and `p80_ms`, with `prefix` before their names."""
    return {f"{prefix}p{p}_ms": float(np.percentile(times, p)) for p in PERCENTILES}


def alternating(names: Iterable[str], turn: int) -> list[str]:
    """The order of the sides in a turn: every other turn is the other way round."""
    return list(names)[:: 1 if turn % 2 else -1]


def take_turns(sides: dict[str, Callable], device: torch.device, seconds: float) -> dict[str, Times]:
    """Times of each side, in alternating order, until so many seconds have passed: at least 5 turns, at most 200."""
    for step in sides.values():
        step()
        step()
    times = {name: Times() for name in sides}
    start, turns = time.perf_counter(), 0
    while turns < 5 or (time.perf_counter() - start < seconds and turns < 200):
        for name in alternating(sides, turns):
            times[name].add(sides[name], device)
        turns += 1
    return times


def peak_mib(step: Callable, device: torch.device) -> float:
    """The most that a step has allocated at a time, in MiB."""
    if device.type == "cuda":
        wait(device)
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        step()
        return (torch.cuda.max_memory_allocated(device) - before) / 2**20
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as recorded:
        step()
    events = [event for event in recorded.profiler.kineto_results.events() if event.name() == "[memory]"]
    changes = [event.nbytes() for event in sorted(events, key=lambda event: event.start_ns())]
    return max(np.cumsum(changes), default=0) / 2**20
