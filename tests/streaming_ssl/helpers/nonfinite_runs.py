# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""One rank of two, for test_nonfinite_ranks.py: trains with bad batches, and prints what comes of it as JSON."""

import json
import logging
import os
import sys

import precision_runs as runs
import torch
from lightning.pytorch.plugins.precision import MixedPrecision
from omegaconf import OmegaConf

from nemo.collections.asr.models import EncDecDenoiseMaskedTokenPredModel

KEPT = []
LOGGED = ("train_skipped_steps", "val_accuracy")


class Said(logging.Handler):
    """What NeMo's logger has said."""

    def __init__(self):
        super().__init__()
        self.texts = []
        logging.getLogger("nemo_logger").addHandler(self)

    def emit(self, record):
        self.texts.append(record.getMessage())


def train(cfg, rank, batches, action, validation=((1,), (2,)), **options):
    """Trains for an epoch; `batches` and `validation` are those of each rank."""
    cfg.on_nonfinite = action
    watch = runs.Watch(batches[rank])
    settings = dict(devices=2, strategy="ddp_find_unused_parameters_true", use_distributed_sampler=False)
    trainer = runs.make_trainer(callbacks=[watch], **settings, **options)
    torch.manual_seed(0)
    model = EncDecDenoiseMaskedTokenPredModel(cfg, trainer=trainer)
    result = {}
    try:
        trainer.fit(model, *(runs.make_loader(type(model), numbers[rank]) for numbers in (batches, validation)))
    except FloatingPointError as error:
        result["error"] = str(error)
    metrics = {name: value.item() for name, value in trainer.callback_metrics.items() if name in LOGGED}
    weights = [p.detach().double().sum().item() for p in model.parameters()]
    return {**result, **metrics, "weights": weights, "steps": trainer.global_step}


def main(config):
    torch.set_num_threads(1)
    said = Said()
    cfg, rank = OmegaConf.load(config), int(os.environ["RANK"])
    bad, good = ([1, 2, 3, 4], [5, -9, 6, 7]), ([1, 3, 4], [5, 6, 7])
    scaler = lambda: MixedPrecision("16-mixed", "cpu", torch.amp.GradScaler("cpu", init_scale=2.0**10))  # noqa: E731
    result = {
        "skipped": train(cfg, rank, bad, "skip"),
        "without": train(cfg, rank, good, "skip"),
        "scaled": train(cfg, rank, bad, "skip", plugins=[scaler()]),
        "accumulated": train(cfg, rank, bad, "skip", accumulate_grad_batches=2),
        "accumulated without": train(cfg, rank, ([3, 4], [6, 7]), "skip", accumulate_grad_batches=2),
        "validated": train(cfg, rank, good, "skip", validation=([1, 2], [-3, 4])),
        "said": [text for text in said.texts if "validation" in text] if rank == 0 else [],
        # the last one: NeMo's telemetry wants no other run in the process after one that failed
        "raised": train(cfg, rank, bad, "raise"),
    }
    # its destructor waits, with Python's lock, for a thread that may need the lock to end the last step
    KEPT.append(torch.distributed.group.WORLD)
    print(json.dumps(result), flush=True)
    os._exit(0)


if __name__ == "__main__":
    main(*sys.argv[1:])
