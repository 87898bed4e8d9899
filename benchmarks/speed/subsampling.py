# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""The convolutions before the encoder, forward and backward: 8-fold `dw_striding`, causal and not.

Features need no gradient, as in training."""

import sys
from argparse import Namespace
from collections.abc import Iterator
from typing import Any

import torch

from benchmarks.speed.attention import ragged
from benchmarks.speed.harness import Case, Step, forward_backward, main
from benchmarks.speed.plain_nemo import subsampling as plain
from nemo.collections.asr.parts.submodules.subsampling import ConvSubsampling

FEATURES, FRAMES = 80, (1500, 6000)


def cases(args: Namespace) -> Iterator[Case]:
    for frames in FRAMES:
        feats = torch.randn(args.batch, frames, FEATURES, device=args.device)
        lengths = ragged(args.batch, frames, args.device)

        def step(subsampling_class: Any, causal: bool) -> Step:
            torch.manual_seed(0)
            sizes = dict(subsampling_factor=8, feat_in=FEATURES, feat_out=args.d_model, conv_channels=args.d_model)
            activation = torch.nn.ReLU(True)
            module = subsampling_class("dw_striding", **sizes, activation=activation, is_causal=causal).to(args.device)
            return forward_backward(lambda: module(feats, lengths)[0], module.parameters(), args)

        for causal in (True, False):
            nemo = {"nemo": step(plain.ConvSubsampling, causal)}
            yield Case("subsampling", {"frames": frames, "causal": causal}, step(ConvSubsampling, causal), nemo)


if __name__ == "__main__":
    sys.exit(main("subsampling", __doc__, cases))
