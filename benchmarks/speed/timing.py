# Copyright (c) 2026, the streaming-ssl authors.
#
# Licensed under the Apache License, Version 2.0 (the "License");
# you may not use this file except in compliance with the License.
# You may obtain a copy of the License at
#
#     http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS,
# WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
# See the License for the specific language governing permissions and
# limitations under the License.

"""How the benchmarks of speed measure: wall and CPU time, turn by turn, and peak memory."""

import time
from dataclasses import dataclass, field
from typing import Callable, Dict, Iterable, List, Sequence

import numpy as np
import torch
from torch.profiler import ProfilerActivity, profile

PERCENTILES = (20, 50, 80)


def wait(device: torch.device):
    """Returns when the device is idle."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


@dataclass
class Times:
    """Wall and CPU time of each call, in ms."""

    wall: List[float] = field(default_factory=list)
    cpu: List[float] = field(default_factory=list)

    def add(self, step: Callable[[], object], device: torch.device) -> object:
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


def percentiles(times: Sequence[float], prefix: str = "") -> Dict[str, float]:
    """The columns `p20_ms`, `p50_ms` and `p80_ms`, with `prefix` before their names."""
    return {f"{prefix}p{p}_ms": np.percentile(times, p) for p in PERCENTILES}


def alternating(names: Iterable[str], turn: int) -> List[str]:
    """The order of the sides in a turn: every other turn is the other way round."""
    return list(names)[:: 1 if turn % 2 else -1]


def take_turns(sides: Dict[str, Callable], device: torch.device, seconds: float) -> Dict[str, Times]:
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
