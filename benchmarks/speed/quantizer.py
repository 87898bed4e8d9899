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

"""Tokens of a batch of features, `dist_fn: l2`, eight feature frames to a token."""

import sys
from typing import Iterator

import torch

from benchmarks.speed.harness import Case, main
from benchmarks.speed.plain_nemo import quantizers as plain
from nemo.collections.asr.modules.ssl_modules.quantizers import RandomProjectionVectorQuantizer

FEATURES, STEPS, CLASSES, FACTOR = 80, (375, 1500), 8192, 8


def cases(args) -> Iterator[Case]:
    for steps in STEPS:
        feats = torch.randn(args.batch, FEATURES, FACTOR * steps, device=args.device)

        def step(quantizer_class):
            torch.manual_seed(0)
            options = dict(dist_fn="l2", freeze=True, combine_time_steps=FACTOR)
            quantizer = quantizer_class(FEATURES, 16, CLASSES, 1, **options).to(args.device)
            return lambda: quantizer(input_signal=feats)

        nemo = {"nemo": step(plain.RandomProjectionVectorQuantizer)}
        yield Case("quantizer", {"steps": steps, "codes": CLASSES}, step(RandomProjectionVectorQuantizer), nemo)


if __name__ == "__main__":
    sys.exit(main("quantizer", __doc__, cases))
