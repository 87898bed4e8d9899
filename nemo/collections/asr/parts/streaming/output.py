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

"""Features of a cache-aware Conformer encoder from audio that comes in pieces.

    with StreamingEncoderSession(model, batch_size=2) as session:
        for samples in pieces:                # (2, N) floats at session.sample_rate, N may be anything
            output = session.push(samples)    # output.features (2, D, T'), output.lengths (2,)
        output = session.flush()              # what was waiting for more; both streams are at their beginning again

However the audio is cut, what comes out is what the model's forward makes of the whole.
"""

import copy
from dataclasses import dataclass
from typing import Dict, Iterator, List, Mapping, Optional, Sequence, Tuple, Union

import numpy as np
import torch
from torch import Tensor

from nemo.collections.asr.modules.ssl_modules.masking import mask_features
from nemo.collections.asr.parts.contexts.context import UNLIMITED, AttentionContext, tightest_left
from nemo.collections.asr.parts.lookahead.report import report_lookahead
from nemo.collections.asr.parts.streaming.arguments import as_counts, as_rows, as_samples
from nemo.collections.asr.parts.streaming.attention import band_mask, hide_empty
from nemo.collections.asr.parts.streaming.batch_rows import byte_count, put_rows, row_index, windows
from nemo.collections.asr.parts.streaming.conformer_layer import LayerState, StreamingLayer, layer_reasons
from nemo.collections.asr.parts.streaming.log_mel import LogMelState, StreamingLogMel, front_end_reasons
from nemo.collections.asr.parts.streaming.subsampling import (
    StreamingSubsampling,
    SubsamplingState,
    subsampling_reasons,
)
from nemo.utils.option_checks import check_integer

# Encoder frames that are made in one go when a piece of audio is long: bounds the memory, and keeps it fast.
MAX_BLOCK = 64
ArrayLike = Union[Tensor, np.ndarray, Sequence]


def _without_gradients(method):
    """Makes ordinary tensors in whatever mode the caller is, but no graph. Inference tensors could not be trained on
    later, nor a session be used outside the mode that it was made in."""
    return torch.inference_mode(False)(torch.no_grad()(method))


@dataclass
class StreamingOutput:
    """What came out of one call.

    Args:
        features: (B, D, T') encoder features, zeros from `lengths[row]` on
        lengths: (B,) how many encoder frames of each stream came out
        log_probs: (B, T', C) or (B, T', C, H), the decoder's, if the session was asked for them
        tokens: (B, T') or (B, T', H), the most probable class of each frame, if the session was asked for them
        masks: (B, D, F) 1 where feature frames were masked, if masking was asked for; of the feature frames that this
            call made, `mask_lengths[row]` of each stream
        mask_lengths: (B,)
    """

    features: Tensor
    lengths: Tensor
    log_probs: Optional[Tensor] = None
    tokens: Optional[Tensor] = None
    masks: Optional[Tensor] = None
    mask_lengths: Optional[Tensor] = None


