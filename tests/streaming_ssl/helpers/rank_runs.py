# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Tiny training runs, in one process or as one rank of several: what each run's losses, metrics and weights were.

As a script, for `torchrun`: takes a file of runs, and writes what this rank made of them. A run that fails says how.
"""

import os
import sys
from pathlib import Path

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.strategies import ModelParallelStrategy
from omegaconf import OmegaConf
from torch.distributed._composable.fsdp import fully_shard
from torch.distributed.tensor import DTensor
from torch.utils.data import DataLoader

from nemo.collections.asr.data.ssl_dataset import AudioNoiseBatch
from nemo.collections.asr.models import EncDecDenoiseMaskedTokenPredModel, EncDecMaskedTokenPredModel

MODELS = {"masked": EncDecMaskedTokenPredModel, "denoise": EncDecDenoiseMaskedTokenPredModel}
RATE = 16000


def make_batch(model: str, seed: int, seconds):
    """A batch of noise, as a data loader makes it for this model."""
    noise = torch.Generator().manual_seed(seed)
    lengths = torch.tensor([int(RATE * s) for s in seconds])
    audio = 0.1 * torch.randn(len(seconds), int(lengths.max()), generator=noise)
    if model == "masked":
        return audio, lengths, None, None
    noisy = audio + 0.05 * torch.randn(audio.shape, generator=noise)
    return AudioNoiseBatch(None, audio, lengths, noisy - audio, lengths, noisy, lengths)


def join(batches) -> tuple:
    """One batch of the model "masked" from several, which are equally long."""
    audio, lengths, _, _ = zip(*batches)
    return torch.cat(audio), torch.cat(lengths), None, None


def loader(model: str, batches) -> DataLoader:
    """Batches that are given as (seed, seconds of each utterance), or as a list of those to be joined."""
    made = [
        join(make_batch(model, *part) for part in batch) if isinstance(batch, list) else make_batch(model, *batch)
        for batch in batches
    ]
    return DataLoader(made, batch_size=None, collate_fn=lambda batch: batch)


class EveryThirdStep(torch.nn.Module):
    """Masks every third encoder step of each utterance: the same in every batch that it is in."""

    def __init__(self, stride: int):
        super().__init__()
        self.stride = stride

    def forward(self, input_feats, input_lengths):
        frames = torch.arange(input_feats.size(2))
        mask = (frames // self.stride % 3 == 2) & (frames < input_lengths.unsqueeze(1))
        masks = mask.unsqueeze(1).to(input_feats.dtype).expand_as(input_feats)
        return input_feats * (1 - masks), masks


class Steps(Callback):
    """What is drawn for a batch (dither, masks, dropout) depends on the batch alone; remembers each batch's loss."""

    def __init__(self):
        self.losses, self.untrained, self.frozen, self.contexts = [], [], [], []

    @staticmethod
    def _seed(batch):
        audio = batch.audio if isinstance(batch, AudioNoiseBatch) else batch[0]
        torch.manual_seed(int(audio.abs().sum() * 1000))

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        self._seed(batch)

    def on_validation_batch_start(self, trainer, pl_module, batch, batch_idx, dataloader_idx=0):
        self._seed(batch)

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.losses.append(outputs["loss"].item() * trainer.accumulate_grad_batches)
        self.contexts.append(getattr(pl_module.encoder, "layer_contexts", None))

    def on_after_backward(self, trainer, pl_module):
        parameters = list(pl_module.named_parameters())
        self.untrained = [name for name, p in parameters if p.requires_grad and p.grad is None]
        self.frozen = [name for name, p in parameters if not p.requires_grad]


class Sharded(EncDecMaskedTokenPredModel):
    """A model as a user of FSDP2 writes it: each layer, the rest of the encoder and the decoder are sharded."""

    def configure_model(self):
        ranks = self.device_mesh["data_parallel"]
        for module in (*self.encoder.layers, self.encoder, self.decoder):
            fully_shard(module, mesh=ranks)


def build(run, trainer=None):
    """The model of a run, the same at every call."""
    torch.manual_seed(0)
    model_class = Sharded if run.get("sharded") else MODELS[run["model"]]
    model = model_class(OmegaConf.create(run["cfg"]), trainer)
    if run.get("masks") == "every third step":
        model.mask_processor = EveryThirdStep(1 if model.pre_encoder is not None else 8)
        if model.pre_encoder is not None:
            model.pre_encoder.masking = model.mask_processor
    return model


def make_trainer(**options) -> pl.Trainer:
    """Of one epoch on a CPU, if nothing else is said, that writes nothing."""
    settings = dict(accelerator="cpu", max_epochs=1, logger=False, enable_progress_bar=False, log_every_n_steps=1)
    settings.update(enable_model_summary=False, enable_checkpointing=False, use_distributed_sampler=False)
    return pl.Trainer(**{**settings, "num_sanity_val_steps": 0, **options})


def fit(run, batches, validation=(), **options) -> dict:
    """Trains one epoch.

    Args:
        run: `model`, `cfg`, and `masks: every third step` instead of random ones
        batches, validation: of this process, see `loader`
        options: of the trainer
    """
    steps = Steps()
    trainer = make_trainer(callbacks=[steps], **options)
    model = build(run, trainer)
    if trainer.global_rank > 0 and not run.get("sharded"):  # rank 0's weights are the ones that count
        with torch.no_grad():
            [p.add_(1) for p in model.parameters()]
    val_loaders = loader(run["model"], validation) if validation else None
    trainer.fit(model, loader(run["model"], batches), val_loaders)
    metrics = {name: float(value) for name, value in trainer.callback_metrics.items()}
    weights = {name: whole(p.detach()).clone() for name, p in model.named_parameters()}
    found = dict(
        losses=steps.losses, untrained=steps.untrained, contexts=steps.contexts, metrics=metrics, weights=weights
    )
    return {
        **found,
        "steps": trainer.global_step,
        "trainable": [n for n, p in model.named_parameters() if p.requires_grad],
    }


def whole(weight: torch.Tensor) -> torch.Tensor:
    """A weight, of which each rank may have a part."""
    return weight.full_tensor() if isinstance(weight, DTensor) else weight


def fit_as_rank(run, rank: int, ranks: int) -> dict:
    """This rank's part of a run: its own batches, under the strategy of the run."""
    sharded = ModelParallelStrategy(data_parallel_size=ranks, tensor_parallel_size=1) if run.get("sharded") else "ddp"
    options = {"devices": ranks, "strategy": sharded, **run.get("trainer", {})}
    try:
        return fit(run, run["batches"][rank], run.get("validation", [()] * ranks)[rank], **options)
    except Exception as error:  # pylint: disable=broad-except
        return {"error": f"{type(error).__name__}: {error}"}


def main(runs_file: str, out: str):
    torch.set_num_threads(1)
    rank, ranks = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    runs = torch.load(runs_file, weights_only=False)
    found = {name: fit_as_rank(run, rank, ranks) for name, run in runs.items()}
    torch.save(found, Path(out) / f"rank{rank}.pt")
    torch.distributed.barrier()
    sys.stdout.flush()
    os._exit(0)  # gloo's destructor may wait, with Python's lock, for a thread that needs the lock to end


if __name__ == "__main__":
    main(*sys.argv[1:])
