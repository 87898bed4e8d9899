# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Text of speech as it comes.

    with StreamingRecognizer(model) as recognizer:
        for samples in microphone:                       # (1, N) floats at recognizer.sample_rate
            print(recognizer.push(samples)[0].text)
        print(recognizer.flush()[0].text)

However the audio is cut, the last text is what the model's own `transcribe` makes of the whole.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn

import nemo.collections.asr.parts.streaming.tensors as tensors
from nemo.collections.asr.parts.streaming.arguments import ArrayLike, as_rows
from nemo.collections.asr.parts.streaming.output import StreamingOutput
from nemo.collections.asr.parts.streaming.recognition.ctc import GREEDY, GreedyCtc, SearchedCtc
from nemo.collections.asr.parts.streaming.recognition.token_decoder import TokenDecoder
from nemo.collections.asr.parts.streaming.recognition.transcript import StreamTokens, Token, Transcript
from nemo.collections.asr.parts.streaming.recognition.transducer import GreedyTransducer
from nemo.collections.asr.parts.streaming.requirements import require_decoder
from nemo.collections.asr.parts.streaming.session import StreamingEncoderSession
from nemo.collections.asr.parts.streaming.state import check_constants, completed
from nemo.collections.asr.parts.streaming.without_gradients import without_gradients
from nemo.utils.option_checks import check_choice

KIND = "StreamingRecognizer"  # of a saved state
CTC, TRANSDUCER = DECODERS = ("ctc", "rnnt")


