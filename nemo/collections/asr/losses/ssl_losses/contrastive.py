# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

import torch
import torch.nn.functional as F
from torch import Tensor

from nemo.collections.asr.losses.ssl_losses import _contrastive_base as base
from nemo.collections.asr.losses.ssl_losses.mlm import MAX_STEPS_APART, masked_steps
from nemo.core import typecheck
from nemo.utils.option_checks import check_choice, check_integer
from nemo.utils.shadowing import inherit_module

inherit_module(base, globals(), replacing=("ContrastiveLoss",))


class ContrastiveLoss(base.ContrastiveLoss):
    """NeMo's contrastive loss, with negatives that are speech.

    NeMo draws negatives from every step of the batch tensor (`sample_from_non_masked`), so most negatives of a short
    utterance are padding, which is told from speech at a glance. It also needs as many masked steps in one utterance
    as in the next (`sample_from_same_utterance_only`). Neither holds with `length_aware_negatives`.

    Source: wav2vec 2.0 (https://arxiv.org/abs/2006.11477).

    Args:
        length_aware_negatives: False: NeMo's loss, bit for bit. True:

            - a negative is never a step past its utterance's `decoder_lengths`, nor one into which the zeros reach
              that fill the last group of `combine_time_steps` frames up; without `decoder_lengths` only the latter is
              known. (`SpeechEncDecSelfSupervisedModel` passes no lengths to its `loss`, only to a `loss_list`.)
            - padding has no part in the rest of the loss: not as a masked step, not in the codebook's perplexity
            - each masked step draws its own negatives; utterances may differ in their number of masked steps
            - negatives are drawn with replacement where there are fewer candidates than `num_negatives`
            - with no masked step, or no candidate, the loss is 0 with a gradient of zero
            - decoder outputs and spectrogram may differ in length by up to two encoder steps

            As in NeMo, a draw that equals the positive, itself included, does not count as a negative.
        others: see NeMo's class
    Raises:
        ValueError: `length_aware_negatives` is not a bool; or it is True, and `num_negatives` is below 1, `reduce` is
            neither "sum" nor "mean", or negatives come from the codebook (`sample_from_codebook` or `group_loss`)
    """

    def __init__(self, *args, length_aware_negatives: bool = False, **kwargs):
        super().__init__(*args, **kwargs)
        self.length_aware_negatives = length_aware_negatives
        if not check_choice("length_aware_negatives", length_aware_negatives, (True, False)):
            return
        check_integer("num_negatives", self.num_negatives, 1)
        check_choice("reduce", self.reduce, ("sum", "mean"))
        # NeMo looks at these two only where negatives may come from elsewhere than the utterance.
        for option in ("sample_from_codebook", "group_loss"):
            if getattr(self, option) and not self.sample_from_same_utterance_only:
                raise ValueError(
                    f"{option}=True: must be False with length_aware_negatives, negatives from the codebook have no "
                    "length"
                )

    @typecheck()
    def forward(self, spectrograms, spec_masks, decoder_outputs, decoder_lengths=None):
        """The contrastive loss of masked steps.

        Args:
            spectrograms: features of shape (B, D, T), before masking
            spec_masks: mask of shape (B, D, T), 1 where a feature is masked
            decoder_outputs: (B, T', C), T' = ceil(T / combine_time_steps) give or take two
            decoder_lengths: valid encoder steps, (B,)
        Returns:
            loss: a scalar, with `length_aware_negatives` at least float32
        Raises:
            ValueError: T' is more than two steps off (with `length_aware_negatives`)

        With `length_aware_negatives` no shape depends on the values of a tensor and nothing waits for the device
        (except `reduce_ids`, as in NeMo). The price is a score for each pair of steps, masked or not: (B, T', T')
        float32, or (B * T', B * T') if negatives come from the whole batch.
        """
        if not self.length_aware_negatives:
            return super().forward(
                spectrograms=spectrograms,
                spec_masks=spec_masks,
                decoder_outputs=decoder_outputs,
                decoder_lengths=decoder_lengths,
            )
        speech, whole = speech_steps(spectrograms, self.combine_time_steps, decoder_outputs, decoder_lengths)
        masked = masked_steps(spec_masks, self.combine_time_steps, self.mask_threshold)
        masked = F.pad(masked, (0, speech.size(1) - masked.size(1))) & speech
        targets, ppl_loss = self._targets(spectrograms, speech)
        candidates = whole if self.sample_from_non_masked else whole & masked
        losses, positives = self._losses(decoder_outputs, targets, masked, candidates)
        loss = losses.sum() / (positives.clamp(min=1) if self.reduce == "mean" else 1)
        return (loss + ppl_loss * positives) * (self.multiplier / spectrograms.size(0))

    def _losses(self, outputs: Tensor, targets: Tensor, masked: Tensor, candidates: Tensor):
        """Each step's cross-entropy, 0 where it has none: (B, T'), or (1, B * T') if negatives come from the whole
        batch, which is then one long utterance; and the number of steps that have one."""
        shape = candidates.shape if self.sample_from_same_utterance_only else (1, candidates.numel())
        masked, candidates = masked.reshape(shape), candidates.reshape(shape)
        positives = masked & candidates.any(dim=1, keepdim=True)
        targets = targets.reshape(shape + targets.shape[2:])
        # where, not a product: what lies in the padding may be infinite
        outputs = outputs.reshape(shape + outputs.shape[2:]).where(positives.unsqueeze(-1), 0)

        negatives = sample_steps(candidates, self.num_negatives)
        scores = cosine_scores(outputs, targets) / self.logit_temp
        distractors = scores.gather(2, negatives).masked_fill(equals_positive(targets, negatives), float("-inf"))
        positive = scores.diagonal(dim1=1, dim2=2).unsqueeze(-1)
        log_probs = torch.cat([positive, distractors], dim=-1).log_softmax(dim=-1).select(-1, 0)
        return -log_probs.where(positives, 0), positives.sum()

    def _targets(self, spectrograms: Tensor, speech: Tensor):
        """Targets (B, T', C) of features (B, D, T), and the weighted loss of the codebook's perplexity."""
        frames = speech.size(1) * self.combine_time_steps
        feats = F.pad(spectrograms, (0, frames - spectrograms.size(2))).transpose(1, 2)
        feats = feats.reshape(speech.shape + (-1,)).where(speech.unsqueeze(-1), 0)  # of combine_time_steps * D
        if not self.quantized_targets:
            return self.target_proj(feats), 0
        if not self.store_ids:
            targets = self.quantizer(feats)[0]
        else:
            targets, _, _, self.target_ids = self.quantizer(feats, return_ids=True)
            self.target_lengths = None
            if self.reduce_ids:
                self.target_ids, self.target_lengths = collapse_runs(self.target_ids, speech)
        if self.prob_ppl_weight == 0:
            return targets, 0
        return targets, self.prob_ppl_weight * perplexity_loss(self.quantizer, feats, speech)


