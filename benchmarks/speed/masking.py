# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Masking of a large batch of features, without gradients.

NeMo masks without `causal` only, so its side is the same for both. The side `where` is one `torch.where` of the size
of the features: what masking costs at least.
"""

import sys
from argparse import Namespace
from collections.abc import Iterator
from typing import Any

import torch

from benchmarks.speed.attention import ragged
from benchmarks.speed.harness import Case, Step, main
from benchmarks.speed.plain_nemo import masking as plain
from nemo.collections.asr.modules.ssl_modules.masking import RandomBlockMasking

BATCH, FEATURES, FRAMES = 32, 80, 2000
MODES = {
    "overlap": dict(allow_overlap=True, mask_prob=0.01, block_size=40),
    "no overlap": dict(allow_overlap=False, mask_prob=0.5, block_size=48),
}
CAUSAL = dict(causal=True, left_context_size=40, context_stride=8)


def cases(args: Namespace) -> Iterator[Case]:
    feats = torch.randn(BATCH, FEATURES, FRAMES, device=args.device)
    lengths = ragged(BATCH, FRAMES, args.device)
    mask, value = torch.rand(BATCH, 1, FRAMES, device=args.device) < 0.33, torch.randn(1, FEATURES, 1).to(feats)

    def step(masking_class: Any, **options: Any) -> Step:
        masking = masking_class(feat_in=FEATURES, **options).to(args.device)
        return lambda: masking(input_feats=feats, input_lengths=lengths)

    for mode, options in MODES.items():
        for causal in (False, True):
            yield Case(
                "masking",
                {"mode": mode, "causal": causal, "batch": BATCH, "features": FEATURES, "frames": FRAMES},
                step(RandomBlockMasking, **options, **(CAUSAL if causal else {})),
                {"nemo": step(plain.RandomBlockMasking, **options)},
                {"where": lambda: torch.where(mask, value, feats)},
            )


if __name__ == "__main__":
    sys.exit(main("masking", __doc__, cases))
