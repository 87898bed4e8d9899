# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Tokens of a batch of features, `dist_fn: l2`, eight feature frames to a token."""

import sys
from argparse import Namespace
from collections.abc import Iterator
from typing import Any

import torch

from benchmarks.speed.harness import Case, Step, main
from benchmarks.speed.plain_nemo import quantizers as plain
from nemo.collections.asr.modules.ssl_modules.quantizers import RandomProjectionVectorQuantizer

FEATURES, STEPS, CLASSES, FACTOR = 80, (375, 1500), 8192, 8


def cases(args: Namespace) -> Iterator[Case]:
    for steps in STEPS:
        feats = torch.randn(args.batch, FEATURES, FACTOR * steps, device=args.device)

        def step(quantizer_class: Any) -> Step:
            torch.manual_seed(0)
            options = dict(dist_fn="l2", freeze=True, combine_time_steps=FACTOR)
            quantizer = quantizer_class(FEATURES, 16, CLASSES, 1, **options).to(args.device)
            return lambda: quantizer(input_signal=feats)

        nemo = {"nemo": step(plain.RandomProjectionVectorQuantizer)}
        yield Case("quantizer", {"steps": steps, "codes": CLASSES}, step(RandomProjectionVectorQuantizer), nemo)


if __name__ == "__main__":
    sys.exit(main("quantizer", __doc__, cases))
