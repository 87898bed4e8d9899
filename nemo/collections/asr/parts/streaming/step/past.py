# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""What a step knows of the frames before it.

A session has memory that is written in place (`EncoderState`); a graph is given tensors and returns others
(`GraphPast`). The step asks both in the same way: `append` and `extend` put new frames behind the past ones.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from nemo.collections.asr.parts.streaming.batch_rows import put_rows, take_rows
from nemo.collections.asr.parts.streaming.batch_state import FIXED, BatchState, streams_at


@dataclass
class AttentionState(BatchState):
    """Keys and values of the past, with the heads first: nothing is copied to attend.

    Args:
        memory: (2, H, B, left + room, d) keys and values; those of the last `left` frames end at `end`, zeros stand
            for frames before a stream began
        end: where the next ones are written
        left: frames of the past that are seen
    """

    memory: Tensor = field(metadata=streams_at(2))
    end: int
    left: int = field(metadata=FIXED)

    def allowed(self, attribute: str) -> range:
        """`end` leaves room for the past before it."""
        return range(self.left, self.memory.size(3) + 1)

    def append(self, keys: Tensor, values: Tensor, rows: Tensor | None) -> tuple[Tensor, Tensor]:
        """Adds keys and values of T frames.

        Args:
            keys, values: (H, b, T, d)
            rows: which streams these are, (b,); None for all
        Returns:
            those of the last `left + T` frames, (H, b, left + T, d) each, valid until the next call
        """
        if rows is None:
            seen = self._append_all(keys, values)
        else:
            seen = self._append_some(torch.stack([keys, values]), rows)
        return seen[0], seen[1]

    def _append_all(self, keys: Tensor, values: Tensor) -> Tensor:
        """Writes behind the past; where that is full, the past moves to the front first."""
        frames = keys.size(2)
        if self.end + frames > self.memory.size(3):
            self.memory.narrow(3, 0, self.left).copy_(self.memory.narrow(3, self.end - self.left, self.left).clone())
            self.end = self.left
        room = self.memory.narrow(3, self.end, frames)
        room[0].copy_(keys)
        room[1].copy_(values)
        self.end += frames
        return self.memory.narrow(3, self.end - frames - self.left, self.left + frames)

    def _append_some(self, new: Tensor, rows: Tensor) -> Tensor:
        """Moves the past of these streams by as many frames as come; that of the others stays."""
        past = self.memory.narrow(3, self.end - self.left, self.left)
        seen = torch.cat([take_rows(past, rows, dim=2), new], dim=3)
        put_rows(past, rows, seen.narrow(3, new.size(3), self.left), dim=2)
        return seen


@dataclass
class LayerState(BatchState):
    """What a layer remembers.

    Args:
        attention: the past of its attention
        convolution: (B, D, k - 1) the last inputs of its depthwise convolution, zeros before a stream began
    """

    attention: AttentionState
    convolution: Tensor

    def append(self, keys: Tensor, values: Tensor, rows: Tensor | None) -> tuple[Tensor, Tensor]:
        """See `AttentionState.append`."""
        return self.attention.append(keys, values, rows)

    def extend(self, x: Tensor, rows: Tensor | None) -> Tensor:
        """Inputs of the convolution (b, T, D) behind the last ones, (b, k - 1 + T, D)."""
        past = self.convolution.transpose(1, 2)
        x = torch.cat([take_rows(past, rows), x], dim=1)
        put_rows(past, rows, x.narrow(1, x.size(1) - past.size(1), past.size(1)))
        return x


@dataclass
class SubsamplingState(BatchState):
    """What the subsampling remembers of each stream.

    Args:
        waiting: (B, P, D) the last feature frames, those that have not been used yet among them
        stages: (B, C, 1, F) for each convolution but the first one: the last frame that went into it
    """

    waiting: Tensor
    stages: list[Tensor]

    def extend(self, stage: int, x: Tensor, rows: Tensor | None) -> Tensor:
        """Frames (b, C, T, F) that go into a convolution behind the last one, (b, C, 1 + T, F); the frame before the
        first convolution's is among the waiting ones, and therefore in x already."""
        if stage == 0:
            return x
        past = self.stages[stage - 1]
        x = torch.cat([take_rows(past, rows), x], dim=2)
        put_rows(past, rows, x.narrow(2, x.size(2) - 1, 1))
        return x


@dataclass
class EncoderState(BatchState):
    """What the encoder remembers of each stream.

    Args:
        subsampling, layers: what they remember
        heard: feature frames that each stream has had
        made: encoder frames of each stream that have come out
    """

    subsampling: SubsamplingState
    layers: list[LayerState]
    heard: list[int]
    made: list[int]


class GraphLayer:
    """Keys and values (B, H, L, d) of any length L, and inputs of the convolution (B, k - 1, D), as tensors."""

    def __init__(self, keys: Tensor, values: Tensor, inputs: Tensor):
        self.tensors = [keys, values, inputs]

    def append(self, keys: Tensor, values: Tensor, rows: Tensor | None) -> tuple[Tensor, Tensor]:
        """See `AttentionState.append`."""
        frames = keys.size(2)
        seen = [torch.cat([past, new.transpose(0, 1)], dim=2) for past, new in zip(self.tensors, (keys, values))]
        self.tensors[:2] = [x[:, :, frames:] for x in seen]
        return seen[0].transpose(0, 1), seen[1].transpose(0, 1)

    def extend(self, x: Tensor, rows: Tensor | None) -> Tensor:
        """See `LayerState.extend`."""
        frames = x.size(1)
        x = torch.cat([self.tensors[2], x], dim=1)
        self.tensors[2] = x[:, frames:]
        return x


class GraphSubsampling:
    """The last frame that went into each convolution, (B, C, 1, F) each."""

    def __init__(self, tensors: Sequence[Tensor]):
        self.tensors = list(tensors)

    def extend(self, stage: int, x: Tensor, rows: Tensor | None) -> Tensor:
        """See `SubsamplingState.extend`."""
        past, self.tensors[stage] = self.tensors[stage], x[:, :, -1:]
        return torch.cat([past, x], dim=2)


class GraphPast:
    """The past of a step that is a graph.

    Args:
        tensors: a last frame for each of `stages` convolutions; keys, values and inputs for each layer
    """

    def __init__(self, tensors: Sequence[Tensor], stages: int):
        self.subsampling = GraphSubsampling(tensors[:stages])
        self.layers = [GraphLayer(*tensors[i : i + 3]) for i in range(stages, len(tensors), 3)]

    def tensors(self) -> Iterator[Tensor]:
        """What the next step is given, in the same order."""
        yield from self.subsampling.tensors
        for layer in self.layers:
            yield from layer.tensors
