# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""
One vector for each encoder frame (80 ms) and each layer: what the probe sees.

Streaming mode here is one forward pass with masks that hide the future. It equals the pass from chunk to chunk with
cache within 1e-4 (tests/streaming_ssl/contexts/test_layer_contexts.py).

Output j of the causal encoder is computed from feature frames up to 8 j. Encoder frame i, feature frames 8 i to
8 i + 7, is heard completely with output i + 1, and that is the vector which stands for it. Log-mel frames 8 i to
8 i + 7 side by side have heard the same audio, less one feature frame.
"""

from typing import Any

import torch
from torch import Tensor

from benchmarks.quality.synthetic.data import STRIDE, Utterance

LAG = 1  # outputs, see above


def log_mel(utterance: Utterance) -> Tensor:
    """The 8 feature frames of each encoder frame side by side, (T // 8, 640)."""
    frames = utterance.feats.size(1) // STRIDE
    return utterance.feats[:, : frames * STRIDE].t().reshape(frames, -1)


@torch.no_grad()
def layer_outputs(encoder: Any, utterance: Utterance) -> list[Tensor]:
    """The outputs of every Conformer layer, lowest first, each (T // 8, d_model)."""
    outputs: list[Tensor] = []
    hooks = [layer.register_forward_hook(lambda _, __, output: outputs.append(output)) for layer in encoder.layers]
    device = next(encoder.parameters()).device
    feats = utterance.feats.unsqueeze(0).to(device)
    encoder(audio_signal=feats, length=torch.tensor([feats.size(2)], device=device))
    for hook in hooks:
        hook.remove()
    frames = utterance.feats.size(1) // STRIDE
    return [output[0, LAG : frames + LAG].cpu() for output in outputs]


def log_mel_features(utterances: list[Utterance]) -> dict[str, list[Tensor]]:
    """{name of the layer: a matrix for each utterance}"""
    return {"log-mel": [log_mel(utterance) for utterance in utterances]}


def encoder_features(encoder: Any, utterances: list[Utterance]) -> dict[str, list[Tensor]]:
    """{name of the layer, from 1: a matrix for each utterance}"""
    encoder.eval()
    layers = zip(*(layer_outputs(encoder, utterance) for utterance in utterances))
    return {str(number): list(matrices) for number, matrices in enumerate(layers, start=1)}
