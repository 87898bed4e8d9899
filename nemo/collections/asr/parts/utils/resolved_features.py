# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Features of a batch, whether it came as audio or as features."""

from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor

# arguments of a model's `forward` by name: signals, and the lengths of NAME as NAME_length; None is what is not given
Signals = dict[str, Tensor | None]


class Features(NamedTuple):
    """Features of a batch, (B, D, T), and how many frames of each utterance are valid, (B,)."""

    feats: Tensor
    lengths: Tensor


def resolve_features(preprocessor: Callable, signals: Signals, audio: str, processed: str) -> Features:
    """Takes the features that are given, or makes them of the audio.

    Args:
        preprocessor: the model's
        signals: what is given
        audio, processed: the names of the audio (B, samples) and of its features (B, D, T) among the signals
    Raises:
        ValueError: not exactly one of the two is given, with its lengths
    """
    samples, num_samples = signals.get(audio), signals.get(f"{audio}_length")
    feats, lengths = signals.get(processed), signals.get(f"{processed}_length")
    has_audio = samples is not None and num_samples is not None
    has_features = feats is not None and lengths is not None
    if has_audio == has_features:
        raise ValueError(f"forward needs either {audio} or its processed features, each with its lengths; not both")
    if has_audio:
        feats, lengths = preprocessor(input_signal=samples, length=num_samples)
    return Features(feats, lengths)
