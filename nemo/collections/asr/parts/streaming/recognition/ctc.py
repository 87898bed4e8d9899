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

"""CTC: the most probable class of each frame, repeats folded; or NeMo's search when a stream has ended."""

from typing import Any, List, Sequence

import torch
from torch import Tensor, nn

from nemo.collections.asr.parts.streaming.output import decode
from nemo.collections.asr.parts.streaming.recognition.token_decoder import TokenDecoder
from nemo.collections.asr.parts.streaming.recognition.transcript import StreamTokens

GREEDY = ("greedy", "greedy_batch")


class GreedyCtc(TokenDecoder):
    """
    Tokens of the most probable path (Graves et al. 2006, https://doi.org/10.1145/1143844.1143891, section 3.2). A
    stream carries the class of its last frame, which is not a new token if it goes on.

    Args:
        decoder: gives log-probabilities of each frame, the blank's last
        decoding: the model's CTC decoding
    """

    def __init__(self, decoder: nn.Module, decoding: Any):
        super().__init__(decoding)
        self.decoder = decoder

    def advance(self, streams: Sequence[StreamTokens], features: Tensor, counts: List[int]) -> None:
        """See `TokenDecoder`."""
        log_probs = decode(self.decoder, features)
        for stream, classes, count in zip(streams, log_probs.argmax(dim=2).tolist(), counts):
            self._fold(stream, classes[:count])

    def _fold(self, stream: StreamTokens, classes: List[int]) -> None:
        previous, blank = stream.carry, self.decoding.blank_id
        for frame, index in enumerate(classes, stream.heard):
            if index not in (previous, blank):
                stream.ids.append(index)
                stream.frames.append(frame)
            previous = index
        stream.carry, stream.heard = previous, stream.heard + len(classes)

    def pack(self, carry: int) -> int:
        """See `TokenDecoder`."""
        return carry

    def unpack(self, packed: int) -> int:
        """See `TokenDecoder`."""
        return packed


class SearchedCtc(GreedyCtc):
    """The same until a stream ends; then its text is that of NeMo's own search over all of it. So its memory grows
    with the stream, by the log-probabilities of every frame."""

    revises = True

    def advance(self, streams: Sequence[StreamTokens], features: Tensor, counts: List[int]) -> None:
        """See `TokenDecoder`."""
        log_probs = decode(self.decoder, features)
        for row, (stream, count) in enumerate(zip(streams, counts)):
            previous, kept = stream.carry or (None, [])
            new, stream.carry = log_probs[row, :count], previous
            self._fold(stream, new.argmax(dim=1).tolist())
            stream.carry = stream.carry, [*kept, new.clone()] if count else kept

    def finish(self, stream: StreamTokens) -> None:
        """See `TokenDecoder`."""
        _, kept = stream.carry or (None, [])
        if kept:
            whole = torch.cat(kept).unsqueeze(0)
            length = torch.tensor([whole.size(1)], device=whole.device)
            found = self.decoding.ctc_decoder_predictions_tensor(whole, decoder_lengths=length)[0]
            stream.best = (found[0] if isinstance(found, list) else found).text

    def pack(self, carry: Any) -> Any:
        """See `TokenDecoder`."""
        previous, kept = carry
        return {"previous": previous, "log_probs": torch.cat(kept) if kept else None}

    def unpack(self, packed: Any) -> Any:
        """See `TokenDecoder`."""
        kept = packed["log_probs"]
        return packed["previous"], [] if kept is None else [kept.clone()]
