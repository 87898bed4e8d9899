# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Features of a cache-aware Conformer encoder from audio that comes in pieces.

    with StreamingEncoderSession(model, batch_size=2) as session:
        for samples in pieces:                # (2, N) floats at session.sample_rate, N may be anything
            output = session.push(samples)    # output.features (2, D, T'), output.lengths (2,)
        output = session.flush()              # what was waiting for more; both streams are at their beginning again

However the audio is cut, what comes out is what the model's forward makes of the whole.
"""

from collections.abc import Hashable, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from nemo.collections.asr.parts.streaming.arguments import check_integer
from nemo.collections.asr.parts.streaming.encoder import StreamingEncoder
from nemo.collections.asr.parts.streaming.host import StreamingHost
from nemo.collections.asr.parts.streaming.log_mel import StreamingLogMel
from nemo.collections.asr.parts.streaming.model_guard import ModelGuard, structure
from nemo.collections.asr.parts.streaming.output import StreamingOutput, decode
from nemo.collections.asr.parts.streaming.proof import prove_encoder, prove_front_end
from nemo.collections.asr.parts.streaming.requirements import (
    require_decoder,
    require_eval_mode,
    require_known_features,
    require_masking,
    require_streamable,
)
from nemo.collections.asr.parts.streaming.step import StreamingStep
from nemo.collections.asr.parts.streaming.without_gradients import without_gradients


class StreamingEncoderSession(StreamingHost[StreamingOutput]):
    """Streams of audio, side by side in a batch, through one model; it holds all their state.

    A stream's concatenated outputs equal the model's offline forward of its audio, in values and in number, however
    the audio is cut. Streams start and end on their own. State and time per piece do not grow with a stream's length.
    Weights and contexts are taken as they are now: make a new session after changing them. A model that is in train
    mode, cast or moved since is refused by every call, and by `push` a preprocessor that does more than NeMo's. What
    comes out are ordinary tensors without gradients, which can be trained on.

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

    kind = "StreamingEncoderSession"

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
        self._verify = verify
        self._build(on_nonfinite)

    @without_gradients
    def _build(self, on_nonfinite: str) -> None:
        """The parts that do not depend on the streams, and the streams' state."""
        self._guard = ModelGuard(self.model)
        self._known_front_end: Hashable = None
        timing, front_end = self.report.timing, StreamingLogMel(self.model.preprocessor.featurizer)
        sizes = timing.stride, front_end.num_features
        encoder = StreamingEncoder(StreamingStep(self.model.encoder, self.contexts, *sizes, folded=False))
        if self._verify:
            contexts = self.contexts, self.report.contexts
            prove_encoder(self.model.encoder, encoder, front_end, timing.stride, *contexts)
        like, lookahead_ms = torch.empty(0, device=encoder.device, dtype=encoder.dtype), self.report.stated_ms
        self._begin(front_end, encoder, like, on_nonfinite, timing.sample_rate, timing.stride, lookahead_ms)

    push = without_gradients(StreamingHost.push)
    push_features = without_gradients(StreamingHost.push_features)
    flush = without_gradients(StreamingHost.flush)
    reset = without_gradients(StreamingHost.reset)
    load_state_dict = without_gradients(StreamingHost.load_state_dict)

    @property
    def device(self) -> torch.device:
        """Where the model is, and what comes out."""
        return self._encoder.device

    def _own_constants(self) -> dict[str, Any]:
        return {"contexts": [context.as_list() for context in self.contexts]}

    def _check_model(self, audio: bool = False) -> None:
        self._guard.require_unchanged()
        if audio and (found := structure(self.model.preprocessor)) != self._known_front_end:
            require_known_features(self.model.preprocessor)
            if self._verify:
                prove_front_end(self.model.preprocessor, cast(StreamingLogMel, self._front_end))
            self._known_front_end = found

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
