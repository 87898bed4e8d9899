# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""The interface of what turns encoder frames into tokens, stream by stream."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from nemo.collections.asr.parts.streaming.recognition.transcript import StreamTokens


class TokenDecoder(ABC):
    """
    Tokens of streams, with one of NeMo's decodings.

    Args:
        decoding: the model's `decoding`, which makes text of tokens
    """

    kind = ""  # of decoding, for people
    revises = False  # whether the text of a stream may change until it ends

    def __init__(self, decoding: Any):
        self.decoding = decoding

    @abstractmethod
    def advance(self, streams: Sequence[StreamTokens], features: Tensor, counts: list[int]) -> None:
        """Adds the tokens of new encoder frames to each stream.

        Args:
            streams: of each row; changed
            features: (B, D, T')
            counts: how many frames of each row are new
        """

    def finish(self, stream: StreamTokens) -> None:  # noqa: B027 (most decoders have nothing to do)
        """Does what has to wait for a stream's end."""

    def identity(self) -> dict[str, Any]:
        """What must be the same in a recogniser that goes on from a saved state, as plain values."""
        return {"decoder": self.kind, "blank": int(self.decoding.blank_id)}

    def pack(self, carry: Any) -> Any:
        """What a stream carries, as tensors and plain numbers: a copy."""
        return carry

    def unpack(self, packed: Any) -> Any:
        """The opposite of `pack`.

        Raises:
            ValueError: it is of another decoder
        """
        return packed

    def text(self, ids: list[int]) -> str:
        """The text of some tokens, as offline decoding makes it."""
        return self.decoding.decode_tokens_to_str_with_strip_punctuation(ids) if ids else ""

    def piece(self, token: int) -> str:
        """The text of one token."""
        pieces = self.decoding.decode_ids_to_tokens([token])
        # NeMo leaves out the last ones of a TDT model's vocabulary
        return pieces[0] if pieces else self.decoding.decode_ids_to_str([token])

    def save(self, stream: StreamTokens) -> dict[str, Any]:
        """All that is remembered of a stream, copied."""
        return {
            "ids": list(stream.ids),
            "frames": list(stream.frames),
            "heard": stream.heard,
            "carry": None if stream.carry is None else self.pack(stream.carry),
            "log_probs": torch.cat(stream.log_probs) if stream.log_probs else None,
        }

    def load(self, saved: Mapping[str, Any]) -> StreamTokens:
        """The stream that `save` was given.

        Raises:
            KeyError, TypeError, ValueError: it is of another decoder
        """
        carry = None if saved["carry"] is None else self.unpack(saved["carry"])
        log_probs = [] if saved["log_probs"] is None else [saved["log_probs"].clone()]
        return StreamTokens(list(saved["ids"]), list(saved["frames"]), saved["heard"], carry, log_probs)