class StreamingRecognizer:
    """
    Streams of audio, side by side in a batch, through one recogniser: a `StreamingEncoderSession` and NeMo's decoding.

    Decoding is the model's own, as its config and `change_decoding_strategy` say: CTC greedy, piece by piece; CTC with
    a beam, greedy until a stream ends, when NeMo's search takes its place; RNN-T and TDT `greedy_batch`.

    Args:
        model: a CTC, RNN-T or hybrid model of NeMo in eval mode that can stream
        batch_size: number of streams
        max_context: see `StreamingEncoderSession`
        decoder: of a hybrid model: `ctc` or `rnnt`; None: the one in use
        on_nonfinite, allow_changed, verify: see `StreamingEncoderSession`

    Raises:
        ValueError: what `StreamingEncoderSession` refuses; a model without text; a decoding that cannot go on from
            piece to piece
    """

    def __init__(
        self,
        model: nn.Module,
        batch_size: int = 1,
        max_context: int | None = None,
        decoder: str | None = None,
        on_nonfinite: str = "raise",
        allow_changed: Sequence[str] = (),
        verify: bool = True,
    ):
        self._decoder = token_decoder(model, decoder)
        self.session = StreamingEncoderSession(
            model, batch_size, max_context, on_nonfinite=on_nonfinite, allow_changed=allow_changed, verify=verify
        )
        self._frame_seconds = self.session.report.timing.encoder_ms / 1000
        self._streams = [StreamTokens() for _ in range(batch_size)]

    @property
    def batch_size(self) -> int:
        """Number of streams."""
        return self.session.batch_size

    @property
    def sample_rate(self) -> int:
        """Of the audio that `push` takes, in Hz."""
        return self.session.sample_rate

    @property
    def chunk_samples(self) -> int:
        """Samples between two outputs of the encoder: what is best pushed at once."""
        return self.session.chunk_samples

    @property
    def lookahead_ms(self) -> float:
        """How far the encoder looks ahead, in milliseconds."""
        return self.session.lookahead_ms

    @property
    def nonfinite_samples(self) -> list[int]:
        """Samples of each stream that silence has replaced since its beginning."""
        return self.session.nonfinite_samples

    def __enter__(self) -> "StreamingRecognizer":
        self.session.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self.session.__exit__(*error)
        self.reset()

    @without_gradients
    def push(self, samples: ArrayLike, lengths: ArrayLike | None = None) -> list[Transcript]:
        """Takes the next audio of every stream in.

        Args:
            samples: (B, N) floats at `sample_rate`, any N >= 0
            lengths: (B,) how many of them each stream has; None: all
        Returns:
            what is known of each stream, B transcripts

        Raises:
            ValueError: as `StreamingEncoderSession.push`
        """
        return self._decode(self.session.push(samples, lengths))

    @without_gradients
    def flush(self, mask: ArrayLike | None = None) -> list[Transcript]:
        """Ends streams: their text is final, and they are at their beginning again.

        Args:
            mask: (B,) true for the streams that end; None for all
        Returns:
            what is known of each stream, B transcripts

        Raises:
            ValueError: the mask is not one flag for each stream
        """
        rows = as_rows(tensors, mask, self.batch_size)
        transcripts = self._decode(self.session.flush(mask), ending=rows)
        self._begin(rows)
        return transcripts

    def reset(self, mask: ArrayLike | None = None) -> None:
        """Puts streams back to their beginning; their text is dropped.

        Args:
            mask: (B,) true for these streams; None for all
        """
        self.session.reset(mask)
        self._begin(as_rows(tensors, mask, self.batch_size))

    def state_dict(self) -> dict[str, Any]:
        """All state as tensors (copies) and plain values, for `torch.save`."""
        streams = [self._decoder.save(each) for each in self._streams]
        return {
            "kind": KIND,
            "decoding": self._decoder.identity(),
            "session": self.session.state_dict(),
            "streams": streams,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Goes on from what `state_dict` gave, of a recogniser with the same model, decoding and batch size.

        Raises:
            ValueError: something is missing or does not fit, by name; nothing has been changed then
        """
        identity = self._decoder.identity()
        own = {"kind": KIND, "decoding": identity, "session": None, "streams": None}
        state = completed(state, own)
        if not isinstance(state["decoding"], Mapping):
            raise ValueError(f"state 'decoding' is a {type(state['decoding']).__name__}: must be what state_dict gave")
        check_constants({**dict.fromkeys(identity), **state["decoding"]}, identity)
        try:
            streams = [self._decoder.load(each) for each in state["streams"]]
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ValueError(f"state['streams'] is of another decoder than {self._decoder.kind}: {error!r}") from error
        if len(streams) != self.batch_size:
            raise ValueError(f"state has {len(streams)} streams: must have batch_size={self.batch_size}")
        self.session.load_state_dict(state["session"])
        self._streams = streams

    def _begin(self, rows: list[int]) -> None:
        for row in rows:
            self._streams[row] = StreamTokens()

    def _decode(self, output: StreamingOutput, ending: Sequence[int] = ()) -> list[Transcript]:
        """The transcripts after new encoder frames."""
        before = [len(stream.ids) for stream in self._streams]
        self._decoder.advance(self._streams, output.features, output.lengths.tolist())
        for row in ending:
            self._decoder.finish(self._streams[row])
        return [self._transcript(row, count, row in ending) for row, count in enumerate(before)]

    def _transcript(self, row: int, before: int, ended: bool) -> Transcript:
        stream, decoder = self._streams[row], self._decoder
        new = [
            Token(token, decoder.piece(token), frame * self._frame_seconds)
            for token, frame in zip(stream.ids[before:], stream.frames[before:])
        ]
        return Transcript(new, stream.ids, decoder.text, decoder.revises and not ended, stream.best)


def token_decoder(model: Any, decoder: str | None) -> TokenDecoder:
    """The decoder of a CTC, RNN-T or hybrid model.

    Args:
        model: any of these
        decoder: `ctc` or `rnnt`; None: the only one, or the one that a hybrid model has in use (`cur_decoder`)

    Raises:
        ValueError: the model has no such decoder, or its decoding cannot go on from piece to piece
    """
    there = [name for name in DECODERS if _decoding(model, name) is not None]
    if not there:
        raise ValueError(
            f"{type(model).__name__} has no CTC or RNN-T decoding: text needs a model that was fine-tuned"
        )
    chosen = check_choice("decoder", decoder or getattr(model, "cur_decoder", there[0]), there)
    decoding = _decoding(model, chosen)
    if chosen == TRANSDUCER:
        if getattr(decoding.decoding, "decoding_computer", None) is None:
            raise ValueError(
                f"decoding.strategy={decoding.cfg.strategy}: streams need greedy_batch with greedy.loop_labels=true "
                "and a decoder with a state for each label; model.change_decoding_strategy(...) sets it"
            )
        return GreedyTransducer(decoding)
    kind = GreedyCtc if decoding.cfg.strategy in GREEDY else SearchedCtc
    return kind(require_decoder(model), decoding)


def _decoding(model: Any, name: str) -> Any:
    """A model's decoding of this kind, or None."""
    method = "ctc_decoder_predictions_tensor" if name == CTC else "rnnt_decoder_predictions_tensor"
    found = (getattr(model, attribute, None) for attribute in ("ctc_decoding", "decoding"))
    return next((decoding for decoding in found if hasattr(decoding, method)), None)
