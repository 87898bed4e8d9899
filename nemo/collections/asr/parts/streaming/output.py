# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""What a call of a streaming session gives."""

from dataclasses import dataclass

from torch import Tensor, nn


@dataclass
class StreamingOutput:
    """What came out of one call.

    Args:
        features: (B, D, T') encoder features, zeros from `lengths[row]` on
        lengths: (B,) how many encoder frames of each stream came out
        log_probs: (B, T', C) or (B, T', C, H), the decoder's, if the session was asked for them
        tokens: (B, T') or (B, T', H), the most probable class of each frame, if the session was asked for them
        masks: (B, D, F) 1 where feature frames were masked, if masking was asked for; of the feature frames that this
            call made, `mask_lengths[row]` of each stream
        mask_lengths: (B,)
    """

    features: Tensor
    lengths: Tensor
    log_probs: Tensor | None = None
    tokens: Tensor | None = None
    masks: Tensor | None = None
    mask_lengths: Tensor | None = None


def decode(decoder: nn.Module, features: Tensor) -> Tensor:
    """Log-probabilities (B, T', C) or (B, T', C, H) of encoder features (B, D, T'), also of no frames."""
    frames, features = features.size(2), in_type_of(decoder, features)
    if frames == 0:
        features = features.new_zeros(*features.shape[:2], 1)
    return decoder(encoder_output=features).narrow(1, 0, frames).clone()


def in_type_of(module: nn.Module, features: Tensor) -> Tensor:
    """Encoder features in the type of a decoder's weights: the encoder alone may have been cast."""
    weight = next(module.parameters(), None)
    return features if weight is None or not weight.is_floating_point() else features.to(weight.dtype)
