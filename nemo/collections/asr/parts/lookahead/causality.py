# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Checks on the real model that no output depends on audio it should not have heard yet, to the bit.

The check knows nothing of how the model is built: the rest of the input is changed from some point on, and the
outputs are compared. What an output may depend on is what `report_lookahead` says a streaming model states.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from nemo.collections.asr.parts.lookahead.report import LookaheadReport, report_lookahead
from nemo.utils.option_checks import check_integer, check_number

# the smallest look-ahead of a model shows at a short input too, and utterance statistics show most
SHORT_SECONDS = 0.3


@dataclass(frozen=True)
class Violation:
    """A change at `at` (feature frame, or sample for audio) and later moved encoder frame `frame`, which is earlier
    than it may be; `seconds` is the length of the input."""

    source: str  # "features" or "audio"
    at: int
    frame: int
    seconds: float

    def __str__(self) -> str:
        unit = "feature frame" if self.source == "features" else "sample"
        return (
            f"changing {self.source} from {unit} {self.at} on moves encoder frame {self.frame} of {self.seconds:g} s"
        )


@dataclass(frozen=True)
class CausalityResult:
    """What `probe_causality` finds, in ms.

    Args:
        features_ms, audio_ms: the measured look-ahead from features and from raw audio: how much earlier than the
            change the first changed frame lies, at most. A model that sees just what it states is measured exactly
            from features, and within 2 ms from audio, where the window's weight is nearly zero at its end.
        allowed_features_ms, allowed_audio_ms: the look-ahead that the model states
        probes: how many changes moved an output
        violation: the first output that moved and should not have
    """

    features_ms: float
    audio_ms: float
    allowed_features_ms: float
    allowed_audio_ms: float
    probes: int
    violation: Violation | None = None

    @property
    def ok(self) -> bool:
        """True if nothing moved that should not."""
        return self.violation is None

    def __str__(self) -> str:
        measured = (
            f"{self.probes} changes of the input; measured look-ahead {self.features_ms:.1f} ms from features "
            f"(stated {self.allowed_features_ms:.1f}), {self.audio_ms:.1f} ms from audio "
            f"(stated {self.allowed_audio_ms:.1f})"
        )
        if self.ok:
            return f"Causal to the bit: {measured}."
        return f"NOT causal: {self.violation}.\n{measured}."


