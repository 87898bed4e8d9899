# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

import torch
from torch import Tensor

from nemo.utils.precision import at_least_float32

# as in NeMo's preprocessor: a feature that never changes must not be divided by zero
EPSILON = 1e-5


def normalize_per_feature(feats: Tensor, lengths: Tensor) -> Tensor:
    """Each feature of each utterance with mean 0 and standard deviation 1 over its valid frames; padding is 0.

    What `normalize: per_feature` does in NeMo's preprocessor, without a look at a value from the host.

    Args:
        feats: features of shape (B, D, T), any floating dtype; sums are taken in float32 at least
        lengths: valid frames, (B,)
    Returns:
        normalised features of shape (B, D, T), in the dtype of `feats`
    """
    dtype, feats = feats.dtype, feats.to(at_least_float32(feats))
    valid = (torch.arange(feats.size(2), device=feats.device) < lengths.unsqueeze(1)).unsqueeze(1)
    count = lengths.clamp(min=1).view(-1, 1, 1)
    centred = (feats - feats.where(valid, 0).sum(dim=2, keepdim=True) / count).where(valid, 0)
    deviation = (centred.square().sum(dim=2, keepdim=True) / (count - 1).clamp(min=1)).sqrt()
    return (centred / (deviation + EPSILON)).to(dtype)
