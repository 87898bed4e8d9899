# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Log-mel features of audio that comes in pieces: equal to the preprocessor's of the whole, each frame as soon as its
window is complete."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from nemo.collections.asr.parts.streaming.batch_rows import slices_from
from nemo.collections.asr.parts.streaming.batch_state import BatchState
from nemo.collections.asr.parts.streaming.fixed_statistics import fixed_statistics
from nemo.collections.asr.parts.streaming.without_gradients import without_autocast

# added to the power spectrum by NeMo's extractor when it is built with `use_grads`
GRADIENT_GUARD = 1e-5


@dataclass
class LogMelState(BatchState):
    """What the front end remembers of each stream.

    Args:
        tail: (B, W) the last samples after pre-emphasis, zeros before the stream began
        last: (B, 1) the last sample as it came
        samples: how many samples each stream has had
        frames: how many feature frames of each stream have come out
    """

    tail: Tensor
    last: Tensor
    samples: list[int]
    frames: list[int]


class StreamingLogMel:
    """NeMo's `FilterbankFeatures`, incrementally, in float32 and without dither.

    Positions are samples of a stream. Frame j is made of `window_size` samples from `first_sample + j * hop`
    on; those before the first one, and after the last one when the stream has ended, are zeros. n samples make
    (n + frame_offset) // hop frames. The last `dropped_tail` samples are zeros when a stream ends.

    Args:
        featurizer: the preprocessor's `FilterbankFeatures`, in eval mode; its window and filters are taken as they are
    """

    def __init__(self, featurizer: Any):
        self.featurizer = featurizer
        self.hop, self.window_size, self.n_fft = featurizer.hop_length, featurizer.win_length, featurizer.n_fft
        self.preemph = featurizer.preemph
        self.window = featurizer.window.float()
        self.filters = (
            featurizer.fb.squeeze(0).float().transpose(0, 1).clone(memory_format=torch.contiguous_format)
        )  # (bins, mels)
        self.statistics = fixed_statistics(featurizer.normalize, self.filters)
        pad = featurizer.stft_pad_amount
        before = self.n_fft // 2 if pad is None else pad
        self.first_sample = (self.n_fft - self.window_size) // 2 - before
        # with exact_pad NeMo's mask for pre-emphasis, made for unpadded audio, takes the last samples away
        self.dropped_tail = pad if pad is not None and self.preemph is not None else 0
        self.frame_offset = self._frame_shift()
        self.width = max(self.window_size + self.dropped_tail, self.hop - self.frame_offset - self.first_sample, 1)

    def _frame_shift(self) -> int:
        """s in: n samples make (n + s) // hop frames."""
        many = 1000 * self.hop
        frames_of = self.featurizer.get_seq_len
        at_least = int(frames_of(torch.tensor(many)))
        extra = next(i for i in range(self.hop + 1) if int(frames_of(torch.tensor(many + i))) > at_least)
        return (at_least + 1) * self.hop - many - extra

    @property
    def num_features(self) -> int:
        """Features per frame, D."""
        return self.filters.size(1)

    def silence(self) -> Tensor:
        """The feature frame of silence, (D,)."""
        return self._log_mel(self.filters.new_zeros(1, 1, self.window_size))[0, 0]

    def initial_state(self, batch_size: int) -> LogMelState:
        """Streams that have had no audio yet."""
        zeros = self.filters.new_zeros
        return LogMelState(zeros(batch_size, self.width), zeros(batch_size, 1), [0] * batch_size, [0] * batch_size)

    def total_frames(self, samples: int) -> int:
        """How many feature frames a stream of so many samples has in all."""
        return max(0, (samples + self.frame_offset) // self.hop) if samples else 0

    def ready_frames(self, samples: int) -> int:
        """How many feature frames are determined after so many samples, whatever may follow."""
        complete = (samples - self.dropped_tail - self.window_size - self.first_sample) // self.hop + 1
        return max(0, min(complete, self.total_frames(samples)))

    def push(self, state: LogMelState, samples: Tensor, counts: Sequence[int]) -> tuple[Tensor, list[int]]:
        """Takes the next samples in.

        Args:
            state: is changed
            samples: (B, N) float32; row i counts up to `counts[i]`
            counts: how many samples each row has
        Returns:
            frames (B, F, D), of which row i has its first `made[i]`; and `made`
        """
        begins = self._begins(state)
        raw = torch.cat([state.last, samples], dim=1)
        new = raw.narrow(1, 1, samples.size(1))
        if self.preemph is not None:
            new = torch.sub(new, raw.narrow(1, 0, samples.size(1)), alpha=self.preemph)
        signal = torch.cat([state.tail, new], dim=1)
        state.last.copy_(slices_from(raw, counts, 1))
        state.tail.copy_(slices_from(signal, counts, self.width))
        state.samples = [n + count for n, count in zip(state.samples, counts)]
        return self._make(state, signal, begins, [self.ready_frames(n) for n in state.samples])

    def flush(self, state: LogMelState, rows: Sequence[int]) -> tuple[Tensor, list[int]]:
        """The last frames of streams that end, zeros following: frames (B, F, D) and how many each row has.

        The rows (their indices) must be reset before they go on.
        """
        tail = state.tail
        if self.dropped_tail:
            tail = torch.nn.functional.pad(tail.narrow(1, 0, self.width - self.dropped_tail), (0, self.dropped_tail))
        signal = torch.nn.functional.pad(tail, (0, self.window_size + self.hop + abs(self.first_sample)))
        totals = [self.total_frames(n) if row in rows else 0 for row, n in enumerate(state.samples)]
        return self._make(state, signal, self._begins(state), totals)

    def _begins(self, state: LogMelState) -> list[int]:
        """Where the window of the next frame begins in [tail, what follows]."""
        return [self.width - n + self.first_sample + f * self.hop for n, f in zip(state.samples, state.frames)]

    def _make(
        self, state: LogMelState, signal: Tensor, begins: list[int], until: list[int]
    ) -> tuple[Tensor, list[int]]:
        made = [max(0, end - done) for end, done in zip(until, state.frames)]
        state.frames = [done + new for done, new in zip(state.frames, made)]
        if not any(made):
            return signal.new_zeros(signal.size(0), 0, self.num_features), made
        return self._log_mel(self._cut(signal, begins, max(made))), made

    def _cut(self, signal: Tensor, begins: list[int], frames: int) -> Tensor:
        """(B, samples) -> (B, frames, window_size)"""
        span = slices_from(signal, begins, (frames - 1) * self.hop + self.window_size)
        return span.unfold(1, self.window_size, self.hop)

    def _log_mel(self, frames: Tensor) -> Tensor:
        """(B, F, window_size) -> (B, F, D)"""
        with without_autocast(frames.device):
            spectrum = torch.view_as_real(torch.fft.rfft(frames * self.window, n=self.n_fft))
            power = spectrum.square().sum(-1)
            if self.featurizer.use_grads:
                power = power + GRADIENT_GUARD
            if self.featurizer.mag_power != 2.0:
                power = power.pow(self.featurizer.mag_power / 2)
            return self._normalized(self._log(torch.matmul(power, self.filters)))

    def _normalized(self, features: Tensor) -> Tensor:
        if self.statistics is None:
            return features
        mean, std = self.statistics
        return (features - mean) / std

    def _log(self, mel: Tensor) -> Tensor:
        if not self.featurizer.log:
            return mel
        guard = self.featurizer.log_zero_guard_value_fn(mel)
        if self.featurizer.log_zero_guard_type == "add":
            return torch.log(mel + guard)
        return torch.log(mel.clamp(min=guard))
