# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""What every objective says of itself."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

from omegaconf import DictConfig
from torch import Tensor, nn

from nemo.collections.asr.losses.ssl_losses.mlm import MLMLoss, TokenPredictions
from nemo.collections.asr.metrics.token_predictions import TokenPredictionMetrics


@dataclass(frozen=True)
class Answers:
    """Which tokens the encoder steps of a batch answer for.

    Args:
        targets: the tokens, (B, S', H) with H = tokens_per_step * books; the first S steps count
        in_loss: which of them are in the loss, (B, S, H) booleans, S <= S'
        tokens: tokens of the utterances, (B, T) or (B, T, books)
        lengths: those that are counted when the use of the codebooks is, (B,)
    """

    targets: Tensor
    in_loss: Tensor
    tokens: Tensor
    lengths: Tensor


class Objective(ABC):
    """What each encoder step is asked: what is hidden from it, which tokens it answers for, what is logged.

    Attributes:
        name: what `model.objective` says
        masks_frames: whether frames are masked in training and validation
        tokens_per_step: how many tokens of each codebook a step answers for
    """

    name: str
    masks_frames: bool
    tokens_per_step: int = 1

    @abstractmethod
    def answers(
        self, loss: MLMLoss, outputs: Tensor, lengths: Tensor, masks: Tensor, tokens: Tensor, token_lengths: Tensor
    ) -> Answers:
        """
        Which tokens each encoder step answers for.

        Args:
            loss: the model's loss: it knows how long a step's mask is, and which target is ignored
            outputs: of decoder or encoder, (B, T', ...)
            lengths: valid encoder steps, (B,)
            masks: 1 where masked, (B, D, T)
            tokens: (B, T'') or (B, T'', books)
            token_lengths: tokens that lie within the utterance, (B,)
        Raises:
            ValueError: `outputs` and `tokens` are not of the same steps
        """

    @abstractmethod
    def loss(
        self, loss: nn.Module, outputs: tuple[Tensor, ...], predictions: TokenPredictions | None = None
    ) -> Tensor:
        """
        The loss of a decoder's outputs for all steps.

        Args:
            loss: the model's loss
            outputs: what the model's `forward` returns
            predictions: what they say of `answers`; None for a fork's own loss, which does not say what is in it
        Returns:
            a scalar
        """

    def check_mask(self, apply_mask: bool) -> None:
        """Raises a ValueError if frames are to be masked which must not be."""
        if apply_mask and not self.masks_frames:
            raise ValueError(f"apply_mask=True: model.objective={self.name} masks nothing; must be False")

    def decoder(self, decoder: nn.Module, loss: nn.Module, cfg: DictConfig) -> nn.Module:
        """The decoder of a model that has been built with this one, from the section `cfg` of its config.

        Raises:
            ValueError: the decoder is a fork's own, or the loss or its `forward` is: nothing is known about them
        """
        return decoder

    @abstractmethod
    def new_metrics(self, num_classes: int, num_books: int) -> TokenPredictionMetrics:
        """What counts the answers, for a quantizer of `num_books` codebooks with `num_classes` tokens each."""
