# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Masked-token pretraining in a plain loop: the same batches for every variant, drawn from the seed alone."""

import math
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from benchmarks.quality.synthetic.data import STRIDE, Utterance
from benchmarks.quality.synthetic.options import Options
from nemo.collections.asr.losses.ssl_losses.mlm import masked_steps, read_log_probs, tokens_in_loss
from nemo.collections.asr.metrics.token_predictions import MaskedTokenMetrics

FEATURE_FRAMES_PER_SECOND = 100
MASK_DRAWS = 5  # masks per utterance when the loss is measured
LAST_SHARE = 0.1  # of the steps, over which the training loss is a mean
GRADIENT_NORM = 1.0

Batch = tuple[Tensor, Tensor]  # features (B, 80, T), valid feature frames (B,)


def collate(crops: list[Tensor]) -> Batch:
    """Crops (80, T) of different lengths in one batch, padded with zeros."""
    lengths = torch.tensor([crop.size(1) for crop in crops])
    longest = int(lengths.max())
    return torch.stack([pad(crop, (0, longest - crop.size(1))) for crop in crops]), lengths


def batches(utterances: list[Utterance], options: Options, seed: int) -> Iterator[Batch]:
    """Batches of random crops, one for each step; utterances are drawn in proportion to their length."""
    rng = np.random.default_rng([seed, 1])
    lengths = np.array([utterance.feats.size(1) for utterance in utterances])
    frames = round(options.crop_seconds * FEATURE_FRAMES_PER_SECOND)
    for _ in range(options.steps):
        chosen = rng.choice(len(utterances), size=options.batch_size, p=lengths / lengths.sum())
        starts = [rng.integers(max(0, lengths[index] - frames) + 1) for index in chosen]
        yield collate([utterances[i].feats[:, start : start + frames] for i, start in zip(chosen, starts)])


def lr_share(step: int, options: Options) -> float:
    """The learning rate at a step (from 0), relative to the highest: a linear warm-up, then half a cosine to 0."""
    warmup = options.warmup * options.steps
    if step < warmup:
        return (step + 1) / (warmup + 1)
    return (1 + math.cos(math.pi * (step - warmup) / (options.steps - warmup))) / 2


def masked_loss(model, batch: Batch, metrics: MaskedTokenMetrics, device: str) -> Tensor:
    """The loss of a batch with new masks, which is counted in `metrics` as well."""
    feats, lengths = (part.to(device) for part in batch)
    log_probs, encoded_len, masks, tokens = model(
        processed_signal=feats, processed_signal_length=lengths, apply_mask=True
    )
    mlm, tokens = model.loss.mlm_loss, tokens.reshape(*tokens.shape[:2], -1)
    masked = masked_steps(masks, STRIDE, mlm.mask_threshold)
    in_loss = tokens_in_loss(log_probs, tokens, masked, encoded_len, mlm.nll_loss.ignore_index)
    predictions = read_log_probs(log_probs, tokens, in_loss)
    metrics.update(predictions, tokens, encoded_len)
    return predictions.loss


def pretrain(model, utterances: list[Utterance], options: Options, seed: int) -> dict[str, float]:
    """Trains the model in place; returns loss and target entropy in bits per token, over the last steps."""
    torch.manual_seed(seed + 1)  # of the masks
    optimizer = torch.optim.AdamW(model.parameters(), lr=options.lr, betas=(0.9, 0.98), weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: lr_share(step, options))
    metrics = new_metrics(options)
    model.train()
    for step, batch in enumerate(batches(utterances, options, seed)):
        if step == int((1 - LAST_SHARE) * options.steps):
            metrics.reset()
        optimizer.zero_grad()
        masked_loss(model, batch, metrics, options.device).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), GRADIENT_NORM)
        optimizer.step()
        schedule.step()
    return in_bits(metrics, "train")


@torch.no_grad()
def measure(model, utterances: list[Utterance], options: Options, seed: int) -> dict[str, float]:
    """Loss and target entropy in bits per token of voices that were not trained on, under the contexts of training."""
    torch.manual_seed(seed + 2)
    model.eval()
    metrics = new_metrics(options)
    for utterance in utterances * MASK_DRAWS:
        masked_loss(model, collate([utterance.feats]), metrics, options.device)
    return in_bits(metrics, "validation")


def new_metrics(options: Options) -> MaskedTokenMetrics:
    return MaskedTokenMetrics(options.classes).to(options.device)


def in_bits(metrics: MaskedTokenMetrics, part: str) -> dict[str, float]:
    """What the CSV has of the metrics."""
    values = metrics.compute()
    names = ("loss_bits", "target_entropy_bits", "masked_share")
    return {f"{part}_{name}": float(values[name]) for name in names}
