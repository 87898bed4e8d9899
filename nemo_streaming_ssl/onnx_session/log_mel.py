# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Log-mel features of audio that comes in pieces, in NumPy; each frame as soon as its window is complete."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nemo_streaming_ssl.onnx_session.description import Description
from nemo_streaming_ssl.onnx_session.rows import slices_from


@dataclass
class LogMelState:
    """What the front end remembers of each stream.

    Args:
        tail: (B, W) the last samples after pre-emphasis, zeros before the stream began
        last: (B, 1) the last sample as it came
        samples, frames: how many of them each stream has had, and how many have come out
    """

    tail: np.ndarray
    last: np.ndarray
    samples: list[int]
    frames: list[int]


class LogMel:
    """Feature frames of samples. Frame j is made of `window` samples from `first + j * hop` on; those before the first
    sample and after the last one are zeros. n samples make (n + offset) // hop frames.

    Args:
        description: of the export folder
    """

    def __init__(self, description: Description):
        audio, arrays = description.audio, description.arrays()
        self.audio, self.window, self.filters = audio, arrays["window"], arrays["filters"]
        self.mean, self.std = arrays.get("mean"), arrays.get("std")
        self.hop, self.first = int(audio["hop_samples"]), int(audio["first_sample"])
        self.offset, self.dropped = int(audio["frame_offset_samples"]), int(audio["dropped_tail_samples"])
        size = len(self.window)
        self.width = max(size + self.dropped, self.hop - self.offset - self.first, 1)

    @property
    def num_features(self) -> int:
        """Features per frame, D."""
        return self.filters.shape[1]

    def silence(self) -> np.ndarray:
        """The feature frame of silence, (D,)."""
        return self._log_mel(np.zeros((1, 1, len(self.window)), np.float32))[0, 0].astype(np.float32)

    def initial_state(self, batch_size: int) -> LogMelState:
        """Streams that have had no audio yet."""
        zeros = np.zeros((batch_size, self.width + 1), np.float32)
        return LogMelState(zeros[:, 1:].copy(), zeros[:, :1].copy(), [0] * batch_size, [0] * batch_size)

    def total_frames(self, samples: int) -> int:
        """How many feature frames a stream of so many samples has in all."""
        return max(0, (samples + self.offset) // self.hop) if samples else 0

    def ready_frames(self, samples: int) -> int:
        """How many feature frames are determined after so many samples, whatever may follow."""
        complete = (samples - self.dropped - len(self.window) - self.first) // self.hop + 1
        return max(0, min(complete, self.total_frames(samples)))

    def push(self, state: LogMelState, samples: np.ndarray, counts: Sequence[int]) -> tuple[np.ndarray, list[int]]:
        """Takes the next samples in.

        Args:
            state: is changed
            samples: (B, N) float32; row i counts up to `counts[i]`
            counts: how many samples each row has
        Returns:
            frames (B, F, D), of which row i has its first `made[i]`; and `made`
        """
        begins = self._begins(state)
        raw = np.concatenate([state.last, samples], axis=1)
        factor = self.audio["preemphasis"]
        new = raw[:, 1:] if factor is None else raw[:, 1:] - np.float32(factor) * raw[:, :-1]
        signal = np.concatenate([state.tail, new], axis=1)
        state.last, state.tail = slices_from(raw, counts, 1), slices_from(signal, counts, self.width)
        state.samples = [n + count for n, count in zip(state.samples, counts)]
        return self._make(state, signal, begins, [self.ready_frames(n) for n in state.samples])

    def flush(self, state: LogMelState, rows: Sequence[int]) -> tuple[np.ndarray, list[int]]:
        """The last frames of streams that end, zeros following; the rows must be reset before they go on."""
        zeros = self.dropped + len(self.window) + self.hop + abs(self.first)
        signal = np.pad(state.tail[:, : self.width - self.dropped], ((0, 0), (0, zeros)))
        totals = [self.total_frames(n) if row in rows else 0 for row, n in enumerate(state.samples)]
        return self._make(state, signal, self._begins(state), totals)

    def _begins(self, state: LogMelState) -> list[int]:
        """Where the window of the next frame begins in [tail, what follows]."""
        return [self.width - n + self.first + f * self.hop for n, f in zip(state.samples, state.frames)]

    def _make(
        self, state: LogMelState, signal: np.ndarray, begins: list[int], until: list[int]
    ) -> tuple[np.ndarray, list[int]]:
        made = [max(0, end - done) for end, done in zip(until, state.frames)]
        state.frames = [done + new for done, new in zip(state.frames, made)]
        if not any(made):
            return np.zeros((len(made), 0, self.num_features), np.float32), made
        size = len(self.window)
        span = slices_from(signal, begins, (max(made) - 1) * self.hop + size)
        return self._log_mel(np.lib.stride_tricks.sliding_window_view(span, size, axis=1)[:, :: self.hop]), made

    def _log_mel(self, frames: np.ndarray) -> np.ndarray:
        """(B, F, window) -> (B, F, D)"""
        spectrum = np.fft.rfft(frames * self.window, n=self.audio["fft_samples"])
        power = (spectrum.real**2 + spectrum.imag**2).astype(np.float32) + np.float32(self.audio["power_guard"])
        if self.audio["magnitude_power"] != 2.0:
            power = power ** np.float32(self.audio["magnitude_power"] / 2)
        features = self._log(power @ self.filters)
        return features if self.mean is None else (features - self.mean) / self.std

    def _log(self, mel: np.ndarray) -> np.ndarray:
        kind, guard = self.audio["log_guard"], np.float32(self.audio["log_guard_value"])
        if kind == "none":
            return mel
        return np.log(mel + guard if kind == "add" else np.maximum(mel, guard))