@dataclass(frozen=True)
class _Source:
    """One kind of input: `encode` turns (B, ..., length) into outputs (B, D, T'); all other numbers are its steps."""

    name: str
    encode: Callable[[Tensor], Tensor]
    ms: float  # per step
    per_frame: int  # steps per encoder frame
    allowed: int  # the last step that encoder frame i may see is i * per_frame + allowed

    def ahead(self, at: int, frame: int) -> int:
        """How many steps a change lies behind the beginning of the frame that it moved."""
        return at - frame * self.per_frame

    def points(self, length: int, count: int, generator: torch.Generator) -> list[int]:
        """Where to change the input: its ends, where consecutive encoder frames just see it, and anywhere."""
        frames = length // self.per_frame
        seen = [(frames // 3 + i) * self.per_frame + self.allowed for i in range(count // 2)]
        anywhere = torch.randint(0, length, (count - count // 2,), generator=generator).tolist()
        # a little before too: where a window ends its weight is nearly zero, and a change there may round to none
        just_seen = [step + after for step in seen for after in (-(self.per_frame // 64), 0, 1)]
        return sorted({0, 1, length - 1, *anywhere, *(step for step in just_seen if step < length)})


@torch.no_grad()
def probe_causality(model: Any, seconds: float = 4.0, probes: int = 16, seed: int = 0) -> CausalityResult:
    """Changes the input of a model from some point on and checks that no encoder output before it moves by a bit.

    Done on features and on raw audio, with noise as input, at several points, on `seconds` and on a short input. The
    model runs in eval mode, without dither and masking, and has its modes back afterwards. The random generators of
    torch are not used.

    Args:
        model: any NeMo model with `preprocessor`, a Conformer `encoder` and `cfg`
        seconds: length of the input, at least 0.5
        probes: about how many changes are tried on each input, at least 2
        seed: for the noise and for where it is changed

    Raises:
        ValueError: an argument is out of its range, an output is not finite, or none moves at all, so that nothing
            can be said; see also `report_lookahead`.
    """
    check_number("seconds", seconds, 0.5, math.inf)
    check_integer("probes", probes, 2)
    report = report_lookahead(model)
    generator = torch.Generator().manual_seed(check_integer("seed", seed, 0))
    moves = []
    with _undisturbed(model):
        for length in (seconds, SHORT_SECONDS):
            for source, signal in _inputs(model, report, length, generator):
                first_moved = _first_moved(source, signal, probes, generator)
                moves += [(source, at, frame, length) for at, frame in first_moved]
    return _result(report, moves)


def _result(report: LookaheadReport, moves: list[tuple[_Source, int, int, float]]) -> CausalityResult:
    """What moves of (source, step of the change, first frame that it moved, seconds of the input) say."""
    features_ms, audio_ms = (
        max(source.ahead(at, frame) * source.ms for source, at, frame, _ in moves if source.name == name)
        for name in ("features", "audio")
    )
    too_early = (
        Violation(source.name, at, frame, seconds)
        for source, at, frame, seconds in moves
        if source.ahead(at, frame) > source.allowed
    )
    stated_ms = report.stated_frames * report.timing.encoder_ms
    window_ms = report.timing.samples_ms(report.timing.samples_ahead)
    return CausalityResult(features_ms, audio_ms, stated_ms, stated_ms + window_ms, len(moves), next(too_early, None))


def _inputs(
    model: Any, report: LookaheadReport, seconds: float, generator: torch.Generator
) -> Iterator[tuple[_Source, Tensor]]:
    """(source, signal) for features and for audio; the signals are on the model's device, without a batch."""
    timing, stated = report.timing, report.stated_frames * report.timing.stride
    parameter = next(model.encoder.parameters())
    device, dtype = parameter.device, parameter.dtype
    audio = 0.1 * torch.randn(int(seconds * timing.sample_rate), generator=generator)
    feats = _features(model, audio.to(device).unsqueeze(0))
    noise = torch.randn((feats.size(1), audio.numel() // timing.hop), generator=generator)

    def encode(batch: Tensor) -> Tensor:
        lengths = torch.full((batch.size(0),), batch.size(-1), device=device)
        return model.encoder(audio_signal=batch.to(dtype), length=lengths)[0]

    def encode_audio(batch: Tensor) -> Tensor:
        return encode(_features(model, batch))

    samples = stated * timing.hop + timing.samples_ahead - 1
    yield _Source("features", encode, timing.feature_ms, timing.stride, stated), noise.to(device)
    yield _Source("audio", encode_audio, timing.samples_ms(1), timing.stride * timing.hop, samples), audio.to(device)


def _features(model: Any, audio: Tensor) -> Tensor:
    lengths = torch.full((audio.size(0),), audio.size(1), device=audio.device)
    return model.preprocessor(input_signal=audio, length=lengths)[0]


def _first_moved(source: _Source, signal: Tensor, count: int, generator: torch.Generator) -> list[tuple[int, int]]:
    """(where the input was changed, first encoder frame that moved) for each change that moved any.

    Every change is an item of one batch, and compared with the same item of a batch without changes: where an item
    stands in a batch can decide about the last bit of a matrix product.
    """
    points = source.points(signal.size(-1), count, generator)
    batch = signal.unsqueeze(0).repeat(len(points), *[1] * signal.dim())
    changed = batch.clone()
    for item, at in zip(changed, points):
        rest = item[..., at:]
        rest.copy_(rest.abs().amax() * torch.randn(rest.shape, generator=generator).to(rest.device))
    before, after = source.encode(batch), source.encode(changed)
    if not (before.isfinite().all() and after.isfinite().all()):
        raise ValueError("an output of the encoder is not finite: there is nothing to compare")
    moved = (before != after).any(dim=1)  # (B, T')
    if not moved.any():
        raise ValueError(f"no output of the encoder depends on its {source.name}: there is nothing to check")
    first = moved.int().argmax(dim=1).tolist()
    return [(at, frame) for at, frame, any_moved in zip(points, first, moved.any(dim=1).tolist()) if any_moved]


@contextmanager
def _undisturbed(model: Any) -> Iterator[None]:
    """Eval mode without dither and masking; afterwards every module is in the mode it was in."""
    modes = [(module, module.training) for module in model.modules()]
    # dither is added in training only by NeMo's own feature extraction, but a model may have another; a module that
    # masks behind the subsampling remembers whether it did
    switched = [
        (module, name, vars(module)[name])
        for module, _ in modes
        for name in ("dither", "apply_mask")
        if vars(module).get(name)
    ]
    model.eval()
    for module, name, value in switched:
        setattr(module, name, type(value)(0))
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode
        for module, name, value in switched:
            setattr(module, name, value)
