# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""One attention layer with relative positions, forward and backward: NeMo's full matrix, and ours within the window.

Ragged utterances, no dropout. NeMo's side gets the mask that says what ours computes. Rows `growth` have no NeMo side:
time per frame at two lengths.
"""

import sys
from argparse import Namespace
from collections.abc import Iterator, Sequence
from typing import Any

import torch

from benchmarks.speed.harness import Case, Step, forward_backward, main
from benchmarks.speed.plain_nemo import attention as plain
from nemo.collections.asr.parts.contexts import AttentionContext
from nemo.collections.asr.parts.submodules.attention_windows import Band, is_faster
from nemo.collections.asr.parts.submodules.multi_head_attention import RelPositionMultiHeadAttention

FRAMES = (188, 375, 750, 1500)
CONTEXTS = ((40, 0), (320, 0), (40, 40))
SHORT = ((8, (40, 0)), (50, (40, 0)), (100, (40, 0)), (188, (-1, -1)), (375, (-1, -1)))
GROWTH = (375, 3000)


def ragged(batch: int, frames: int, device: torch.device | str) -> torch.Tensor:
    """Lengths from half of the frames to all of them, (B,)."""
    return torch.linspace(frames, frames // 2, batch, device=device).round().long()


def dense_mask(context: Sequence[int], lengths: torch.Tensor, frames: int) -> torch.Tensor:
    """True where a query must not see a key, (B, T, T)."""
    index = torch.arange(frames, device=lengths.device)
    relation, valid = index.unsqueeze(1) - index, index < lengths.unsqueeze(1)
    left, right = (frames if reach < 0 else reach for reach in context)
    seen = (relation <= left) & (relation >= -right) & valid.unsqueeze(1) & valid.unsqueeze(2)
    return ~seen


class Layer:
    """One layer in every form, with the same weights and input."""

    def __init__(self, args: Namespace, frames: int, context: tuple[int, int]):
        torch.manual_seed(0)
        self.args, self.frames, self.context = args, frames, context
        self.lengths = ragged(args.batch, frames, args.device)
        self.x = torch.randn(args.batch, frames, args.d_model, device=args.device, requires_grad=True)
        self.positions = torch.randn(1, 2 * frames - 1, args.d_model, device=args.device)
        self.state: Any = None

    def step(self, layer_class: Any, mask: Any, **options: Any) -> Step:
        """Forward and backward of a class of layers under a mask."""
        sizes = (self.args.heads, self.args.d_model, 0.0, None, None)
        layer = layer_class(*sizes, **options).to(self.args.device)
        self.state = self.state or layer.state_dict()
        layer.load_state_dict(self.state)
        forward = lambda: layer(self.x, self.x, self.x, mask=mask, pos_emb=self.positions)  # noqa: E731
        return forward_backward(forward, [self.x, *layer.parameters()], self.args)

    def case(self, part: str) -> Case:
        """Ours, as the encoder chooses, against both modes of NeMo."""
        mask = dense_mask(self.context, self.lengths, self.frames)
        nemo = plain.RelPositionMultiHeadAttention
        sides = {"nemo": self.step(nemo, mask), "nemo sdpa": self.step(nemo, mask, use_pytorch_sdpa=True)}
        band = Band.of(AttentionContext(*self.context), "regular", self.lengths, self.frames)
        in_blocks = is_faster(band, self.frames, self.args.device)
        ours = self.step(RelPositionMultiHeadAttention, band if in_blocks else mask)
        settings = {"left": self.context[0], "right": self.context[1], "frames": self.frames}
        return Case(part, {**settings, "blocks": in_blocks}, ours, sides)


def cases(args: Namespace) -> Iterator[Case]:
    for context in CONTEXTS:
        for frames in FRAMES:
            yield Layer(args, frames, context).case("attention")
    for frames, context in SHORT:
        yield Layer(args, frames, context).case("attention short")
    for frames in GROWTH:
        layer = Layer(args, frames, (40, 0))
        band = Band.of(AttentionContext(40, 0), "regular", layer.lengths, frames)
        yield Case("attention growth", {"left": 40, "frames": frames}, layer.step(RelPositionMultiHeadAttention, band))


if __name__ == "__main__":
    sys.exit(main("attention", __doc__, cases))
