# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Which frames are masked: random blocks for a whole batch at once, as boolean tensors of shape (B, T).

Every function is plain tensor arithmetic without a loop over utterances or blocks. Nothing looks at a tensor's value
from the host where that would wait for a device, so on a GPU it costs a few dozen element-wise kernels. What is per
window or per utterance is computed in small tables, what is per frame in as few passes over (B, T) as can be.
(`narrow` and `logical_not` rather than `[:, :n]` and `~`, which need a CUDA build even for the tests' fake tensors.)

Utterance b may be masked in frames ``begin[b] <= t < end[b]``; both are integer tensors of shape (B, 1).

Draws and shares are float32, not PyTorch's default dtype: with `precision: bf16-true` that is bfloat16, which knows
256 numbers from 0 to 1.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from nemo.utils.fast_paths import runs_eagerly


def random_integers(high: Tensor) -> Tensor:
    """Draws uniformly from 0 .. high (inclusive), element by element; `high` is an integer tensor >= 0."""
    draw = torch.rand(high.shape, dtype=torch.float32, device=high.device) * (high + 1)
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
    wanted = torch.ceil(length.float() * mask_prob / block_size).long()
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
    slot_scores = torch.rand((wanted.size(0), most), dtype=torch.float32, device=wanted.device)
    slot_scores = slot_scores.masked_fill(torch.arange(most, device=wanted.device) >= available, 2.0)
    rank = slot_scores.argsort(dim=1).argsort(dim=1)
    return rank < torch.minimum(wanted, available)
