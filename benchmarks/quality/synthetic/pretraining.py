# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Masked-token pretraining in a plain loop: the same batches for every variant, drawn from the seed alone."""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from benchmarks.quality.synthetic.data import Utterance
from benchmarks.quality.synthetic.options import Options
from nemo.collections.asr.data.audio_to_text_dali import DALIOutputs

FEATURE_FRAMES_PER_SECOND = 100
MASK_DRAWS = 5  # masks per utterance when the loss is measured
LAST_SHARE = 0.1  # of the steps, over which the training loss is a mean
GRADIENT_NORM = 1.0
COUNTED = ("loss_bits", "target_entropy_bits", "masked_share")

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


def masked_loss(model: Any, batch: Batch, device: str) -> Tensor:
    """The model's own loss of a batch with new masks, which is counted in its `val_metrics`."""
    feats, lengths = (part.to(device) for part in batch)
    signals = {"processed_signal": feats, "processed_signal_len": lengths}
    nothing = dict.fromkeys(("transcript", "transcript_len"), torch.zeros_like(lengths))
    return model.inference_pass(DALIOutputs({**signals, **nothing}), apply_mask=True)["val_loss"]


def pretrain(model: Any, utterances: list[Utterance], options: Options, seed: int) -> dict[str, float]:
    """Trains the model in place; returns loss and target entropy in bits per token, over the last steps."""
    torch.manual_seed(seed + 1)  # of the masks
    optimizer = torch.optim.AdamW(model.parameters(), lr=options.lr, betas=(0.9, 0.98), weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: lr_share(step, options))
    model.train()
    for step, batch in enumerate(batches(utterances, options, seed)):
        if step == int((1 - LAST_SHARE) * options.steps):
            model.val_metrics.reset()
        optimizer.zero_grad()
        masked_loss(model, batch, options.device).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), GRADIENT_NORM)
        optimizer.step()
        schedule.step()
    return in_bits(model, "train")


@torch.no_grad()
def measure(model: Any, utterances: list[Utterance], options: Options, seed: int) -> dict[str, float]:
    """Loss and target entropy in bits per token of voices that were not trained on, under the contexts of training."""
    torch.manual_seed(seed + 2)
    model.eval()
    for utterance in utterances * MASK_DRAWS:
        masked_loss(model, collate([utterance.feats]), options.device)
    return in_bits(model, "validation")


def in_bits(model: Any, part: str) -> dict[str, float]:
    """What the CSV has of what was counted since the last call."""
    counted = model.val_metrics.pop(part)
    return {f"{part}_{name}": float(counted[f"{part}_{name}"]) for name in COUNTED}
