# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Before its first audio a stream proves itself: on a short made signal it must equal the model's own forward."""

from collections.abc import Hashable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from nemo.collections.asr.parts.contexts import AttentionContext
from nemo.collections.asr.parts.streaming.encoder import StreamingEncoder
from nemo.collections.asr.parts.streaming.log_mel import StreamingLogMel
from nemo.collections.asr.parts.streaming.model_guard import structure
from nemo.collections.asr.parts.streaming.requirements import subsampling_of
from nemo.utils import logging
from nemo.utils.fast_paths import runs_eagerly

# Encoder frames of the signal: more than a kernel of a convolution, several chunks, and more than the shortest context
# if that takes no more than MOST_FRAMES.
FRAMES, MOST_FRAMES = 16, 32
# By how much a frame may differ, as a share of the frames' mean norm; of a type that rounds products, the last one.
TOLERANCES = {torch.float64: 1e-4, torch.float32: 1e-4, torch.float16: 3e-2, torch.bfloat16: 1e-1}
ROUNDED = 3e-2  # float32 with TF32 and its like

_proved: "WeakKeyDictionary[nn.Module, set[Hashable]]" = WeakKeyDictionary()


def made_signal(samples: int) -> Tensor:
    """A chirp whose loudness changes, (1, N): the same in every process, and no random number is drawn for it."""
    time = torch.arange(samples, dtype=torch.float64) / max(samples, 1)
    chirp = torch.sin(time.square() * samples / 8) + 0.3 * torch.sin(time * samples / 3)
    return (0.1 * chirp * (1.2 + torch.sin(40 * time))).float().unsqueeze(0)


def prove_encoder(
    encoder: Any,
    host: StreamingEncoder,
    front_end: StreamingLogMel,
    factor: int,
    contexts: Sequence[AttentionContext],
    own: Sequence[AttentionContext],
) -> None:
    """Raises a ValueError if frames that are streamed are not those of the encoder's forward.

    Args:
        encoder: the model's; it is tried once, folded and not, for each contexts, until its parts change
        host: streams it
        front_end: makes the signal's features
        factor: feature frames per encoder frame
        contexts: in which each layer attends
        own: before `max_context` took the place of unlimited ones
    """
    weight = next(encoder.parameters())
    kind = weight.device.type
    autocast = torch.amp.is_autocast_available(kind) and torch.is_autocast_enabled(kind)
    key = host.step.folded, *contexts, weight.dtype, weight.device, autocast, structure(encoder)
    if key in _proved.setdefault(encoder, set()):
        return
    frames = _frames(contexts, own)
    if not runs_eagerly(weight) or weight.is_meta:
        return  # there are no values
    feats = _features(front_end, made_signal(factor * frames * front_end.hop).to(weight.device))
    feats = feats[:, : factor * (frames - 1) + 1].to(weight.dtype)
    _compare("encoder frame", host.stream(feats), _offline(encoder, feats), _tolerance(weight, autocast))
    _proved[encoder].add(key)


def prove_front_end(preprocessor: Any, front_end: StreamingLogMel) -> None:
    """Raises a ValueError if features of audio in pieces are not those that the preprocessor makes."""
    key = structure(preprocessor)
    if key in _proved.setdefault(preprocessor, set()):
        return
    signal = made_signal(40 * front_end.hop).to(front_end.filters.device)
    if not runs_eagerly(signal) or signal.is_meta:
        return
    feats = _features(front_end, signal)
    lengths = torch.tensor([signal.size(1)], device=signal.device)
    offline, frames = preprocessor(input_signal=signal, length=lengths)
    offline = offline[:, :, : int(frames[0])].transpose(1, 2)
    _compare("feature frame", feats, offline, max(TOLERANCES[offline.dtype], _tolerance(feats, autocast=False)))
    _proved[preprocessor].add(key)


def _frames(contexts: Sequence[AttentionContext], own: Sequence[AttentionContext]) -> int:
    """Encoder frames that both contexts see alike: no more than one that takes the place of an unlimited one."""
    chunk = contexts[0].right + 1
    replaced = [context.left + chunk for context, before in zip(contexts, own) if context != before]
    beyond = min(context.left for context in contexts) + chunk + 2  # what a frame does not see
    frames = max(FRAMES, 2 * chunk + 1, beyond if beyond <= MOST_FRAMES else 0)
    return min([frames, *replaced])


def _features(front_end: StreamingLogMel, signal: Tensor) -> Tensor:
    state = front_end.initial_state(1)
    made = [front_end.push(state, signal, [signal.size(1)])[0], front_end.flush(state, [0])[0]]
    return torch.cat(made, dim=1)


def _offline(encoder: Any, feats: Tensor) -> Tensor:
    """The encoder's forward, (1, F, D) -> (1, T', D')."""
    lengths = torch.tensor([feats.size(1)], device=feats.device)
    with _as_it_was(encoder):
        encoded, frames = encoder(audio_signal=feats.transpose(1, 2), length=lengths)[:2]
    return encoded[:, :, : int(frames[0])].transpose(1, 2)


@contextmanager
def _as_it_was(encoder: Any) -> Iterator[None]:
    """Nothing is masked and no other rank is asked for its lengths; then, what a forward has left is put back."""
    names = [name for name in ("sync_max_audio_length", "max_audio_length") if hasattr(encoder, name)]
    before, table, pre_encode = (
        {name: getattr(encoder, name) for name in names},
        encoder.pos_enc.pe,
        encoder.pre_encode,
    )
    encoder.sync_max_audio_length, encoder.pre_encode = False, subsampling_of(encoder)
    try:
        yield
    finally:
        vars(encoder).update(before)
        encoder.pos_enc.pe, encoder.pre_encode = table, pre_encode


def _compare(unit: str, streamed: Tensor, offline: Tensor, tolerance: float) -> None:
    if not torch.isfinite(offline).all():
        logging.warning("The model makes NaN of a short made signal: whether it streams rightly was not tried.")
        return
    if streamed.shape != offline.shape:
        raise ValueError(_differs(f"{tuple(streamed.shape)} comes out in place of {tuple(offline.shape)}"))
    norms = offline.double().norm(dim=2)
    shares = (streamed.double() - offline.double()).norm(dim=2) / norms.mean().clamp(min=1e-12)
    worst = int(shares.argmax())
    if not shares[0, worst] <= tolerance:
        raise ValueError(_differs(f"by {float(shares[0, worst]):.2g} of its size at {unit} {worst}"))


def _differs(what: str) -> str:
    return (
        f"this model streams otherwise than its own forward computes: {what} of a short made signal. Something of it "
        "is changed, a method, a hook, or the source of NeMo; verify=False streams all the same"
    )


def _tolerance(weight: Tensor, autocast: bool) -> float:
    dtype = torch.get_autocast_dtype(weight.device.type) if autocast else weight.dtype
    is_rounded = torch.get_float32_matmul_precision() != "highest" or weight.device.type != "cpu"
    return ROUNDED if dtype == torch.float32 and is_rounded else TOLERANCES[dtype]
