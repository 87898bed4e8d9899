# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""What is known of a stream's words."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from torch import Tensor


@dataclass(frozen=True)
class Token:
    """
    One token of a stream.

    Args:
        id: its index in the model's vocabulary
        text: the piece of text that it stands for, with the tokenizer's own marks of word beginnings
        seconds: where in the stream the encoder frame begins that it came with
    """

    id: int
    text: str
    seconds: float


@dataclass
class StreamTokens:
    """
    What a decoder remembers of one stream.

    Args:
        ids: the tokens so far
        frames: the encoder frame that each came with, counted from the stream's beginning
        heard: encoder frames so far
        carry: whatever else the decoder needs to go on; None at the beginning
        log_probs: (T', C) each, kept for a search at the stream's end
        best: the text of the whole stream, where a decoder that waits for its end has found it
    """

    ids: list[int] = field(default_factory=list)
    frames: list[int] = field(default_factory=list)
    heard: int = 0
    carry: Any = None
    log_probs: list[Tensor] = field(default_factory=list)
    best: str | None = None


class Transcript:
    """
    The words of one stream, as they are known after a call.

    Args:
        new_tokens: the tokens that this call has added
        ids: all tokens so far
        to_text: makes text of tokens
        revised: whether the text may still change at the end of the stream
        best: the text, where it is not that of `ids`
    """

    def __init__(
        self,
        new_tokens: Sequence[Token],
        ids: Sequence[int],
        to_text: Callable[[list[int]], str],
        revised: bool = False,
        best: str | None = None,
    ):
        self.new_tokens = list(new_tokens)
        # the list itself grows with the stream: this is how much of it is meant
        self._ids, self._count = ids, len(ids)
        self._to_text, self._revised, self._best = to_text, revised, best

    @cached_property
    def text(self) -> str:
        """All words so far; made when it is read, so that a long stream costs nothing that nobody looks at."""
        if self._best is not None:
            return self._best
        return self._to_text(list(self._ids[: self._count]))

    @property
    def final(self) -> str:
        """The part of the text that later audio cannot change: all of it with greedy decoding, none of it before the
        stream's end with a beam."""
        return "" if self._revised else self.text

    def __repr__(self) -> str:
        return f"Transcript(text={self.text!r}, final={self.final!r})"
