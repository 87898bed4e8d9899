# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nemo.collections.asr.losses.ssl_losses import _mlm_base as base
from nemo.core import typecheck
from nemo.utils.precision import at_least_float32
from nemo.utils.shadowing import inherit_module

inherit_module(base, globals(), replacing=("MLMLoss", "MultiMLMLoss"))

# One step more or less is a matter of rounding in the subsampling, two of causal padding; more is none.
MAX_STEPS_APART = 2


class MLMLoss(base.MLMLoss):
    """Mean negative log-likelihood of the target tokens at the masked encoder steps.

    Decoder outputs, mask and targets may differ in length by up to two encoder steps (subsampling rounds, causal
    downsampling pads): a step that any of them lacks is not in the loss. A batch without a masked step has the loss 0,
    with a gradient of zero in every decoder output. Source: BEST-RQ (https://arxiv.org/abs/2202.01855).

    Args:
        combine_time_steps: mask frames per encoder step: the subsampling factor for `pre_conv` masking, 1 for
            `post_conv`
        mask_threshold: an encoder step counts as masked if more than this share of its mask is 1
    """

    @typecheck()
    def forward(
        self, decoder_outputs, targets, decoder_lengths=None, target_lengths=None, spec_masks=None, masks=None
    ):
        """The mean negative log-likelihood of the targets at masked steps.

        Args:
            decoder_outputs: log-probabilities of shape (B, T, C)
            targets: tokens of shape (B, T')
            decoder_lengths: valid encoder steps, (B,); steps from there on are not in the loss
            target_lengths: ignored, as in NeMo
            spec_masks, masks: mask of shape (B, D, T * combine_time_steps), `masks` is used if both are given;
                None: every step is in the loss
        Returns:
            loss: a scalar, at least float32
        Raises:
            ValueError: the numbers of encoder steps differ by more than two
        """
        return self.mean_over_tokens(decoder_outputs, decoder_lengths, spec_masks if masks is None else masks, targets)

    def mean_over_tokens(
        self, log_probs: Tensor, lengths: Tensor | None, masks: Tensor | None, tokens: Tensor
    ) -> Tensor:
        """The mean negative log-likelihood of the tokens in the loss, 0 if there is none: a scalar.

        Nothing here is as large as the log-probabilities, and nothing waits for the device.

        Args:
            log_probs: (B, T, C) or (B, T, C, H)
            lengths, masks, tokens: see `select_tokens`
        """
        tokens, in_loss = self.select_tokens(log_probs, lengths, masks, tokens)
        log_probs = log_probs if log_probs.dim() == 4 else log_probs.unsqueeze(3)
        nats = negative_log_likelihoods(log_probs, tokens, in_loss)
        return nats.sum() / in_loss.sum().clamp(min=1)

    def select_tokens(
        self, outputs: Tensor, lengths: Tensor | None, masks: Tensor | None, tokens: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Which tokens the loss is about.

        Args:
            outputs: of decoder or encoder, (B, T, ...)
            lengths: valid encoder steps, (B,); None for all
            masks: mask of shape (B, D, T * combine_time_steps); None for every step
            tokens: (B, T') or (B, T', H)
        Returns:
            tokens (B, T', H), and which of them are in the loss, (B, S, H) booleans for the S steps that all have
        Raises:
            ValueError: the numbers of encoder steps differ by more than two
        """
        flags = None if masks is None else masked_steps(masks, self.combine_time_steps, self.mask_threshold)
        in_loss = tokens_in_loss(outputs, tokens, flags, lengths, self.nll_loss.ignore_index)
        return (tokens, in_loss) if tokens.dim() == 3 else (tokens.unsqueeze(2), in_loss.unsqueeze(2))


class MultiMLMLoss(base.MultiMLMLoss):
    """`MLMLoss`, averaged over several codebooks. Source: https://arxiv.org/abs/2202.01855

    Args:
        combine_time_steps, mask_threshold: see `MLMLoss`
        num_decoders: number of codebooks H
        squeeze_single: if True and there is one codebook, its dimension is left out
    """

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.mlm_loss = MLMLoss(self.mlm_loss.combine_time_steps, self.mlm_loss.mask_threshold)

    @property
    def needs_labels(self):
        """Whether the loss is computed against target tokens."""
        return True

    @typecheck()
    def forward(self, masks, decoder_outputs, targets, decoder_lengths=None, target_lengths=None):
        """The mean of the losses of all codebooks.

        Args:
            masks: mask of shape (B, D, T * combine_time_steps)
            decoder_outputs: log-probabilities of shape (B, T, C, H), or (B, T, C) if squeezed
            targets: tokens of shape (B, T', H), or (B, T') if squeezed
            decoder_lengths: valid encoder steps, (B,); steps from there on are not in the loss
            target_lengths: ignored, as in NeMo
        Returns:
            loss: a scalar, at least float32
        Raises:
            ValueError: the numbers of encoder steps differ by more than two
        """
        return self.mlm_loss.mean_over_tokens(decoder_outputs, decoder_lengths, masks, targets)


def mlm_loss_of(loss: nn.Module) -> MLMLoss | None:
    """The part of a model's loss that says which tokens are in it; None for a fork's own loss."""
    inner = getattr(loss, "mlm_loss", loss)
    return inner if isinstance(inner, MLMLoss) else None


def masked_steps(masks: Tensor, combine_time_steps: int, mask_threshold: float) -> Tensor:
    """Which encoder steps are masked: (B, D, T) -> (B, ceil(T / combine_time_steps)) booleans.

    A last incomplete group of frames is filled up with "not masked".
    """
    padded = F.pad(masks, (0, -masks.size(2) % combine_time_steps))
    steps = padded.size(2) // combine_time_steps
    groups = padded.reshape(padded.size(0), padded.size(1), steps, combine_time_steps)
    return groups.mean(dim=(1, 3)) > mask_threshold


@dataclass(frozen=True)
class TokenPredictions:
    """What a decoder says of the tokens in the loss.

    Args:
        nats: the sum of their negative log-likelihoods, a scalar, at least float32, with a gradient
        head_nats: the same for each of the H heads of the decoder, (H,), without a gradient
        head_correct: how many of them are their step's most likely token, for each head, (H,)
        in_loss: which tokens are in the loss, (B, T, H) booleans
    """

    nats: Tensor
    head_nats: Tensor
    head_correct: Tensor
    in_loss: Tensor

    @property
    def num_correct(self) -> Tensor:
        """How many are their step's most likely token, over all heads: a scalar."""
        return self.head_correct.sum()

    @property
    def loss(self) -> Tensor:
        """The mean of the negative log-likelihoods; 0, with a gradient of 0, if there are none."""
        return self.nats / self.in_loss.sum().clamp(min=1)


def read_log_probs(log_probs: Tensor, targets: Tensor, in_loss: Tensor) -> TokenPredictions:
    """What log-probabilities of all steps say of the tokens that are in the loss.

    Args:
        log_probs: what the decoder makes of all steps, (B, T', C, H) or (B, T', C), T' >= T
        targets: tokens (B, T', H)
        in_loss: (B, T, H) booleans
    """
    log_probs = log_probs if log_probs.dim() == 4 else log_probs.unsqueeze(3)
    nats = negative_log_likelihoods(log_probs, targets, in_loss)
    likeliest, targets = (x.narrow(1, 0, in_loss.size(1)) for x in (log_probs.argmax(dim=2), targets))
    head_correct = torch.logical_and(likeliest == targets, in_loss).sum(dim=(0, 1))
    return TokenPredictions(nats.sum(), nats.detach().sum(dim=(0, 1)), head_correct, in_loss)


def tokens_in_loss(outputs: Tensor, targets: Tensor, flags, lengths, ignore_index: int) -> Tensor:
    """Which tokens are in the loss, (B, S) or (B, S, H) booleans, for the S steps that all arguments have.

    Args:
        outputs: of decoder or encoder, (B, T, ...)
        targets: tokens (B, T') or (B, T', H)
        flags: masked steps (B, T''), or None for all
        lengths: valid steps (B,), or None for all
        ignore_index: a target that is never in the loss
    Raises:
        ValueError: the numbers of steps differ by more than two
    """
    steps = common_steps(outputs, targets, flags)
    in_loss = torch.ones(targets.shape[:1] + (steps,), dtype=torch.bool, device=targets.device)
    if flags is not None:
        in_loss = in_loss & flags.narrow(1, 0, steps)
    if lengths is not None:
        in_loss = in_loss & (torch.arange(steps, device=targets.device) < lengths.unsqueeze(1))
    # the steps' flags, for every codebook
    in_loss = in_loss.reshape(in_loss.shape + (1,) * (targets.dim() - 2))
    return in_loss & (targets.narrow(1, 0, steps) != ignore_index)


def negative_log_likelihoods(log_probs: Tensor, targets: Tensor, in_loss: Tensor) -> Tensor:
    """`-log_probs[b, t, targets[b, t]]`, 0 where not in the loss: in the shape of `in_loss`, (B, S) or (B, S, H)."""
    steps = in_loss.size(1)
    targets = targets.narrow(1, 0, steps).where(in_loss, 0).unsqueeze(2)
    of_targets = log_probs.narrow(1, 0, steps).gather(2, targets).squeeze(2)
    return -of_targets.to(at_least_float32(of_targets)).where(in_loss, 0)


def common_steps(outputs: Tensor, targets: Tensor, flags: Tensor | None = None) -> int:
    """How many encoder steps outputs (B, T, ...), targets (B, T', ...) and mask (B, T'') have in common.

    Raises:
        ValueError: they differ by more than two
    """
    steps = {"outputs": outputs.size(1), "targets": targets.size(1)}
    if flags is not None:
        steps["mask"] = flags.size(1)
    if max(steps.values()) - min(steps.values()) > MAX_STEPS_APART:
        mask = "" if flags is None else f", mask {tuple(flags.shape)} after combine_time_steps"
        raise ValueError(
            f"Encoder steps differ by more than {MAX_STEPS_APART}: outputs {tuple(outputs.shape)}, "
            f"targets {tuple(targets.shape)}{mask}. `combine_time_steps` of the loss and of the quantizer must be the "
            "encoder's `subsampling_factor` for pre_conv masking and 1 for post_conv."
        )
    return min(steps.values())
