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

"""Which frames are masked: random blocks for a whole batch at once, as boolean tensors of shape (B, T).

Every function is plain tensor arithmetic without a loop over utterances or blocks. Nothing looks at a tensor's value
from the host where that would wait for a device, so on a GPU it costs a few dozen element-wise kernels. What is per
window or per utterance is computed in small tables, what is per frame in as few passes over (B, T) as can be.
(`narrow` and `logical_not` rather than `[:, :n]` and `~`, which need a CUDA build even for the tests' fake tensors.)

Utterance b may be masked in frames ``begin[b] <= t < end[b]``; both are integer tensors of shape (B, 1).
"""

import math
from dataclasses import dataclass
from functools import partial
from typing import Callable, Tuple

import torch
import torch.nn.functional as F
from torch import Tensor

from nemo.utils.fast_paths import runs_eagerly

# What NeMo masks in an utterance that is too short for a block, when nothing says how long an encoder step is.
SHORT_BLOCK = 8


def random_integers(high: Tensor) -> Tensor:
    """Draws uniformly from 0 .. high (inclusive), element by element; `high` is an integer tensor >= 0."""
    draw = torch.rand(high.shape, device=high.device) * (high + 1)
    return torch.minimum(draw.long(), high)  # float32 may round a draw just below high + 1 up to it


def block_starts(begin: Tensor, end: Tensor, num_frames: int, block_size: int) -> Tensor:
    """Where a block of `block_size` frames may start, (B, T) booleans."""
    frames = torch.arange(num_frames, device=begin.device)
    return (frames >= begin) & (frames <= end - block_size)


def overlapping_blocks(starts: Tensor, block_size: int) -> Tensor:
    """The frames of the blocks that start in `starts`, both (B, T) booleans.

    If each frame starts a block with probability p, a frame in the middle is masked with 1 - (1 - p) ** block_size.
    """
    num_frames, dtype, shift = starts.size(1), torch.int32, block_size
    if runs_eagerly(starts):  # in a graph, to ask about its length would bind it to a range of lengths
        # as small as can be: most of the time goes into moving memory
        dtype = torch.int16 if num_frames < 2**15 else torch.int32
        shift = min(block_size, num_frames)
    started = starts.cumsum(dim=1, dtype=dtype)
    started_long_ago = F.pad(started, (shift, 0)).narrow(1, 0, num_frames)
    return started > started_long_ago


