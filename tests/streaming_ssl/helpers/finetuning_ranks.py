# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""One rank of a fine-tuning run: `python finetuning_ranks.py CONFIG.yaml FOLDER`.

Each rank writes `FOLDER/rank-r.pt`: the encoder and the decoder after each step, or the error.
"""

import os
import sys
from pathlib import Path

import lightning.pytorch as pl
import torch
from omegaconf import OmegaConf

from nemo.collections.asr.parts.finetuning import FineTuning
from nemo.utils.exp_manager import exp_manager


class Keep(pl.Callback):
    """Remembers the weights of encoder and decoder: before the first step and after each one."""

    def __init__(self):
        self.weights = []

    def _add(self, model):
        parts = {"encoder": model.encoder, "decoder": model.decoder}
        self.weights.append(
            {name: {n: p.detach().clone() for n, p in m.named_parameters()} for name, m in parts.items()}
        )

    def on_train_start(self, trainer, pl_module):
        self._add(pl_module)

    def on_train_batch_end(self, trainer, pl_module, *_):
        self._add(pl_module)


def run(cfg) -> list:
    """What the example script does."""
    torch.set_num_threads(1)
    pl.seed_everything(cfg.model.seed)
    keep = Keep()
    trainer = pl.Trainer(**cfg.trainer, callbacks=[keep])
    finetuning = FineTuning(cfg, trainer)
    folder = exp_manager(trainer, cfg.exp_manager)
    trainer.fit(finetuning.build(folder))
    return keep.weights


def main(config: str, folder: str):
    """Writes what came of the run."""
    try:
        found = run(OmegaConf.load(config))
    except BaseException as error:
        found = repr(error)
    torch.save(found, Path(folder) / f"rank-{os.environ['RANK']}.pt")


if __name__ == "__main__":
    main(*sys.argv[1:])
