# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Log-mel features of audio that comes in pieces: equal to those that NeMo's preprocessor makes of the whole."""

from typing import Any

import torch
from torch import Tensor

import nemo.collections.asr.parts.streaming.tensors as tensors
from nemo.collections.asr.parts.streaming.features import LogMel
from nemo.collections.asr.parts.streaming.fixed_statistics import fixed_statistics
from nemo.collections.asr.parts.streaming.without_gradients import without_autocast

# added to the power spectrum by NeMo's extractor when it is built with `use_grads`
GRADIENT_GUARD = 1e-5


class StreamingLogMel(LogMel):
    """NeMo's `FilterbankFeatures`, incrementally.

    Args:
        featurizer: the preprocessor's `FilterbankFeatures`, in eval mode; it is taken as it is now
    """

    def __init__(self, featurizer: Any):
        self.featurizer = featurizer
        filters = featurizer.fb.squeeze(0).float().transpose(0, 1).clone(memory_format=torch.contiguous_format)
        pad, n_fft = featurizer.stft_pad_amount, featurizer.n_fft
        before = n_fft // 2 if pad is None else pad
        super().__init__(
            arrays=tensors,
            window=featurizer.window.float(),
            filters=filters,
            statistics=fixed_statistics(featurizer.normalize, filters),
            hop=featurizer.hop_length,
            n_fft=n_fft,
            first_sample=(n_fft - featurizer.win_length) // 2 - before,
            frame_offset=_frame_offset(featurizer),
            # with exact_pad NeMo's mask for pre-emphasis, made for unpadded audio, takes the last samples away
            dropped_tail=pad if pad is not None and featurizer.preemph is not None else 0,
            preemph=featurizer.preemph,
            power_guard=GRADIENT_GUARD if featurizer.use_grads else 0.0,
            mag_power=float(featurizer.mag_power),
            log_guard=featurizer.log_zero_guard_type if featurizer.log else "none",
            log_guard_value=float(featurizer.log_zero_guard_value_fn(torch.zeros(1))) if featurizer.log else 0.0,
        )

    def _log_mel(self, frames: Tensor) -> Tensor:
        with without_autocast(frames.device):
            return super()._log_mel(frames)


def _frame_offset(featurizer: Any) -> int:
    """s in: n samples make (n + s) // hop frames."""
    hop, frames_of = featurizer.hop_length, featurizer.get_seq_len
    many = 1000 * hop
    at_least = int(frames_of(torch.tensor(many)))
    extra = next(i for i in range(hop + 1) if int(frames_of(torch.tensor(many + i))) > at_least)
    return (at_least + 1) * hop - many - extra
