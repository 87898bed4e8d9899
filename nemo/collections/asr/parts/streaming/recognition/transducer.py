# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""RNN-T and TDT: NeMo's greedy batched decoding, whose state goes from piece to piece."""

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

import torch
from torch import Tensor

from nemo.collections.asr.parts.streaming.output import in_type_of
from nemo.collections.asr.parts.streaming.recognition.token_decoder import TokenDecoder
from nemo.collections.asr.parts.streaming.recognition.transcript import StreamTokens
from nemo.collections.asr.parts.streaming.without_gradients import without_autocast
from nemo.collections.asr.parts.submodules.transducer_decoding.label_looping_base import LabelLoopingStateItem
from nemo.collections.asr.parts.utils.rnnt_utils import Hypothesis

RNNT, TDT = "RNN-T", "TDT"


class GreedyTransducer(TokenDecoder):
    """
    Tokens by NeMo's label looping (https://arxiv.org/abs/2406.06220). A stream carries the state of the prediction
    network, and no tokens: time and memory of a piece do not grow with the stream.
    """

    def __init__(self, decoding: Any):
        super().__init__(decoding)
        self.kind = TDT if decoding.durations else RNNT

    def identity(self) -> dict[str, Any]:
        """See `TokenDecoder`."""
        infer = self.decoding.decoding
        sizes = {name: getattr(infer.decoder, name, None) for name in ("pred_hidden", "pred_rnn_layers")}
        return {**super().identity(), **sizes, "joint_hidden": getattr(infer.joint, "joint_hidden", None)}

    def advance(self, streams: Sequence[StreamTokens], features: Tensor, counts: list[int]) -> None:
        """See `TokenDecoder`. It goes on in the type of the weights: a state from under autocast fits outside of it,
        and no CPU has NeMo's LSTM in half precision under autocast."""
        if not any(counts):
            return
        # a stream without new frames would be given back a state that it never had
        rows = [row for row, count in enumerate(counts) if count]
        lengths = torch.tensor([counts[row] for row in rows], device=features.device)
        before = [self._hypothesis(streams[row]) for row in rows]
        index = torch.tensor(rows, device=features.device)
        features = in_type_of(self.decoding.decoding.joint, features).index_select(0, index)
        with without_autocast(features.device):
            found = self.decoding.decoding(
                encoder_output=features, encoded_lengths=lengths, partial_hypotheses=before
            )[0]
        for row, hypothesis in zip(rows, found):
            stream = streams[row]
            stream.ids += torch.as_tensor(hypothesis.y_sequence).tolist()
            stream.frames += torch.as_tensor(hypothesis.timestamp).tolist()
            stream.carry, stream.heard = hypothesis.dec_state, stream.heard + counts[row]

    @staticmethod
    def _hypothesis(stream: StreamTokens) -> Any:
        """What NeMo goes on from: a state without its tokens, which are kept here."""
        if stream.carry is None:
            return None
        return Hypothesis(score=0.0, y_sequence=None, timestamp=None, dec_state=stream.carry)

    def pack(self, carry: Any) -> Any:
        """See `TokenDecoder`."""
        return {item.name: _copied(getattr(carry, item.name)) for item in fields(carry)}

    def unpack(self, packed: Any) -> Any:
        """See `TokenDecoder`."""
        carry = LabelLoopingStateItem(**{name: _copied(value) for name, value in packed.items()})
        if (carry.time_jump is not None) != (self.kind == TDT):
            raise ValueError(
                f"time_jump={carry.time_jump}, which {self.kind} {'needs' if self.kind == TDT else 'has not'}"
            )
        return carry


def _copied(value: Any) -> Any:
    """Tensors in lists and tuples, as ordinary ones of their own."""
    if isinstance(value, Tensor):
        with torch.inference_mode(False):
            return value.clone()
    return type(value)(map(_copied, value)) if isinstance(value, (list, tuple)) else value
