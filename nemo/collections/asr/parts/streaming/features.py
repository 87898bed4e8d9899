# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Log-mel features of audio that comes in pieces, each frame as soon as its window is complete; by torch or NumPy."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

# relative: without NeMo these files are found by `nemo_streaming_ssl/overlay.py`, under other names
from .batch_state import BatchState


@dataclass
class LogMelState(BatchState):
    """What the front end remembers of each stream.

    Args:
        tail: (B, W) the last samples after pre-emphasis, zeros before the stream began
        last: (B, 1) the last sample as it came
        samples: how many samples each stream has had
        frames: how many feature frames of each stream have come out
    """

    tail: Any
    last: Any
    samples: list[int]
    frames: list[int]


@dataclass
class LogMel:
    """Feature frames of samples, incrementally, in float32 and without dither.

    Positions are samples of a stream. Frame j is made of a window's samples from `first_sample + j * hop` on; those
    before the first one, and after the last one when the stream has ended, are zeros.

    Args:
        arrays: the functions of `tensors.py`, or the same of NumPy
        window, filters: (W,), and (n_fft / 2 + 1, D)
        statistics: mean and standard deviation, (D,) each, by which features are normalised; None: they are not
        hop, n_fft, first_sample: in samples
        frame_offset: n samples make (n + frame_offset) // hop frames
        dropped_tail: the last samples of a stream, which are taken for zeros when it ends
        preemph: share of the sample before that is subtracted; None: no pre-emphasis
        power_guard: added to the power spectrum
        mag_power: 2 for powers, 1 for magnitudes
        log_guard: `add` or `clamp`, what keeps the logarithm from zero with `log_guard_value`; `none`: no logarithm
    """

    arrays: Any
    window: Any
    filters: Any
    statistics: tuple[Any, Any] | None
    hop: int
    n_fft: int
    first_sample: int
    frame_offset: int
    dropped_tail: int
    preemph: float | None
    power_guard: float
    mag_power: float
    log_guard: str
    log_guard_value: float

    def __post_init__(self) -> None:
        self.window_size = len(self.window)
        self.width = max(self.window_size + self.dropped_tail, self.hop - self.frame_offset - self.first_sample, 1)

    @property
    def num_features(self) -> int:
        """Features per frame, D."""
        return self.filters.shape[1]

    def silence(self) -> Any:
        """The feature frame of silence, (D,)."""
        return self._log_mel(self._zeros(1, 1, self.window_size))[0, 0]

    def initial_state(self, batch_size: int) -> LogMelState:
        """Streams that have had no audio yet."""
        tail, last = self._zeros(batch_size, self.width), self._zeros(batch_size, 1)
        return LogMelState(tail, last, [0] * batch_size, [0] * batch_size)

    def _zeros(self, *shape: int) -> Any:
        return self.arrays.moved(self.arrays.zeros(shape, dtype=self.arrays.float32), self.filters)

    def total_frames(self, samples: int) -> int:
        """How many feature frames a stream of so many samples has in all."""
        return max(0, (samples + self.frame_offset) // self.hop) if samples else 0

    def ready_frames(self, samples: int) -> int:
        """How many feature frames are determined after so many samples, whatever may follow."""
        complete = (samples - self.dropped_tail - self.window_size - self.first_sample) // self.hop + 1
        return max(0, min(complete, self.total_frames(samples)))

    def push(self, state: LogMelState, samples: Any, counts: Sequence[int]) -> tuple[Any, list[int]]:
        """Takes the next samples in.

        Args:
            state: is changed
            samples: (B, N) float32; row i counts up to `counts[i]`
            counts: how many samples each row has
        Returns:
            frames (B, F, D), of which row i has its first `made[i]`; and `made`
        """
        begins = self._begins(state)
        raw = self.arrays.concatenate([state.last, samples], 1)
        new = raw[:, 1:] if self.preemph is None else raw[:, 1:] - self.preemph * raw[:, :-1]
        signal = self.arrays.concatenate([state.tail, new], 1)
        state.last[:] = self.arrays.slices_from(raw, counts, 1)
        state.tail[:] = self.arrays.slices_from(signal, counts, self.width)
        state.samples = [n + count for n, count in zip(state.samples, counts)]
        return self._make(state, signal, begins, [self.ready_frames(n) for n in state.samples])

    def flush(self, state: LogMelState, rows: Sequence[int]) -> tuple[Any, list[int]]:
        """The last frames of streams that end, zeros following: frames (B, F, D) and how many each row has.

        The rows (their indices) must be reset before they go on.
        """
        kept = state.tail[:, : self.width - self.dropped_tail]
        zeros = self._zeros(len(kept), self.dropped_tail + self.window_size + self.hop + abs(self.first_sample))
        signal = self.arrays.concatenate([kept, zeros], 1)
        totals = [self.total_frames(n) if row in rows else 0 for row, n in enumerate(state.samples)]
        return self._make(state, signal, self._begins(state), totals)

    def _begins(self, state: LogMelState) -> list[int]:
        """Where the window of the next frame begins in [tail, what follows]."""
        return [self.width - n + self.first_sample + f * self.hop for n, f in zip(state.samples, state.frames)]

    def _make(self, state: LogMelState, signal: Any, begins: list[int], until: list[int]) -> tuple[Any, list[int]]:
        made = [max(0, end - done) for end, done in zip(until, state.frames)]
        state.frames = [done + new for done, new in zip(state.frames, made)]
        if not any(made):
            return self._zeros(len(made), 0, self.num_features), made
        span = self.arrays.slices_from(signal, begins, (max(made) - 1) * self.hop + self.window_size)
        return self._log_mel(self.arrays.windows(span, self.window_size, self.hop)), made

    def _log_mel(self, frames: Any) -> Any:
        """(B, F, window_size) -> (B, F, D)"""
        spectrum = self.arrays.fft.rfft(frames * self.window, self.n_fft)
        power = self.arrays.cast(spectrum.real**2 + spectrum.imag**2, self.arrays.float32)
        if self.power_guard:
            power = power + self.power_guard
        if self.mag_power != 2.0:
            power = power ** (self.mag_power / 2)
        features = self._log(power @ self.filters)
        return features if self.statistics is None else (features - self.statistics[0]) / self.statistics[1]

    def _log(self, mel: Any) -> Any:
        if self.log_guard == "none":
            return mel
        guarded = mel + self.log_guard_value if self.log_guard == "add" else mel.clip(self.log_guard_value)
        return self.arrays.log(guarded)
