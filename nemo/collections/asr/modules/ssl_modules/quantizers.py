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

import torch.nn.functional as F

from nemo.collections.asr.modules.ssl_modules import _quantizers_base as base
from nemo.core.classes import typecheck
from nemo.utils.shadowing import extend

extend(base, globals(), replaces=("RandomProjectionVectorQuantizer",))


class RandomProjectionVectorQuantizer(base.RandomProjectionVectorQuantizer):
    """NeMo's random-projection quantizer, for any number of frames.

    Source: BEST-RQ (https://arxiv.org/abs/2202.01855).
    """

    @typecheck()
    def forward(self, input_signal):
        """
        Args:
            input_signal: features of shape (B, D, T), or (B, T, D) if `time_ahead`. Where T is no multiple of
                `combine_time_steps`, zeros fill the last group up, as the preprocessor's `pad_to` would.
        Returns:
            xq: quantized features of shape (B, D', T', H), or (B, T', D', H) if `time_ahead`,
                T' = ceil(T / combine_time_steps)
            xid: tokens of shape (B, T', H). H is left out if it is 1 and `squeeze_single` is set.
        """
        frames = input_signal.size(1 if self.time_ahead else 2)
        missing = -frames % self.combine_time_steps
        if missing:
            input_signal = F.pad(input_signal, (0, 0, 0, missing) if self.time_ahead else (0, missing))
        return super().forward(input_signal=input_signal)
