# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Masked prediction that waits: an objective for one of the comparisons, made of the models' own."""

import torch
import torch.nn.functional as F

from nemo.collections.asr.models.objectives import Answers, MaskedTokens


class DelayedMaskedTokens(MaskedTokens):
    """A masked token is predicted by a later encoder step, which has heard all of the token's frames, masked.

    Step t of a causal encoder has heard the first of the frames of token t; step t + 1 has heard all of them.

    Args:
        delay: how many encoder steps later
    """

    def __init__(self, delay: int):
        self.delay = delay

    def answers(self, loss, outputs, lengths, masks, tokens, token_lengths):
        """The token of an earlier step, in the loss if that step is masked; see `Objective.answers`."""
        at_once = super().answers(loss, outputs, lengths, masks, tokens, token_lengths)
        steps = at_once.in_loss.size(1)
        targets, in_loss = (
            F.pad(part[:, :steps], (0, 0, self.delay, 0))[:, :steps] for part in (at_once.targets, at_once.in_loss)
        )
        in_time = torch.arange(steps, device=in_loss.device) < lengths.unsqueeze(1)
        return Answers(targets, in_loss & in_time.unsqueeze(2), at_once.tokens, at_once.lengths)
