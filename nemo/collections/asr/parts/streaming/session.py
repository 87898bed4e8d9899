# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Features of a cache-aware Conformer encoder from audio that comes in pieces.

    with StreamingEncoderSession(model, batch_size=2) as session:
        for samples in pieces:                # (2, N) floats at session.sample_rate, N may be anything
            output = session.push(samples)    # output.features (2, D, T'), output.lengths (2,)
        output = session.flush()              # what was waiting for more; both streams are at their beginning again

However the audio is cut, what comes out is what the model's forward makes of the whole.
"""

from collections.abc import Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from nemo.collections.asr.parts.streaming.arguments import ArrayLike, as_counts, as_features, as_rows, as_samples
from nemo.collections.asr.parts.streaming.batch_rows import byte_count
from nemo.collections.asr.parts.streaming.encoder import StreamingEncoder
from nemo.collections.asr.parts.streaming.finite_input import FiniteInput
from nemo.collections.asr.parts.streaming.log_mel import StreamingLogMel
from nemo.collections.asr.parts.streaming.model_guard import ModelGuard
from nemo.collections.asr.parts.streaming.output import StreamingOutput, decode
from nemo.collections.asr.parts.streaming.proof import prove_encoder, prove_front_end
from nemo.collections.asr.parts.streaming.requirements import (
    require_decoder,
    require_eval_mode,
    require_known_features,
    require_masking,
    require_streamable,
)
from nemo.collections.asr.parts.streaming.state import SessionState, check_constants, check_counts, completed
from nemo.collections.asr.parts.streaming.without_gradients import without_gradients
from nemo.utils.option_checks import check_integer


class StreamingEncoderSession:
    """Streams of audio, side by side in a batch, through one model; it holds all their state.

    A stream's concatenated outputs equal the model's offline forward of its audio, in values and in number, however
    the audio is cut. Streams start and end on their own. State and time per piece do not grow with a stream's length.
    Weights and contexts are taken as they are now: make a new session after changing them.

    Args:
        model: any NeMo model with `preprocessor` and a cache-aware Conformer `encoder`, in eval mode. Style `regular`
            with right context 0: an encoder frame comes out every `subsampling_factor` feature frames. Style
            `chunked_limited`: right + 1 encoder frames come out when the chunk is complete.
        batch_size: number of streams
        max_context: left context, in encoder frames, of the layers whose own is unlimited; a multiple of right + 1
        return_log_probs, return_tokens: outputs have the decoder's `log_probs`, and `tokens`
        apply_mask: mask feature frames with the model's `mask_features`, which is told `current_frame`
        on_nonfinite: `raise` refuses what is not finite; `zero` makes it silence, counted in `nonfinite_samples`
        allow_changed: names of changed parts, such as `encoder.layers.3`, that streaming does not go through
        verify: stream a short made signal first; it must give what the model's own forward gives

    Raises:
        ValueError: listing every reason why the model cannot stream; a model in train mode; no `max_context` for an
            unlimited one; an argument out of its range or that the model has no part for; streams that differ
    """

    def __init__(
        self,
        model: nn.Module,
        batch_size: int = 1,
        max_context: int | None = None,
        return_log_probs: bool = False,
        return_tokens: bool = False,
        apply_mask: bool = False,
        on_nonfinite: str = "raise",
        allow_changed: Sequence[str] = (),
        verify: bool = True,
    ):
        self.model: Any = cast(Any, model)
        self.batch_size = check_integer("batch_size", batch_size, 1)
        self.return_log_probs, self.return_tokens, self.apply_mask = return_log_probs, return_tokens, apply_mask
        plan = require_streamable(model, max_context, allow_changed)
        require_eval_mode(self.model, *self.model.encoder.modules())
        self.report, self.contexts = plan.report, list(plan.contexts)
        self._decoder = require_decoder(model) if return_log_probs or return_tokens else None
        if apply_mask:
            require_masking(model)
        self._entered, self._verify = False, verify
        self._build(on_nonfinite)

    @without_gradients
    def _build(self, on_nonfinite: str) -> None:
        """The parts that do not depend on the streams, and the streams' state."""
        self._guard = ModelGuard(self.model)
        self._front_end = StreamingLogMel(self.model.preprocessor.featurizer)
        self._input = FiniteInput(on_nonfinite, self._front_end.silence())
        factor, num_features = self.report.timing.stride, self._front_end.num_features
        self._encoder = StreamingEncoder(self.model.encoder, self.contexts, factor, num_features)
        if self._verify:
            contexts = self.contexts, self.report.contexts
            prove_encoder(self.model.encoder, self._encoder, self._front_end, factor, *contexts)
        self._state = self._initial_state()

    @without_gradients
    def _initial_state(self) -> SessionState:
        """Streams at their beginning."""
        size = self.batch_size
        return SessionState(self._front_end.initial_state(size), self._encoder.initial_state(size), [0] * size)

    @property
    def device(self) -> torch.device:
        """Where the model is, and what comes out."""
        return self._encoder.device

    @property
    def chunk(self) -> int:
        """Encoder frames that come out together."""
        return self._encoder.chunk

    @property
    def sample_rate(self) -> int:
        """Of the audio that `push` takes, in Hz."""
        return self.report.timing.sample_rate

    @property
    def lookahead_ms(self) -> float:
        """How far beyond the sample that an encoder frame stands for the model looks, in milliseconds."""
        return self.report.stated_ms

    @property
    def chunk_samples(self) -> int:
        """Samples between two outputs: what is best pushed at once."""
        timing = self.report.timing
        return self.chunk * timing.stride * timing.hop

    @property
    def current_frame(self) -> Tensor:
        """Feature frames of each stream heard so far, (B,): the first one that has not been heard yet."""
        return torch.tensor(self._state.encoder.heard, device=self.device)

    @property
    def nonfinite_samples(self) -> list[int]:
        """Samples, or feature frames, of each stream that silence has replaced since its beginning."""
        return list(self._state.nonfinite)

    def state_bytes(self) -> int:
        """Memory of the streams' state, in bytes; it is the same from the beginning on."""
        return byte_count(x for _, x in self._state.tensors())

    def __enter__(self) -> "StreamingEncoderSession":
        if self._entered:
            raise RuntimeError("this StreamingEncoderSession is in use already: it cannot be entered twice")
        self._entered = True
        return self

    def __exit__(self, *error: object) -> None:
        self._entered = False
        self.reset()

    @without_gradients
    def push(self, samples: ArrayLike, lengths: ArrayLike | None = None) -> StreamingOutput:
        """Takes the next audio of every stream in.

        Args:
            samples: (B, N) floats at `sample_rate`, any N >= 0; a tensor, an array or a list
            lengths: (B,) how many of them each stream has, 0 to N; None: all N. Best on the CPU, or a list: the
                numbers are read.
        Returns:
            the encoder frames that are determined now, which may be none; ordinary tensors without gradients, which
            can be trained on

        Raises:
            ValueError: samples that are not floats, not finite or beyond 100, a shape or length that does not fit, a
                stream that has had features, a model in train mode or cast since, a preprocessor that does more than
                NeMo's; the streams are then as they were
        """
        self._guard.require_unchanged()
        require_known_features(self.model.preprocessor)
        if self._verify:
            prove_front_end(self.model.preprocessor, self._front_end)
        samples = as_samples(samples, self.batch_size)
        counts = as_counts(lengths, self.batch_size, samples.size(1), "samples")
        self._state.refuse_audio(counts)
        samples, replaced = self._input.samples(samples.float(), counts, self._state.features.samples)
        self._state.count_nonfinite(replaced)
        feats, made = self._front_end.push(self._state.features, samples.to(self.device), counts)
        return self._output(feats, made)

    @without_gradients
    def push_features(self, feats: ArrayLike, lengths: ArrayLike | None = None) -> StreamingOutput:
        """Takes the next features of every stream in, in place of audio: what the model's preprocessor would make.

        A stream takes audio or features from its beginning to its end; the streams of a batch may differ.

        Args:
            feats: (B, D, F) floats, any F >= 0; a tensor, an array or a list
            lengths: (B,) how many of these frames each stream has, 0 to F; None: all F
        Returns:
            as from `push`

        Raises:
            ValueError: features that are not floats or not finite, a shape or length that does not fit, a stream that
                has had audio, a model in train mode or cast since; the streams are then as they were
        """
        self._guard.require_unchanged()
        feats = as_features(feats, self.batch_size, self._front_end.num_features)
        counts = as_counts(lengths, self.batch_size, feats.size(2), "feature frames")
        self._state.refuse_features(counts)
        feats, replaced = self._input.features(feats.to(self._encoder.dtype), counts, self._state.encoder.heard)
        self._state.count_nonfinite(replaced)
        return self._output(feats.to(self.device).transpose(1, 2), counts)

    @without_gradients
    def flush(self, mask: ArrayLike | None = None) -> StreamingOutput:
        """Ends streams: what is still waiting comes out, and they are at their beginning again.

        Args:
            mask: (B,) true for the streams that end; None for all
        Returns:
            the last encoder frames. A stream that has had no sample at all has none; one with less audio than a
            feature frame has the one that the model makes of it.

        Raises:
            ValueError: the mask is not one flag for each stream, or the model is in train mode or was cast since
        """
        self._guard.require_unchanged()
        rows = as_rows(mask, self.batch_size)
        feats, made = self._front_end.flush(self._state.features, rows)
        output = self._output(feats, made, ending=self._state.begun(rows))
        self._reset(rows)
        return output

    @without_gradients
    def reset(self, mask: ArrayLike | None = None) -> None:
        """Puts streams back to their beginning; what was waiting is dropped.

        Args:
            mask: (B,) true for these streams; None for all

        Raises:
            ValueError: the mask is not one flag for each stream
        """
        self._reset(as_rows(mask, self.batch_size))

    def state_dict(self) -> dict[str, Any]:
        """All state as tensors (copies) and plain numbers, for `torch.save`; going on from it is exact to the bit."""
        return {**self._state.state_dict(), **self._constants()}

    @without_gradients
    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Goes on from what `state_dict` gave, of a session with the same model, contexts and batch size.

        Raises:
            ValueError: something is missing, unknown or does not fit, by name; the session is then unchanged
        """
        loaded, constants = self._initial_state(), self._constants()
        state = completed(state, {**loaded.state_dict(), **constants})
        check_constants(state, constants)
        loaded.load_state_dict(state)
        check_counts(loaded, self._front_end, self._encoder)
        self._state = loaded

    def _constants(self) -> dict[str, Any]:
        """What must be the same in a session that goes on from a saved state."""
        values = {"batch_size": self.batch_size, "sample_rate": self.sample_rate, "chunk": self.chunk}
        return {"kind": "StreamingEncoderSession", "contexts": [c.as_list() for c in self.contexts], **values}

    def _reset(self, rows: list[int]) -> None:
        flags = [row in rows for row in range(self.batch_size)]
        self._state.reset(rows, torch.tensor(flags, device=self.device))

    def _output(self, feats: Tensor, counts: list[int], ending: Sequence[int] = ()) -> StreamingOutput:
        """Masks, encodes and decodes; the arguments are those of `StreamingEncoder.run`."""
        masks = mask_lengths = None
        if self.apply_mask:
            mask_lengths = torch.tensor(counts, device=self.device)
            feats, masks = self._mask(feats, mask_lengths)
        encoded, produced = self._encoder.run(self._state.encoder, feats, counts, ending)
        lengths = torch.tensor(produced, device=self.device)
        # a view made without gradients cannot be changed in place with them
        output = StreamingOutput(encoded.transpose(1, 2).clone(), lengths, masks=masks, mask_lengths=mask_lengths)
        if self._decoder is not None:
            log_probs = decode(self._decoder, output.features)
            output.log_probs = log_probs if self.return_log_probs else None
            output.tokens = log_probs.argmax(dim=2) if self.return_tokens else None
        return output

    def _mask(self, feats: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Masks new feature frames (B, F, D), of which each row has lengths (B,); also the masks, (B, D, F)."""
        if feats.size(1) == 0:
            return feats, torch.zeros_like(feats.transpose(1, 2))
        masked, masks = self.model.mask_features(feats.transpose(1, 2), lengths, self.current_frame + lengths)
        return masked.transpose(1, 2), masks.clone()
