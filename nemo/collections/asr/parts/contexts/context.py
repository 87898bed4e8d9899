# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""What a streaming encoder sees: attention contexts `[left, right]`, in encoder frames (80 ms after 8-fold
subsampling), -1 for unlimited. Nothing here needs torch.

Source of the `chunked_limited` style: https://arxiv.org/abs/2312.17279
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from nemo.utils import logging, logging_mode
from nemo.utils.option_checks import check_integer

UNLIMITED = -1
STYLES = ("regular", "chunked_limited")


def _smaller(a: int, b: int) -> int:
    """The smaller of two reaches, -1 counting as unlimited."""
    return max(a, b) if UNLIMITED in (a, b) else min(a, b)


def _largest(reaches: Sequence[int]) -> int:
    """The largest reach, -1 counting as unlimited; 0 if there is none."""
    return UNLIMITED if UNLIMITED in reaches else max(reaches, default=0)


@dataclass(frozen=True)
class AttentionContext:
    """How far a frame attends: `left` and `right` encoder frames, -1 is unlimited.

    With style `chunked_limited`, right + 1 frames are a chunk: a frame sees its whole chunk, and as many whole chunks
    before it as fit into `left`.
    """

    left: int
    right: int

    @classmethod
    def parse(cls, value: Any, item: str = "att_context_size") -> "AttentionContext":
        """Reads `[left, right]` from a list, tuple, `ListConfig` or another context.

        Raises:
            ValueError: naming `item` and the value, if it is none of these, or a reach is not an integer >= -1.
        """
        if isinstance(value, cls):
            return value
        if not is_sequence(value) or len(value) != 2:
            raise ValueError(f"{item}={plain_lists(value)!r}: must be [left, right] in encoder frames")
        left, right = (check_integer(f"{side} context of {item}", v, -1) for side, v in zip(("left", "right"), value))
        return cls(left, right)

    def as_list(self) -> list[int]:
        """`[left, right]`, as NeMo has it."""
        return [self.left, self.right]

    def chunk(self, style: str) -> int:
        """How many frames see the same keys; 1 where each frame has a window of its own."""
        return self.right + 1 if style == "chunked_limited" and self.right != UNLIMITED else 1

    def whole_chunks(self, style: str) -> "AttentionContext":
        """The left context cut to whole chunks."""
        left = self.left if self.left == UNLIMITED else self.left - self.left % self.chunk(style)
        return AttentionContext(left, self.right)

    def within(self, other: "AttentionContext") -> "AttentionContext":
        """The smaller reach of both on each side: what both see, if they have chunks of the same size."""
        return AttentionContext(_smaller(self.left, other.left), _smaller(self.right, other.right))

    def capped(self, cap: "AttentionContext", style: str) -> "AttentionContext":
        """No more than `cap` on either side, in whole chunks."""
        return self.within(cap).whole_chunks(style)


WHOLE_UTTERANCE = AttentionContext(UNLIMITED, UNLIMITED)


def widest(contexts: Iterable[AttentionContext]) -> AttentionContext:
    """The smallest context that covers all of them."""
    contexts = list(contexts)
    return AttentionContext(_largest([c.left for c in contexts]), _largest([c.right for c in contexts]))


def tightest_left(contexts: Iterable[AttentionContext]) -> int | None:
    """The smallest finite left context; None if every one is unlimited."""
    return min((context.left for context in contexts if context.left != UNLIMITED), default=None)


def lookahead_frames(contexts: Sequence[AttentionContext], style: str = "regular") -> int:
    """How many encoder frames ahead a stack of layers sees, -1 for unlimited.

    Right contexts add up from layer to layer; chunks do not, because every layer has the same ones.
    """
    rights = [context.right for context in contexts]
    return _largest(rights) if style == "chunked_limited" or UNLIMITED in rights else sum(rights)


def check_layer_contexts(contexts: Sequence[Any], style: str = "regular") -> list[AttentionContext]:
    """Reads one context for each layer and checks that they go together.

    Raises:
        ValueError: naming the layer, the value and what is allowed: a context that is none (`AttentionContext.parse`);
            for `chunked_limited` an unlimited right context, a left one that is no multiple of right + 1, or right
            contexts that differ.
    """
    parsed = [AttentionContext.parse(value, f"context of layer {i}") for i, value in enumerate(contexts)]
    for i, context in enumerate(parsed):
        if style == "chunked_limited":
            _check_chunks(context, parsed[0].right, i)
        if context.left == 0:
            warning = f"Layer {i} has the left context 0: it sees nothing before the current frame or chunk."
            logging.warning(warning, mode=logging_mode.ONCE)
    return parsed


def _check_chunks(context: AttentionContext, right: int, layer: int) -> None:
    name = f"context of layer {layer}={context.as_list()}"
    if context.right == UNLIMITED:
        raise ValueError(f"{name}: the right context must be limited for att_context_style=chunked_limited")
    if context.right != right:
        raise ValueError(f"{name}: the right context must be {right} as in layer 0 for chunked_limited")
    if context.left > 0 and context.left % (right + 1):
        raise ValueError(f"{name}: the left context must be a multiple of right + 1 = {right + 1} for chunked_limited")


def attention_contexts(encoder: Any) -> list[AttentionContext]:
    """The contexts that an encoder's next forward may use: each layer's, and all that NeMo may draw from while it
    trains. Empty for an encoder that has none."""
    layers = [AttentionContext.parse(context) for context in getattr(encoder, "layer_contexts", None) or ()]
    sizes = [] if layers else [getattr(encoder, "att_context_size", None)]
    if encoder.training and len(getattr(encoder, "att_context_size_all", None) or ()) > 1:
        sizes = encoder.att_context_size_all
    # NeMo 3 has contexts of three numbers, [left, chunk, right]
    return layers + [AttentionContext(size[0], size[-1]) for size in sizes if size is not None]


def is_sequence(value: Any) -> bool:
    """True for lists, tuples and `ListConfig`s."""
    # a ListConfig is a Sequence too, but no list
    return isinstance(value, Sequence) and not isinstance(value, (str, bytes))


def plain_lists(value: Any) -> Any:
    """Lists in place of `ListConfig`s, for messages."""
    return [plain_lists(item) for item in value] if is_sequence(value) else value
