# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""The CTC decoder of a model, as a part of its exported streaming step."""

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from nemo.collections.asr.parts.streaming.requirements import frame_decoder


class CtcHead(nn.Module):
    """Log-probabilities of encoder frames: NeMo's `ConvASRDecoder`, whose convolution sees one frame.

    Args:
        decoder: the model's
    """

    def __init__(self, decoder: Any):
        super().__init__()
        convolution, temperature = decoder.decoder_layers[0], float(getattr(decoder, "temperature", 1.0))
        self.linear = nn.Linear(convolution.in_channels, convolution.out_channels, bias=convolution.bias is not None)
        self.linear.weight = nn.Parameter(convolution.weight.detach().squeeze(-1) / temperature)
        if convolution.bias is not None:
            self.linear.bias = nn.Parameter(convolution.bias.detach() / temperature)

    @property
    def num_classes(self) -> int:
        """Classes with the blank, which is the last one."""
        return self.linear.out_features

    def forward(self, x: Tensor) -> Tensor:
        """(N, D) -> (N, C)"""
        return torch.log_softmax(self.linear(x), dim=-1)


class Ctc(NamedTuple):
    """A model's CTC decoder.

    Args:
        head: gives log-probabilities
        vocabulary: the text of each class but the blank, None if the model does not say it
    """

    head: CtcHead
    vocabulary: list[str] | None


def find_ctc(model: Any) -> Ctc | None:
    """The CTC decoder of a CTC or hybrid model; None for other models.

    Raises:
        ValueError: it is one that cannot be exported
    """
    decoder = frame_decoder(model)
    if not hasattr(decoder, "num_classes_with_blank"):
        return None  # that of pretraining has none
    layers: Any = getattr(decoder, "decoder_layers", ())
    is_one_frame = len(layers) == 1 and isinstance(layers[0], nn.Conv1d) and layers[0].kernel_size == (1,)
    adapters: Any = getattr(decoder, "get_enabled_adapters", list)
    if not is_one_frame or adapters():
        what = "with enabled adapters" if is_one_frame else "is not supported"
        raise ValueError(f"decoder: {type(decoder).__name__} {what}: must be ConvASRDecoder without enabled adapters")
    vocabulary = getattr(decoder, "vocabulary", None)
    return Ctc(CtcHead(decoder), None if vocabulary is None else [str(text) for text in vocabulary])
