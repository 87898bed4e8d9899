# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""CTC: the most probable class of each frame, repeats folded; or NeMo's search when a stream has ended."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from nemo.collections.asr.parts.streaming.output import decode
from nemo.collections.asr.parts.streaming.recognition.token_decoder import TokenDecoder
from nemo.collections.asr.parts.streaming.recognition.transcript import StreamTokens
from nemo.utils.precision import at_least_float32

GREEDY = ("greedy", "greedy_batch")


class GreedyCtc(TokenDecoder):
    """
    Tokens of the most probable path (Graves et al. 2006, https://doi.org/10.1145/1143844.1143891, section 3.2). A
    stream carries the class of its last frame, which is not a new token if it goes on.

    Args:
        decoder: gives log-probabilities of each frame, the blank's last
        decoding: the model's CTC decoding
    """

    kind = "CTC"

    def __init__(self, decoder: nn.Module, decoding: Any):
        super().__init__(decoding)
        self.decoder = decoder

    def advance(self, streams: Sequence[StreamTokens], features: Tensor, counts: list[int]) -> None:
        """See `TokenDecoder`."""
        log_probs = decode(self.decoder, features)
        for stream, own, classes, count in zip(streams, log_probs, log_probs.argmax(dim=2).tolist(), counts):
            self.keep(stream, own[:count])
            self._fold(stream, classes[:count])

    def keep(self, stream: StreamTokens, log_probs: Tensor) -> None:
        """Keeps what is needed at a stream's end of new frames, (T', C): nothing."""

    def unpack(self, packed: Any) -> int:
        """See `TokenDecoder`."""
        if type(packed) is not int:
            raise ValueError("a stream of CTC carries the class of its last frame")
        return packed

    def _fold(self, stream: StreamTokens, classes: list[int]) -> None:
        previous, blank = stream.carry, self.decoding.blank_id
        for frame, index in enumerate(classes, stream.heard):
            if index not in (previous, blank):
                stream.ids.append(index)
                stream.frames.append(frame)
            previous = index
        stream.carry, stream.heard = previous, stream.heard + len(classes)


class SearchedCtc(GreedyCtc):
    """The same until a stream ends; then its text is that of NeMo's own search over all of it. So its memory grows
    with the stream, by the log-probabilities of every frame."""

    kind, revises = "CTC with a search at the end", True

    def keep(self, stream: StreamTokens, log_probs: Tensor) -> None:
        """See `GreedyCtc`."""
        if log_probs.size(0):
            stream.log_probs.append(log_probs.clone())

    def load(self, saved: Mapping[str, Any]) -> StreamTokens:
        """See `TokenDecoder`."""
        stream = super().load(saved)
        kept = sum(log_probs.size(0) for log_probs in stream.log_probs)
        if kept != stream.heard:
            raise ValueError(f"log-probabilities of {kept} frames, after {stream.heard} frames")
        return stream

    def finish(self, stream: StreamTokens) -> None:
        """See `TokenDecoder`."""
        if stream.log_probs:
            whole = torch.cat(stream.log_probs).unsqueeze(0)
            whole = whole.to(at_least_float32(whole))  # searches know no half precision
            length = torch.tensor([whole.size(1)], device=whole.device)
            found = self.decoding.ctc_decoder_predictions_tensor(whole, decoder_lengths=length)[0]
            stream.best = (found[0] if isinstance(found, list) else found).text
