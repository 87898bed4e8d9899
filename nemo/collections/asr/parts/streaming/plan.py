# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Which frames of which streams go through a step together: integers only, for sessions with torch and without."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

# Encoder frames that are made in one go when a piece of audio is long: bounds the memory, and keeps it fast.
MAX_FRAMES = 64
# At least as many feature frames as a stream that does not end with a step can have.
NO_END = 2**62


class Turn(NamedTuple):
    """One step; streams of any age take it together.

    Args:
        rows: the streams
        frames: encoder frames that each of them makes; one that ends may have fewer, those beyond mean nothing
        offset: where they go among those that this call makes
        positions: encoder frames that each stream has made before
        starts: the first feature frame that each stream takes, counted from its first new one
        ends: feature frames of each stream that ends, `NO_END` for others
    """

    rows: list[int]
    frames: int
    offset: int
    positions: list[int]
    starts: list[int]
    ends: list[int]


class Plan(NamedTuple):
    """All that one call makes.

    Args:
        turns: the steps, in their order
        heard, made: feature frames and encoder frames of each stream afterwards
        produced: encoder frames of each stream that this call makes
    """

    turns: list[Turn]
    heard: list[int]
    made: list[int]
    produced: list[int]

    @property
    def is_one_piece(self) -> bool:
        """Whether all frames of all streams are made in one turn."""
        return len(self.turns) == 1 and all(count == self.turns[0].frames for count in self.produced)


class FrameCounts(NamedTuple):
    """How feature frames become encoder frames.

    Args:
        factor: feature frames per encoder frame; encoder frame k is made of those up to number `factor * k`
        chunk: encoder frames that come out together
        halvings: convolutions that halve the frames
        most: encoder frames that a step makes at most
    """

    factor: int
    chunk: int
    halvings: int
    most: int

    def ready(self, features: int) -> int:
        """How many encoder frames have come out of so many feature frames of a stream: whole chunks."""
        frames = -(-features // self.factor)
        return frames - frames % self.chunk

    def total(self, features: int) -> int:
        """How many encoder frames a stream of so many feature frames has in all."""
        for _ in range(self.halvings):
            features = features // 2 + 1
        return features

    def plan(self, heard: Sequence[int], made: Sequence[int], counts: Sequence[int], ending: Sequence[int]) -> Plan:
        """The steps in which streams go on.

        Args:
            heard, made: feature frames that each stream has had before, and encoder frames that have come out
            counts: new feature frames of each stream
            ending: the streams that end with them
        """
        after = [before + count for before, count in zip(heard, counts)]
        until = [self.total(n) if row in ending else self.ready(n) for row, n in enumerate(after)]
        turns, offset = [], 0
        for rows, frames in self._turns([end - done for end, done in zip(until, made)], ending):
            positions = [made[row] + offset for row in rows]
            starts = [self.factor * (k - 1) + 1 - heard[row] for k, row in zip(positions, rows)]
            ends = [after[row] if row in ending else NO_END for row in rows]
            turns.append(Turn(rows, frames, offset, positions, starts, ends))
            offset += frames
        return Plan(turns, after, until, [end - done for end, done in zip(until, made)])

    def _turns(self, missing: list[int], ending: Sequence[int]) -> Iterator[tuple[list[int], int]]:
        """Streams, and how many frames of each, until none is missing; only those that end are given too many."""
        while rows := [row for row, frames in enumerate(missing) if frames > 0]:
            going_on = [missing[row] for row in rows if row not in ending]
            frames = min(min(going_on) if going_on else max(missing), self.most)
            yield rows, frames
            missing = [rest - frames for rest in missing]
