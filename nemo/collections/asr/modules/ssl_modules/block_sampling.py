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

Every function is plain tensor arithmetic without a loop over utterances or blocks and without a look at a
tensor's value from the host, so it costs the same on a GPU as a few element-wise kernels and never waits for one.
(`narrow` and `logical_not` rather than `[:, :n]` and `~`, which need a CUDA build even for the tests' fake tensors.)

Utterance b may be masked in frames ``begin[b] <= t < end[b]``; both are integer tensors of shape (B, 1).
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

# What NeMo masks in an utterance that is too short for a block, when nothing says how long an encoder step is.
SHORT_BLOCK = 8


def random_integers(high: Tensor) -> Tensor:
    """Draws uniformly from 0 .. high (inclusive), element by element; `high` is an integer tensor >= 0."""
    draw = torch.rand(high.shape, device=high.device) * (high + 1)
    return torch.minimum(draw.long(), high)  # float32 may round a draw just below high + 1 up to it


def overlapping_blocks(begin: Tensor, end: Tensor, num_frames: int, block_size: int, mask_prob: float) -> Tensor:
    """Each frame starts a block with probability `mask_prob`; blocks may overlap and end by `end`.

    Returns:
        (B, T) booleans, True where masked. A frame in the middle is masked with probability
        1 - (1 - mask_prob) ** block_size.
    """
    frames = torch.arange(num_frames, device=begin.device)
    may_start = (frames >= begin) & (frames <= end - block_size)
    starts = (torch.rand(may_start.shape, device=begin.device) < mask_prob) & may_start
    started = starts.cumsum(dim=1)
    started_long_ago = F.pad(started, (min(block_size, num_frames), 0)).narrow(1, 0, num_frames)
    return started > started_long_ago


def separate_blocks(begin: Tensor, end: Tensor, num_frames: int, block_size: int, mask_prob: float) -> Tensor:
    """`ceil(length * mask_prob / block_size)` blocks that do not overlap, on a grid with a random offset.

    Blocks shrink where so many of them, and one gap, would not fit.

    Returns:
        (B, T) booleans, True where masked.
    """
    length = end - begin
    wanted = torch.ceil(length * (mask_prob / block_size)).long()
    size = torch.where((wanted + 1) * block_size > length, length // (wanted + 1), block_size).clamp(min=1)
    slots = (length // size - 1).clamp(min=0)
    offset = random_integers((length - slots * size).clamp(min=0))
    slot = torch.div(torch.arange(num_frames, device=begin.device) - begin - offset, size, rounding_mode="floor")
    most_slots = max(1, num_frames // block_size, 2 * math.ceil(num_frames * mask_prob / block_size) + 2)
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
    """Each frame's window: frames `first <= t < stop`, both (B, T); `odd` alternates from window to window."""

    first: Tensor
    stop: Tensor
    odd: Tensor

    @classmethod
    def single(cls, begin: Tensor, end: Tensor, num_frames: int) -> "Windows":
        """One window for each utterance: all of `begin <= t < end`."""
        first, stop = (bound.expand(-1, num_frames) for bound in (begin, end))
        return cls(first, stop, torch.zeros_like(first, dtype=torch.bool))

    @classmethod
    def consecutive(cls, begin: Tensor, end: Tensor, num_frames: int, size: int, step: int) -> "Windows":
        """Windows of `size` frames side by side, the first one cut short by a phase drawn for each utterance.

        The phase is a multiple of `step` (one encoder step), so no window ends inside an encoder step.
        """
        phase = step * random_integers(torch.full_like(begin, size // step - 1))
        index = (torch.arange(num_frames, device=begin.device) - begin + size - phase) // size
        first = begin + (index - 1) * size + phase
        return cls(
            torch.minimum(first.clamp(min=0), end).maximum(begin), torch.minimum(first + size, end), index % 2 == 1
        )

    def room(self, max_mask_ratio: float) -> Tensor:
        """How many frames may be masked in each frame's window, (B, T)."""
        # double, so that 0.8 of 10 frames is what it is in Python
        return ((self.stop - self.first).double() * max_mask_ratio).long()


def limit_share(mask: Tensor, windows: Windows, room: Tensor) -> Tensor:
    """Masks at most `room` frames of each window, (B, T); what is too much there moves to windows with room, if any.

    In a window with too much, its first masked frames stay or its last ones, by a coin's toss: scattered frames would
    make no masked encoder step. In a window with room, frames at its head or tail are masked in addition, so that as
    many frames of the utterance are masked as were drawn.
    """
    masked_before = F.pad(mask.cumsum(dim=1), (1, 0))
    before_window = masked_before.gather(1, windows.first)
    masked_in_window = masked_before.gather(1, windows.stop) - before_window
    wanted = _share_out(masked_in_window, windows, room)

    masked_rank = masked_before.narrow(1, 0, mask.size(1)) - before_window
    frames = torch.arange(mask.size(1), device=mask.device)
    unmasked_rank = frames - windows.first - masked_rank
    unmasked_in_window = windows.stop - windows.first - masked_in_window
    from_head = torch.rand((mask.size(0), 1), device=mask.device) < 0.5
    masked_rank = torch.where(from_head, masked_rank, masked_in_window - 1 - masked_rank)
    unmasked_rank = torch.where(from_head, unmasked_rank, unmasked_in_window - 1 - unmasked_rank)
    inside = (frames >= windows.first) & (frames < windows.stop)
    return inside & (torch.where(mask, masked_rank, masked_in_window + unmasked_rank) < wanted)


def _share_out(masked: Tensor, windows: Windows, room: Tensor) -> Tensor:
    """How many frames to mask in each frame's window, (B, T), from how many are masked there and its room."""
    frames = torch.arange(masked.size(1), device=masked.device)
    counted_once = (frames == windows.first) & (frames < windows.stop)
    too_many = ((masked - room).clamp(min=0) * counted_once).sum(dim=1, keepdim=True)
    spare = ((room - masked).clamp(min=0) * counted_once).sum(dim=1, keepdim=True)
    filled = (too_many / spare.clamp(min=1)).clamp(max=1)
    rounding = torch.rand_like(filled)
    added = torch.floor((room - masked).clamp(min=0) * filled + rounding).long()
    return torch.minimum(masked + added, room)


def ensure_one_step(mask: Tensor, begin: Tensor, end: Tensor, windows: Windows, step: int, room: Tensor) -> Tensor:
    """Gives each utterance without a fully masked encoder step exactly one, at a random place.

    Without it a short utterance often has nothing masked, and a batch of them has no loss. The step wins over `room`
    (the frames that may be masked in each frame's window, (B, T)) only where no window has room for a whole step.

    Args:
        step: frames per encoder step, counted from frame 0 as the loss counts them; 1 where it is not known, then a
            block of `SHORT_BLOCK` frames is masked, or of as many as there is room for.
    """
    num_frames = mask.size(1)
    steps = num_frames // step
    whole_steps = mask.narrow(1, 0, steps * step).reshape(mask.size(0), steps, step).all(dim=2)
    lacking = torch.logical_not(whole_steps.any(dim=1, keepdim=True))
    size = torch.full_like(begin, step)
    if step == 1:
        size = room.amax(dim=1, keepdim=True).clamp(1, SHORT_BLOCK)
    frames = torch.arange(num_frames, device=mask.device)
    fits = (frames % size == 0) & (frames >= begin) & (frames + size <= end)
    has_room = (room >= size) & (frames + size <= windows.stop)
    score = torch.rand(mask.shape, device=mask.device) + has_room.float() + 2 * fits.float()
    start = score.argmax(dim=1, keepdim=True)
    block = (frames >= start) & (frames < start + size)
    block = block | _part_of_tail(start + size, end, size, room.gather(1, start), frames)
    return torch.where(lacking & fits.any(dim=1, keepdim=True), block, mask)


def _part_of_tail(stop: Tensor, end: Tensor, size: Tensor, room: Tensor, frames: Tensor) -> Tensor:
    """Some of the frames after the last whole step, as room allows: they belong to no whole step and would never be
    masked in an utterance that is too short for a block."""
    tail = end - stop
    length = torch.where(tail < size, torch.minimum(tail, room - size), 0).clamp(min=0)
    first = stop + random_integers((tail - length).clamp(min=0))
    return (frames >= first) & (frames < first + length)
