# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Tiny models, batches in memory and short runs of Lightning's trainer, for the tests beside this file."""

import lightning.pytorch as pl
import torch
from small_trainer import small_trainer

from nemo.collections.asr.data.ssl_dataset import AudioNoiseBatch
from nemo.collections.asr.models import EncDecDenoiseMaskedTokenPredModel, EncDecMaskedTokenPredModel

MODELS = [EncDecMaskedTokenPredModel, EncDecDenoiseMaskedTokenPredModel]
POSITIONS = ["pre_conv", "post_conv"]
OPTIONS = ["model.optim.lr=1e-2", "model.masking.mask_prob=0.05"]


def make_batch(model_class, seed, bad=False, size=2, seconds=(1.5, 1.0)):
    """A batch as the data loader gives it; a bad one has an utterance of NaN samples."""
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.tensor([int(16000 * s) for s in seconds])[:size]
    audio = 0.1 * torch.randn(size, int(lengths.max()), generator=generator)
    if bad:
        audio[0] = float("nan")
    if not issubclass(model_class, EncDecDenoiseMaskedTokenPredModel):
        return audio, lengths
    return AudioNoiseBatch(
        audio=audio,
        audio_len=lengths,
        noise=torch.zeros_like(audio),
        noise_len=lengths,
        noisy_audio=audio + 0.01,
        noisy_audio_len=lengths,
    )


def make_loader(model_class, numbers):
    """A loader of batches by their numbers; a negative number makes a bad batch."""
    batches = [make_batch(model_class, abs(number), bad=number < 0) for number in numbers]
    return torch.utils.data.DataLoader(batches, batch_size=None)


class Watch(pl.Callback):
    """Seeds each batch by its number, and keeps the losses."""

    def __init__(self, numbers):
        self.numbers, self.losses = numbers, []

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        torch.manual_seed(abs(self.numbers[batch_idx]))

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.losses.append(float(outputs["loss"]))


def make_trainer(**options):
    return small_trainer(**{"max_epochs": 1, "max_steps": 100, "num_sanity_val_steps": 0, **options})


def build(nest_config, model_class, *overrides, trainer=None, like_nemo=False):
    """A tiny model, always with the same weights."""
    torch.manual_seed(0)
    return model_class(nest_config(*OPTIONS, *overrides, like_nemo=like_nemo), trainer=trainer)


def fit(nest_config, model_class, numbers, *overrides, validation=None, like_nemo=False, **options):
    """Trains on batches by their numbers, once over; returns model, trainer and what was watched."""
    watch = Watch(list(numbers))
    trainer = make_trainer(callbacks=[watch, *options.pop("callbacks", [])], **options)
    model = build(nest_config, model_class, *overrides, trainer=trainer, like_nemo=like_nemo)
    loaders = [make_loader(model_class, numbers)]
    trainer.fit(model, *loaders, None if validation is None else make_loader(model_class, validation))
    return model, trainer, watch


def all_finite(tensors):
    return all(bool(tensor.isfinite().all()) for tensor in tensors)
