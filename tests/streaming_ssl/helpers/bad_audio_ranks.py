# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0


"""One rank of two, for test_bad_audio_on_ranks.py: trains on bad data and prints what comes of it as JSON."""

import json
import os
import sys

import torch
from lightning.pytorch import Trainer
from omegaconf import OmegaConf

from nemo.collections.asr.models import EncDecDenoiseMaskedTokenPredModel
from nemo.collections.asr.parts.manifests import check, problems

KEPT = []


def trained(cfg, **data):
    """Two ranks train for an epoch: values in the log, and a sum over the weights."""
    cfg.train_ds.update(data)
    trainer = Trainer(
        accelerator="cpu",
        devices=2,
        strategy="ddp_find_unused_parameters_true",
        max_epochs=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    model = EncDecDenoiseMaskedTokenPredModel(cfg, trainer=trainer)
    trainer.fit(model)
    values = {name: value.item() for name, value in trainer.logged_metrics.items() if "bad" in name}
    return {
        **values,
        "steps": trainer.global_step,
        "weights": sum(p.double().sum().item() for p in model.parameters()),
    }


def main(config, skipped, refused):
    torch.set_num_threads(1)
    cfg = OmegaConf.load(config)
    read = []
    look = check.audio_problems
    check.audio_problems = lambda manifest, entries, selector: read.extend(entries) or look(
        manifest, entries, selector
    )
    most, problems.MOST_BAD = problems.MOST_BAD, 0.9
    result = {"skip": trained(cfg, manifest_filepath=skipped, check_audio_files=0)}
    problems.MOST_BAD = most
    for name, manifest, count in (("too many", skipped, 0), ("error", refused, -1)):
        try:
            trained(cfg, manifest_filepath=manifest, check_audio_files=count)
        except ValueError as error:
            result[name] = str(error)
    result["read"] = len(read)
    # its destructor waits, with Python's lock, for a thread that may need the lock to end the last step
    KEPT.append(torch.distributed.group.WORLD)
    print(json.dumps(result), flush=True)
    os._exit(0)


if __name__ == "__main__":
    main(*sys.argv[1:])
