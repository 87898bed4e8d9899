# Copyright (c) 2026, the streaming-ssl authors.
#
# Licensed under the Apache License, Version 2.0 (the "License");
# you may not use this file except in compliance with the License.
# You may obtain a copy of the License at
#
#     http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS,
# WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
# See the License for the specific language governing permissions and
# limitations under the License.

"""Tokens of masked frames are predicted from the frames around them."""

from nemo.collections.asr.metrics.masked_tokens import MaskedTokenMetrics
from nemo.collections.asr.models.objectives.objective import Answers, Objective
from nemo.collections.asr.parts.lookahead import MASKED_TOKENS


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