def separate_blocks(begin: Tensor, end: Tensor, num_frames: int, block_size: int, mask_prob: float) -> Tensor:
    """`ceil(length * mask_prob / block_size)` blocks that do not overlap, on a grid with a random offset.

    Blocks shrink where so many of them, and one gap, would not fit.

    Returns:
        (B, T) booleans, True where masked.
    """
    length = end - begin
    wanted = torch.ceil(length * mask_prob / block_size).long()
    size = torch.where((wanted + 1) * block_size > length, length // (wanted + 1), block_size).clamp(min=1)
    slots = (length // size - 1).clamp(min=0)
    offset = random_integers((length - slots * size).clamp(min=0))
    slot = torch.div(torch.arange(num_frames, device=begin.device) - begin - offset, size, rounding_mode="floor")
    # a sum, not the larger one: in a graph a comparison would bind it to a range of lengths
    most_slots = num_frames // block_size + 2 * math.ceil(num_frames * mask_prob / block_size) + 2
    chosen = _choose(wanted, slots, most_slots)
    return chosen.gather(1, slot.clamp(0, most_slots - 1)) & (slot >= 0) & (slot < slots)


def _choose(wanted: Tensor, available: Tensor, most: int) -> Tensor:
    """Marks `wanted` of the first `available` of `most` slots at random; (B, 1), (B, 1) -> (B, most) booleans."""
    slot_scores = torch.rand((wanted.size(0), most), device=wanted.device)
    slot_scores = slot_scores.masked_fill(torch.arange(most, device=wanted.device) >= available, 2.0)
    rank = slot_scores.argsort(dim=1).argsort(dim=1)
    return rank < torch.minimum(wanted, available)


@dataclass
class Windows:
    """Each utterance's windows, and which of them each frame is in.

    Args:
        first, stop: window w of an utterance has the frames `first <= t < stop`, none if they are equal; (B, W)
        index: each frame's window, (B, T); any for frames that are in none
    """

    first: Tensor
    stop: Tensor
    index: Tensor

    @classmethod
    def single(cls, begin: Tensor, end: Tensor, num_frames: int) -> "Windows":
        """One window for each utterance: all of `begin <= t < end`."""
        return cls(begin, end, torch.zeros_like(begin).expand(-1, num_frames))

    @classmethod
    def consecutive(cls, end: Tensor, num_frames: int, size: int, step: int) -> "Windows":
        """Windows of `size` frames side by side from frame 0 to `end`, the first one cut short by a random phase.

        The phase is a multiple of `step` (one encoder step), so no window ends inside an encoder step.
        """
        cut_off = size - step * random_integers(torch.full_like(end, size // step - 1))
        most = (num_frames - 1) // size + 2
        bounds = size * torch.arange(most + 1, device=end.device) - cut_off
        bounds = torch.minimum(bounds.clamp(min=0), end)
        frames = torch.arange(num_frames, device=end.device)
        index = torch.div(frames + cut_off, size, rounding_mode="floor")
        return cls(bounds.narrow(1, 0, most), bounds.narrow(1, 1, most), index)

    @property
    def odd(self) -> Tensor:
        """Whether a frame's window is the second, fourth, ...: neighbouring windows differ; (B, T)."""
        return (self.index & 1).bool()

    def room(self, max_mask_ratio: float) -> Tensor:
        """How many frames may be masked in each window, (B, W)."""
        # double, so that 0.8 of 10 frames is what it is in Python
        return ((self.stop - self.first).double() * max_mask_ratio).long()

    def masked(self, mask: Tensor) -> Tensor:
        """How many frames are masked in each window, (B, T) -> (B, W)."""
        masked_before = F.pad(mask.cumsum(dim=1, dtype=torch.int32), (1, 0))
        return masked_before.gather(1, self.stop) - masked_before.gather(1, self.first)

    def of_frames(self, values: Tensor) -> Tensor:
        """Values of windows at each of their frames, (B, W) -> (B, T)."""
        return values.gather(1, self.index)

    def rows(self, rows: Tensor) -> "Windows":
        """The windows of some utterances."""
        return Windows(*(x.index_select(0, rows) for x in (self.first, self.stop, self.index)))


def where_needed(needed: Tensor, mask: Tensor, windows: Windows, change: Callable, *others: Tensor) -> Tensor:
    """
    `change(mask, windows, *others)` in the utterances that need it, (B, 1) booleans; the others keep their `mask`.

    On a CPU only those are computed, mostly none. Elsewhere all are: to ask which would wait for the device. While a
    graph is made (compiling, exporting, tracing), under `torch.func` and with fake tensors there is no value to ask
    for.
    """
    if mask.device.type != "cpu" or not runs_eagerly(mask):
        return torch.where(needed, change(mask, windows, *others), mask)
    rows = needed.squeeze(1).nonzero().squeeze(1)
    if len(rows) == 0:
        return mask
    changed = change(mask.index_select(0, rows), windows.rows(rows), *(x.index_select(0, rows) for x in others))
    return mask.index_copy(0, rows, changed)


def limit_share(mask: Tensor, windows: Windows, room: Tensor) -> Tensor:
    """Masks at most `room` frames of each window, (B, W); what is too much there moves to windows with room, if any.

    In a window with too much, its first masked frames stay or its last ones, by a coin's toss: scattered frames would
    make no masked encoder step. In a window with room, frames at its head or tail are masked in addition, so that as
    many frames of the utterance are masked as were drawn.
    """
    too_many = (windows.masked(mask) > room).any(dim=1, keepdim=True)
    return where_needed(too_many, mask, windows, _limit_share, room)


def _limit_share(mask: Tensor, windows: Windows, room: Tensor) -> Tensor:
    masked = windows.masked(mask)
    wanted, first, stop = (windows.of_frames(x) for x in (_share_out(masked, room), windows.first, windows.stop))
    frames = torch.arange(mask.size(1), device=mask.device)
    masked_before = F.pad(mask.cumsum(dim=1), (1, 0))
    masked_rank = masked_before.narrow(1, 0, mask.size(1)) - masked_before.gather(1, first)
    masked_in_window = windows.of_frames(masked)
    unmasked_rank = frames - first - masked_rank
    unmasked_in_window = stop - first - masked_in_window
    from_head = torch.rand((mask.size(0), 1), device=mask.device) < 0.5
    masked_rank = torch.where(from_head, masked_rank, masked_in_window - 1 - masked_rank)
    unmasked_rank = torch.where(from_head, unmasked_rank, unmasked_in_window - 1 - unmasked_rank)
    inside = (frames >= first) & (frames < stop)
    return inside & (torch.where(mask, masked_rank, masked_in_window + unmasked_rank) < wanted)


def _share_out(masked: Tensor, room: Tensor) -> Tensor:
    """How many frames to mask in each window, (B, W), from how many are masked there and its room."""
    too_many = (masked - room).clamp(min=0).sum(dim=1, keepdim=True)
    spare = (room - masked).clamp(min=0)
    filled = (too_many / spare.sum(dim=1, keepdim=True).clamp(min=1)).clamp(max=1)
    added = torch.floor(spare * filled + torch.rand_like(filled)).long()
    return torch.minimum(masked + added, room)


def ensure_one_step(mask: Tensor, begin: Tensor, end: Tensor, windows: Windows, step: int, room: Tensor) -> Tensor:
    """Gives each utterance without a fully masked encoder step exactly one, at a random place.

    Without it a short utterance often has nothing masked, and a batch of them has no loss. The step wins over `room`
    (the frames that may be masked in each window, (B, W)) only where no window has room for a whole step.

    Args:
        step: frames per encoder step, counted from frame 0 as the loss counts them; windows end with a step or with
            the utterance. 1 where it is not known, then a block of `SHORT_BLOCK` frames is masked, or of as many as
            there is room for.
    """
    whole_steps = mask
    if step > 1:
        steps = mask.size(1) // step
        in_step = mask.narrow(1, 0, steps * step).view(mask.size(0), steps, step)
        whole_steps = in_step.sum(dim=2, dtype=torch.int32) == step
    lacking = torch.logical_not(whole_steps.any(dim=1, keepdim=True))
    return where_needed(lacking, mask, windows, partial(_one_step, step), begin, end, room)


def _one_step(step: int, mask: Tensor, windows: Windows, begin: Tensor, end: Tensor, room: Tensor) -> Tensor:
    """One masked step in every utterance that has one; the others keep their mask."""
    size = torch.full_like(begin, step)
    if step == 1:
        size = room.amax(dim=1, keepdim=True).clamp(1, SHORT_BLOCK)
    frames = torch.arange(mask.size(1), device=mask.device)
    room, stop = windows.of_frames(room), windows.of_frames(windows.stop)
    fits = (frames % step == 0) & (frames >= begin) & (frames + size <= end)
    has_room = (room >= size) & (frames + size <= stop)
    score = torch.rand(mask.shape, device=mask.device) + has_room.float() + 2 * fits.float()
    start = score.argmax(dim=1, keepdim=True)
    block = (frames >= start) & (frames < start + size)
    if step > 1:
        first, length = _part_of_tail(step, start, end, windows, room)
        block = block | ((frames >= first) & (frames < first + length))
    return torch.where(fits.any(dim=1, keepdim=True), block, mask)


def _part_of_tail(step: int, start: Tensor, end: Tensor, windows: Windows, room: Tensor) -> Tuple[Tensor, Tensor]:
    """Some of the frames after the last whole step, if that is the one at `start`: (first frame, how many), (B, 1).

    They belong to no whole step and would never be masked in an utterance that is too short for a block. As no window
    ends inside a step they are all in one window: the step's, or one of their own. `room`, (B, T), is that of each
    frame's window.
    """
    tail = start + step
    window = windows.index.gather(1, tail.clamp(max=windows.index.size(1) - 1))
    is_shared = windows.index.gather(1, start) == window
    left_over = room.gather(1, tail.clamp(max=room.size(1) - 1)) - step * is_shared
    length = torch.where(end - tail < step, torch.minimum(end - tail, left_over), 0).clamp(min=0)
    return tail + random_integers((end - tail - length).clamp(min=0)), length