@dataclass
class SessionState:
    """All that a session remembers of its streams; `frames`: encoder frames of each stream that have come out."""

    features: LogMelState
    subsampling: SubsamplingState
    layers: List[LayerState]
    frames: List[int]

    def reset(self, rows: Sequence[int], mask: Tensor):
        """Starts streams anew: `rows` are their indices, mask (B,) is true there."""
        for part in (self.features, self.subsampling):
            part.reset(rows, mask)
        for layer in self.layers:
            layer.reset(mask)
        for row in rows:
            self.frames[row] = 0

    def tensors(self) -> Iterator[Tuple[str, Tensor]]:
        """Every tensor and its name."""
        yield "features.tail", self.features.tail
        yield "features.last", self.features.last
        yield "subsampling.waiting", self.subsampling.waiting
        for i, stage in enumerate(self.subsampling.stages):
            yield f"subsampling.stages.{i}", stage
        for i, layer in enumerate(self.layers):
            yield f"layers.{i}.attention", layer.attention.memory
            yield f"layers.{i}.convolution", layer.convolution

    def counts(self) -> Dict[str, List[int]]:
        """Every list of one number for each stream, and its name; the lists themselves, not copies."""
        return {
            "features.samples": self.features.samples,
            "features.frames": self.features.frames,
            "subsampling.counts": self.subsampling.counts,
            "frames": self.frames,
        }


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
        max_context: left context, in encoder frames, of the layers whose own is unlimited; a multiple of right + 1.
            Layers with a finite left context keep it.
        return_log_probs: outputs have the decoder's `log_probs`
        return_tokens: outputs have `tokens`
        apply_mask: mask feature frames with the model's `mask_processor`, which is told `current_frame`

    Raises:
        ValueError: listing every reason why the model cannot stream at once; a model in train mode; an unlimited left
            context without `max_context`; an argument that is out of its range or that the model has no part for
    """

    def __init__(
        self,
        model,
        batch_size: int = 1,
        max_context: Optional[int] = None,
        return_log_probs: bool = False,
        return_tokens: bool = False,
        apply_mask: bool = False,
    ):
        self.model = model
        self.batch_size = check_integer("batch_size", batch_size, 1)
        self.return_log_probs, self.return_tokens, self.apply_mask = return_log_probs, return_tokens, apply_mask
        self._check_model_mode()
        self.report, self.contexts = _require_streamable(model, max_context)
        _check_parts(model, return_log_probs or return_tokens, apply_mask)
        self._entered = False
        self._masks: Dict[tuple, Optional[Tensor]] = {}
        self._build()
        self._state = self._initial_state()

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
        return torch.tensor(self._state.features.frames, device=self.device)

    def state_bytes(self) -> int:
        """Memory of the streams' state, in bytes; it is the same from the beginning on."""
        return byte_count(x for _, x in self._state.tensors())

    def __enter__(self) -> "StreamingEncoderSession":
        if self._entered:
            raise RuntimeError("this StreamingEncoderSession is in use already: it cannot be entered twice")
        self._entered = True
        return self

    def __exit__(self, *error):
        self._entered = False
        self.reset()

    @_without_gradients
    def push(self, samples: ArrayLike, lengths: Optional[ArrayLike] = None) -> StreamingOutput:
        """Takes the next audio of every stream in.

        Args:
            samples: (B, N) floats at `sample_rate`, any N >= 0; a tensor, an array or a list
            lengths: (B,) how many of them each stream has, 0 to N; None: all N. Best on the CPU, or a list: the
                numbers are read.
        Returns:
            the encoder frames that are determined now, which may be none; ordinary tensors without gradients, which
            can be trained on

        Raises:
            ValueError: samples that are not floats, a shape or length that does not fit, a model in train mode
        """
        self._check_model_mode()
        samples = as_samples(samples, self.batch_size)
        counts = as_counts(lengths, self.batch_size, samples.size(1))
        samples = samples.to(self.device, torch.float32)
        feats, made = self.front_end.push(self._state.features, samples, counts)
        return self._output(feats, made)

    @_without_gradients
    def flush(self, mask: Optional[ArrayLike] = None) -> StreamingOutput:
        """Ends streams: what is still waiting comes out, and they are at their beginning again.

        Args:
            mask: (B,) true for the streams that end; None for all
        Returns:
            the last encoder frames. A stream that has had no sample at all has none; one with less audio than a
            feature frame has the one that the model makes of it.

        Raises:
            ValueError: the mask is not one flag for each stream, or the model is in train mode
        """
        self._check_model_mode()
        rows = as_rows(mask, self.batch_size)
        feats, made = self.front_end.flush(self._state.features, rows)
        output = self._output(feats, made, ending=rows)
        self._reset(rows)
        return output

    @_without_gradients
    def reset(self, mask: Optional[ArrayLike] = None):
        """Puts streams back to their beginning; what was waiting is dropped.

        Args:
            mask: (B,) true for these streams; None for all

        Raises:
            ValueError: the mask is not one flag for each stream
        """
        self._reset(as_rows(mask, self.batch_size))

    def state_dict(self) -> Dict[str, object]:
        """All state as tensors (copies) and plain numbers, for `torch.save`; going on from it is exact to the bit."""
        state = {name: x.clone() for name, x in self._state.tensors()}
        state.update({name: list(numbers) for name, numbers in self._state.counts().items()})
        state["ends"] = [layer.attention.end for layer in self._state.layers]
        state["contexts"] = [context.as_list() for context in self.contexts]
        state["chunk"] = self.chunk
        return state

    @_without_gradients
    def load_state_dict(self, state: Dict[str, object]):
        """Goes on from what `state_dict` gave, of a session with the same model, contexts and batch size.

        Raises:
            ValueError: something is missing, unknown or does not fit, by name; the session is then unchanged
        """
        self._check_state(state)
        for name, x in self._state.tensors():
            x.copy_(state[name])
        for name, numbers in self._state.counts().items():
            numbers[:] = state[name]
        for layer, end in zip(self._state.layers, state["ends"]):
            layer.attention.end = end

    def _check_model_mode(self):
        if self.model.training or self.model.encoder.training or self.model.preprocessor.training:
            raise ValueError("the model is in train mode: call model.eval() before streaming")

    def _check_state(self, state: Dict[str, object]):
        if not isinstance(state, Mapping):
            raise ValueError(f"state is a {type(state).__name__}: must be what state_dict gave")
        own = self.state_dict()
        for name in (*own, *state):
            if name not in own or name not in state:
                raise ValueError(f"state {name!r}: {'missing' if name in own else 'unknown'}")
        for name in ("chunk", "contexts"):
            if state[name] != own[name]:
                raise ValueError(f"state {name!r} is {state[name]}, the model's is {own[name]}")
        for name, value in own.items():
            _check_like(name, state[name], value)
        self._check_counts(state)
        for layer, left, end in zip(self._state.layers, self.lefts, state["ends"]):
            if not left <= end <= layer.attention.memory.size(3):
                most = layer.attention.memory.size(3)
                raise ValueError(f"state 'ends' is {state['ends']}: must be from {left} to {most} for this model")

    def _check_counts(self, state: Dict[str, object]):
        """The samples that a stream has had determine what has come out of them and what is waiting."""
        for row, samples in enumerate(state["features.samples"]):
            features = self.front_end.ready_frames(samples)
            frames = self.subsampling.ready(features, first=True)
            frames -= frames % self.chunk
            used = self.subsampling.needed(frames, first=True) if frames else 0
            expected = {"features.frames": features, "frames": frames, "subsampling.counts": features - used}
            for name, number in expected.items():
                if state[name][row] != number:
                    raise ValueError(
                        f"state {name!r} is {state[name]}: stream {row} must have {number} after {samples} samples"
                    )

    def _reset(self, rows: List[int]):
        flags = [row in rows for row in range(self.batch_size)]
        self._state.reset(rows, torch.tensor(flags, device=self.device))

    @_without_gradients
    def _build(self):
        """Everything that does not depend on the streams."""
        encoder, pre_encode = self.model.encoder, _pre_encode(self.model.encoder)
        parameter = next(encoder.parameters())
        self.device, self.dtype = parameter.device, parameter.dtype
        self.chunk = self.contexts[0].right + 1
        self.block = max(MAX_BLOCK - MAX_BLOCK % self.chunk, self.chunk)
        self.lefts = [context.left // self.chunk * self.chunk for context in self.contexts]
        self.front_end = StreamingLogMel(self.model.preprocessor.featurizer)
        factor = self.report.timing.stride
        self.subsampling = StreamingSubsampling(pre_encode, factor, self.chunk, self.front_end.num_features)
        positions = {left: self._positions(left) for left in set(self.lefts)}
        self.layers = [
            StreamingLayer(layer, left, self.block, positions[left]) for layer, left in zip(encoder.layers, self.lefts)
        ]

    def _positions(self, left: int) -> Tensor:
        """Embeddings of the relations left + block - 1 down to 1 - block, (1, R, D)."""
        encoding, reach = self.model.encoder.pos_enc, left + self.block
        if encoding.pe.size(1) < 2 * reach - 1:
            encoding = copy.deepcopy(encoding)  # the model's own table stays as long as it is
            encoding.extend_pe(reach, self.device, self.dtype)
        table = encoding.pe  # relations descend to both sides of its middle, which is 0
        return table.narrow(1, table.size(1) // 2 - reach + 1, reach + self.block - 1).to(self.device, self.dtype)

    @_without_gradients
    def _initial_state(self) -> SessionState:
        return SessionState(
            self.front_end.initial_state(self.batch_size),
            self.subsampling.initial_state(self.batch_size),
            [layer.initial_state(self.batch_size) for layer in self.layers],
            [0] * self.batch_size,
        )

    def _output(self, feats: Tensor, made: List[int], ending: Sequence[int] = ()) -> StreamingOutput:
        """Masks, encodes and decodes; the arguments are those of `_encode`."""
        masks = mask_lengths = None
        if self.apply_mask:
            mask_lengths = torch.tensor(made, device=self.device)
            feats, masks = self._mask(feats, mask_lengths)
        encoded, produced = self._encode(feats, made, ending)
        lengths = torch.tensor(produced, device=self.device)
        features = encoded.transpose(
            1, 2
        ).clone()  # a view made without gradients cannot be changed in place with them
        output = StreamingOutput(features, lengths, masks=masks, mask_lengths=mask_lengths)
        if self.return_log_probs or self.return_tokens:
            log_probs = self._decode(output.features)
            output.log_probs = log_probs if self.return_log_probs else None
            output.tokens = log_probs.argmax(dim=2) if self.return_tokens else None
        return output

    def _encode(self, feats: Tensor, made: List[int], ending: Sequence[int]) -> Tuple[Tensor, List[int]]:
        """Encodes what is complete, and of streams that end all there is.

        Args:
            feats: (B, F, D) new feature frames, of which each row has its first `made[row]`
            ending: rows of the streams that end
        Returns:
            (B, T', D') encoder frames, and how many each row has
        """
        state = self._state.subsampling
        feats = torch.cat([state.waiting, feats.to(self.dtype)], dim=1)
        begins = [state.waiting.size(1) - count for count in state.counts]
        state.counts = [count + new for count, new in zip(state.counts, made)]
        produced, parts = [0] * self.batch_size, []
        ends = [begin + count for begin, count in zip(begins, state.counts)]
        while groups := self._complete(produced):
            parts += [self._run(feats, ends, group, rows, produced) for group, rows in groups.items()]
        for group, rows in self._rests(ending, produced).items():
            parts.append(self._run(feats, ends, group, rows, produced, end=True))
        state.waiting.copy_(windows(feats, made, state.waiting.size(1)))
        return self._assemble(parts, produced), produced

    def _complete(self, produced: List[int]) -> Dict["_Group", List[int]]:
        """Streams that have whole chunks of encoder frames waiting, those that are alike together."""
        groups: Dict[_Group, List[int]] = {}
        for row, count in enumerate(self._state.subsampling.counts):
            first = self._state.frames[row] == 0
            frames = min(self.subsampling.ready(count, first), self.block)
            frames -= frames % self.chunk
            if frames:
                group = _Group(first, self.subsampling.needed(frames, first), produced[row])
                groups.setdefault(group, []).append(row)
        return groups

    def _rests(self, ending: Sequence[int], produced: List[int]) -> Dict["_Group", List[int]]:
        """What the streams that end have left, those that are alike together."""
        groups: Dict[_Group, List[int]] = {}
        for row in ending:
            count, first = self._state.subsampling.counts[row], self._state.frames[row] == 0
            if self._state.features.samples[row] and self.subsampling.rest(count, first):
                groups.setdefault(_Group(first, count, produced[row]), []).append(row)
        return groups

    def _run(self, feats, ends, group: "_Group", rows: List[int], produced: List[int], end: bool = False):
        """One block of frames of streams that are alike: (rows, offset of their outputs, outputs (b, T', D'))."""
        state, index = self._state, row_index(rows, self.batch_size, self.device)
        starts = [ends[row] - state.subsampling.counts[row] - 1 for row in rows]
        inputs = windows(feats if index is None else feats.index_select(0, index), starts, 1 + group.features)
        x = self.subsampling.run(state.subsampling, inputs, index, group.first, end)
        if self.model.encoder.pos_enc.xscale:
            x = x * self.model.encoder.pos_enc.xscale
        masks = self._attention_masks([state.frames[row] for row in rows], x.size(1))
        for layer, layer_state, left in zip(self.layers, state.layers, self.lefts):
            x = layer.run(x, layer_state, index, masks[left])
        if self.model.encoder.out_proj is not None:
            x = self.model.encoder.out_proj(x)
        for row in rows:
            state.subsampling.counts[row] -= group.features
            state.frames[row] += x.size(1)
            produced[row] += x.size(1)
        return index, group.offset, x

    def _attention_masks(self, filled: List[int], frames: int) -> Dict[int, Optional[Tensor]]:
        """The mask of each left context; None where all that is in memory may be seen."""
        masks = {}
        for left in set(self.lefts):
            masks[left] = self._band(left, frames)
            if min(filled) < left:
                empty = hide_empty(torch.tensor(filled, device=self.device), left, frames).to(self.dtype)
                masks[left] = empty if masks[left] is None else torch.minimum(empty, masks[left])
        return masks

    def _band(self, left: int, frames: int) -> Optional[Tensor]:
        """The mask of a block of several chunks, made once."""
        if frames <= self.chunk:
            return None
        if (left, frames) not in self._masks:
            self._masks[left, frames] = band_mask(left, frames, self.chunk).to(self.device, self.dtype)
        return self._masks[left, frames]

    def _assemble(self, parts, produced: List[int]) -> Tensor:
        """Puts the blocks together, (B, T', D'); zeros where a stream has none."""
        if len(parts) == 1 and parts[0][0] is None:
            return parts[0][2]
        size = self.model.encoder._feat_out
        encoded = torch.zeros(self.batch_size, max(produced), size, device=self.device, dtype=self.dtype)
        for index, offset, x in parts:
            put_rows(encoded.narrow(1, offset, x.size(1)), index, x)
        return encoded

    def _mask(self, feats: Tensor, lengths: Tensor) -> Tuple[Tensor, Tensor]:
        """Masks new feature frames (B, F, D), of which each row has lengths (B,); also the masks, (B, D, F)."""
        feats = feats.transpose(1, 2)
        if feats.size(2) == 0:
            return feats.transpose(1, 2), torch.zeros_like(feats)
        left = tightest_left(self.contexts)
        masked, masks = mask_features(self.model.mask_processor, feats, lengths, self.current_frame, left)
        return masked.transpose(1, 2), masks.clone()

    def _decode(self, features: Tensor) -> Tensor:
        """(B, D, T') -> (B, T', C) or (B, T', C, H), also for no frames."""
        frames = features.size(2)
        if frames == 0:
            features = features.new_zeros(*features.shape[:2], 1)
        return _decoder(self.model)(encoder_output=features).narrow(1, 0, frames).clone()


@dataclass(frozen=True)
class _Group:
    """Streams that are encoded together: at their beginning or not, with so many new feature frames, whose outputs go
    to this offset."""

    first: bool
    features: int
    offset: int


def _check_like(name: str, value, own):
    """Raises a ValueError if a value of a state is of another kind, shape or length than this session's own."""
    if _kind(value) != _kind(own):
        raise ValueError(f"state {name!r} is {_kind(value)}, must be {_kind(own)} for this model and batch_size")


def _kind(value) -> str:
    if isinstance(value, Tensor):
        return f"a tensor of shape {tuple(value.shape)}, {value.dtype}"
    if isinstance(value, list) and all(type(number) is int and 0 <= number < 2**63 for number in value):
        return f"{len(value)} numbers >= 0"
    return f"a {type(value).__name__}"


def _pre_encode(encoder):
    """The subsampling itself, also where the model masks behind it."""
    return getattr(encoder.pre_encode, "pre_encode", encoder.pre_encode)


def _decoder(model):
    return getattr(model, "ctc_decoder", None) or getattr(model, "decoder", None)


def _check_parts(model, decodes: bool, masks: bool):
    """Raises a ValueError if the model has no part for what the session is asked for."""
    types = getattr(_decoder(model), "input_types", None) or {}
    if decodes and "encoder_output" not in types:
        raise ValueError("return_log_probs and return_tokens need a model whose decoder gives classes for each frame")
    if masks and (getattr(model, "mask_processor", None) is None or getattr(model, "pre_encoder", None) is not None):
        raise ValueError("apply_mask=True needs a model with a mask_processor and mask_position=pre_conv")


def _require_streamable(model, max_context: Optional[int]):
    """What `report_lookahead` says, and the contexts of the layers without unlimited ones.

    Raises:
        ValueError: listing every reason why the model cannot stream
    """
    encoder = getattr(model, "encoder", None)
    if not all(hasattr(encoder, name) for name in ("layers", "pre_encode", "pos_enc", "att_context_style")):
        raise ValueError(f"encoder: {type(encoder).__name__} cannot stream, a cache-aware ConformerEncoder can")
    reasons, report, contexts = [], None, ()
    try:
        report = report_lookahead(model)
        reasons += _report_reasons(report)
        contexts = _contexts(encoder, report, max_context)
    except ValueError as error:
        reasons.append(str(error))
    if not any(reason.startswith("downsampling") for reason in reasons):
        reasons += subsampling_reasons(_pre_encode(encoder))
    reasons += layer_reasons(encoder) + front_end_reasons(getattr(model, "preprocessor", None))
    if reasons:
        raise ValueError("\n".join(["this model cannot stream:", *(f"  - {reason}" for reason in reasons)]))
    return report, contexts


def _report_reasons(report) -> Iterator[str]:
    """What of the look-ahead report forbids streaming. Batch statistics are constants in eval mode, and utterance
    statistics of features are seen at the preprocessor itself."""
    for reason in report.violations:
        if reason.ms > 0 and not reason.what.startswith("attention") and "preprocessor.normalize" not in reason.what:
            yield reason.what
    rights = sorted({context.right for context in report.contexts} - {0})
    if report.style == "regular" and rights:
        yield (
            f"attention: att_context_style=regular with right context {', '.join(map(str, rights))}: must be 0 "
            "(chunked_limited can look ahead)"
        )
    elif UNLIMITED in rights:
        yield "attention: unlimited right context"


def _contexts(encoder, report, max_context: Optional[int]) -> List[AttentionContext]:
    """The context in which each layer attends, `max_context` in place of unlimited left ones."""
    contexts, default = list(report.contexts), AttentionContext.parse(encoder.att_context_size)
    if getattr(encoder, "has_layer_contexts", False):
        contexts = [context.within(default) for context in contexts]
    if report.style == "chunked_limited" and any(context.right != default.right for context in report.contexts):
        raise ValueError(f"attention: right contexts of layers other than the encoder's {default.as_list()}")
    if not any(context.left == UNLIMITED for context in contexts):
        return contexts
    if max_context is None:
        raise ValueError(
            "max_context=None: layers have an unlimited left context; say how many encoder frames of it are kept"
        )
    chunk = contexts[0].right + 1 if report.style == "chunked_limited" else 1
    if check_integer("max_context", max_context, 0) % chunk:
        raise ValueError(f"max_context={max_context}: must be a multiple of right + 1 = {chunk} for chunked_limited")
    return [AttentionContext(max_context if c.left == UNLIMITED else c.left, c.right) for c in contexts]
