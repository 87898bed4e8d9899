# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Tokens of masked frames are predicted from the frames around them."""

from nemo.collections.asr.metrics.token_predictions import MaskedTokenMetrics
from nemo.collections.asr.models.objectives.objective import Answers, Objective
from nemo.collections.asr.parts.objectives import MASKED_TOKENS


class MaskedTokens(Objective):
    """Each masked encoder step predicts its own token. Source: BEST-RQ (https://arxiv.org/abs/2202.01855)."""

    name = MASKED_TOKENS
    masks_frames = True

    def answers(self, loss, outputs, lengths, masks, tokens, token_lengths):
        """A step's own token, in the loss if the step is masked; see `Objective.answers`."""
        targets, in_loss = loss.select_tokens(outputs, lengths, masks, tokens)
        return Answers(targets, in_loss, targets, lengths)

    def loss(self, loss, outputs, predictions=None):
        """What the model's loss makes of them; see `Objective.loss`."""
        log_probs, lengths, masks, tokens = outputs
        return loss(masks=masks, decoder_outputs=log_probs, targets=tokens, decoder_lengths=lengths)

    def new_metrics(self, num_classes, num_books):
        """Counts over all masked steps."""
        return MaskedTokenMetrics(num_classes, num_books)