def speech_steps(spectrograms: Tensor, combine_time_steps: int, decoder_outputs: Tensor, decoder_lengths=None):
    """Which encoder steps are speech, and which of these consist of frames of the spectrogram alone.

    Args:
        spectrograms: (B, D, T)
        combine_time_steps: frames per encoder step
        decoder_outputs: (B, T', C)
        decoder_lengths: valid encoder steps (B,), or None for all
    Returns:
        speech: (B, T') booleans
        whole: (B, T') booleans; a last group of frames that zeros fill up is left out
    Raises:
        ValueError: T' is more than two steps off
    """
    steps = -(-spectrograms.size(2) // combine_time_steps)
    if abs(steps - decoder_outputs.size(1)) > MAX_STEPS_APART:
        raise ValueError(
            f"Encoder steps differ by more than {MAX_STEPS_APART}: "
            f"decoder outputs {tuple(decoder_outputs.shape)}, spectrograms {tuple(spectrograms.shape)}, "
            f"which is {steps} steps of {combine_time_steps} frames. "
            "`combine_time_steps` must be the encoder's `subsampling_factor`."
        )
    index = torch.arange(decoder_outputs.size(1), device=spectrograms.device)
    speech = (index * combine_time_steps < spectrograms.size(2)).expand(spectrograms.size(0), -1)
    if decoder_lengths is not None:
        speech = speech & (index < decoder_lengths.unsqueeze(1))
    return speech, speech & ((index + 1) * combine_time_steps <= spectrograms.size(2))


def sample_steps(candidates: Tensor, number: int) -> Tensor:
    """For each step of each utterance, steps of that utterance drawn evenly from the candidates.

    They are distinct, unless there are fewer candidates than `number`. Without any candidate they are any steps.

    Args:
        candidates: (B, T) booleans
        number: draws per step N
    Returns:
        indices of shape (B, T, N)
    """
    draws = candidates.shape + (number,)
    found = candidates.sum(dim=1).reshape(-1, 1, 1)
    # candidates first: a rank below their number is one of them
    order = candidates.int().argsort(dim=1, descending=True, stable=True)
    rank = (torch.rand(draws, device=candidates.device) * found).long().minimum((found - 1).clamp(min=0))
    repeating = order.unsqueeze(1).expand(-1, draws[1], -1).gather(2, rank)
    if number > candidates.size(1):
        return repeating
    # the smallest of random keys: a draw without replacement
    keys = torch.rand(draws[:2] + draws[1:2], device=candidates.device)
    keys.masked_fill_(candidates.logical_not().unsqueeze(1), float("inf"))
    return keys.topk(number, largest=False).indices.where(found >= number, repeating)


def cosine_scores(outputs: Tensor, targets: Tensor) -> Tensor:
    """Cosine similarity of each output with each target: (B, T, C), (B, T, C) -> (B, T, T), at least float32."""
    dtype = torch.promote_types(torch.promote_types(outputs.dtype, targets.dtype), torch.float32)
    # the smallest norm is that of `torch.cosine_similarity`
    outputs, targets = (F.normalize(vectors.to(dtype), dim=-1, eps=1e-8) for vectors in (outputs, targets))
    # autocast would take a matmul to half precision, but not NeMo's cosine similarity
    with torch.autocast(outputs.device.type, enabled=False):
        return outputs @ targets.transpose(1, 2)


def equals_positive(targets: Tensor, negatives: Tensor) -> Tensor:
    """Which negatives have the very values of the step that they are drawn for: (B, T, C), (B, T, N) -> (B, T, N)."""
    targets = targets.detach()
    # one draw at a time, because all targets of all draws at once would be the largest tensor of the loss
    return torch.stack(
        [
            (targets == targets.gather(1, draw.unsqueeze(-1).expand_as(targets))).all(dim=-1)
            for draw in negatives.unbind(dim=-1)
        ],
        dim=-1,
    )


def perplexity_loss(quantizer, feats: Tensor, speech: Tensor) -> Tensor:
    """The share of a Gumbel quantizer's codes that speech leaves unused, from the perplexity of its mean distribution.

    It is the quantizer's own `quantize_prob_ppl`, which has padding in the mean.

    Args:
        quantizer: a `GumbelVectorQuantizer`
        feats: its input (B, T, D)
        speech: (B, T) booleans
    """
    logits = quantizer.weight_proj(feats).unflatten(-1, (quantizer.groups, quantizer.num_vars))
    probs = logits.float().softmax(dim=-1).where(speech.unsqueeze(-1).unsqueeze(-1), 0)
    mean = probs.sum(dim=(0, 1)) / speech.sum().clamp(min=1)
    # the small number keeps the logarithm of an unused code finite
    entropy = -(mean * (mean + 1e-7).log()).sum(dim=-1)
    return 1 - entropy.exp().sum() / (quantizer.groups * quantizer.num_vars)


def collapse_runs(ids: Tensor, speech: Tensor):
    """Each run of equal ids as one, padding left out.

    Args:
        ids: (B, T)
        speech: (B, T) booleans, in each row all True before all False
    Returns:
        ids of shape (B, longest), filled up with 0, and their lengths (B,)
    """
    first = torch.ones_like(speech.narrow(1, 0, 1))
    changes = ids.narrow(1, 1, ids.size(1) - 1) != ids.narrow(1, 0, ids.size(1) - 1)
    starts = torch.cat([first, changes], dim=1) & speech
    lengths = starts.sum(dim=1)
    # what starts no run goes to a column past the end
    columns = (starts.cumsum(dim=1) - 1).where(starts, ids.size(1))
    collapsed = ids.new_zeros(ids.size(0), ids.size(1) + 1).scatter(1, columns, ids)
    return collapsed.narrow(1, 0, max(1, int(lengths.max()))), lengths
