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

import pytest
import torch
import torch.nn.functional as F

from nemo.collections.asr.modules.ssl_modules import RandomProjectionVectorQuantizer


class TestRandomProjectionVectorQuantizer:
    @pytest.mark.unit
    @pytest.mark.fix4
    @pytest.mark.parametrize("time_ahead", [True, False])
    @pytest.mark.parametrize("books, squeeze", [(1, True), (1, False), (4, False)])
    @pytest.mark.parametrize("frames", [1, 39, 40, 41])
    def test_fills_the_last_group_up_with_zeros(self, time_ahead, books, squeeze, frames):
        quantizer = RandomProjectionVectorQuantizer(
            feat_in=5,
            code_dim=4,
            num_classes=32,
            num_books=books,
            dist_fn="l2",
            time_ahead=time_ahead,
            squeeze_single=squeeze,
            combine_time_steps=8,
        )
        feats = torch.randn(2, 5, frames)
        padded = F.pad(feats, (0, -frames % 8))
        if time_ahead:
            feats, padded = feats.transpose(1, 2), padded.transpose(1, 2)
        quantized, tokens = quantizer(input_signal=feats)
        expected = quantizer(input_signal=padded)
        assert torch.equal(quantized, expected[0]) and torch.equal(tokens, expected[1])
        assert tokens.shape == (2, -(-frames // 8)) + (() if squeeze else (books,))
