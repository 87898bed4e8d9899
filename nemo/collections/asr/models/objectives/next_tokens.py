# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Tokens that come next are predicted from what has been heard, which suits an encoder without look-ahead."""

from inspect import getattr_static

import torch
import torch.nn.functional as F
from torch import Tensor

from nemo.collections.asr.losses.ssl_losses.mlm import MLMLoss, MultiMLMLoss, common_steps, mlm_loss_of
from nemo.collections.asr.metrics.token_predictions import NextTokenMetrics
from nemo.collections.asr.models.objectives.objective import Answers, Objective
from nemo.collections.asr.modules.ssl_modules.multi_softmax_decoder import MultiSoftmaxDecoder
from nemo.collections.asr.parts.objectives import NEXT_TOKENS
from nemo.core import Serialization


class NextTokens(Objective):
    """Encoder step t predicts the tokens t + first ... t + first + steps - 1 that lie within the utterance.

    Nothing is masked. Source: NEST-RQ (https://arxiv.org/abs/2409.08680).

    Args:
        steps: how many tokens of each codebook a step predicts
        first: the first of them, counted from the step's own token; one that the step has not heard all of
    """

    name = NEXT_TOKENS
    masks_frames = False

    def __init__(self, steps: int, first: int):
        self.tokens_per_step, self.first = steps, first

    @property
    def offsets(self) -> range:
        """The predicted tokens, counted from a step's own."""
        return range(self.first, self.first + self.tokens_per_step)

    def answers(self, loss, outputs, lengths, masks, tokens, token_lengths):
        """The tokens that come next, offsets outermost: index i * books + k is offset i of codebook k.

        See `Objective.answers`.
        """
        tokens = tokens.reshape(*tokens.shape[:2], -1)
        common_steps(outputs, tokens)
        steps = outputs.size(1)
        targets = self._following(tokens, steps)
        token_lengths = token_lengths.clamp(min=0, max=tokens.size(1))
        in_loss = self._are_within(steps, lengths, token_lengths).repeat_interleave(tokens.size(2), dim=2)
        return Answers(targets, in_loss & (targets != loss.nll_loss.ignore_index), tokens, token_lengths)

    def loss(self, loss, outputs, predictions=None):
        """The mean over all predicted tokens; see `Objective.loss`."""
        return predictions.loss

    def decoder(self, decoder, loss, cfg):
        """One with a head for each predicted token of each codebook; see `Objective.decoder`."""
        if not isinstance(decoder, MultiSoftmaxDecoder):
            raise ValueError(f"model.decoder={type(decoder).__name__}: must be a MultiSoftmaxDecoder for next_tokens")
        # a subclass with a `forward` of its own may be something else than a mean over tokens
        forward, *known = (getattr_static(owner, "forward", None) for owner in (loss, MLMLoss, MultiMLMLoss))
        if mlm_loss_of(loss) is None or forward not in known:
            name = type(loss).__name__
            raise ValueError(
                f"model.loss={name}: must be MLMLoss or MultiMLMLoss, with their `forward`, for next_tokens"
            )
        if self.tokens_per_step == 1:
            return decoder
        cfg = cfg.copy()
        cfg.num_decoders = decoder.num_decoders * self.tokens_per_step
        return Serialization.from_config_dict(cfg)

    def new_metrics(self, num_classes, num_books):
        """Counts over all steps, and of each offset."""
        return NextTokenMetrics(num_classes, num_books, self.offsets)

    def _following(self, tokens: Tensor, steps: int) -> Tensor:
        """The tokens that come next at each step, (B, T, books) -> (B, steps, offsets * books); 0 after the last."""
        count = steps + self.tokens_per_step - 1
        padded = F.pad(tokens, (0, 0, 0, self.first + count - tokens.size(1)))
        following = padded.narrow(1, self.first, count)
        return following.unfold(1, self.tokens_per_step, 1).transpose(2, 3).flatten(2)

    def _are_within(self, steps: int, lengths: Tensor, token_lengths: Tensor) -> Tensor:
        """Which steps and predicted tokens are within their utterance, (B, steps, offsets) booleans."""
        step = torch.arange(steps, device=lengths.device).unsqueeze(1)
        predicted = step + torch.arange(self.first, self.first + self.tokens_per_step, device=lengths.device)
        lengths, token_lengths = (x.to(step.device).reshape(-1, 1, 1) for x in (lengths, token_lengths))
        return (step < lengths) & (predicted < token_lengths)
