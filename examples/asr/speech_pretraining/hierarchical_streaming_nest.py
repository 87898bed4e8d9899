# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Pretrains a streaming NEST encoder whose layers have attention contexts of their own.

    python hierarchical_streaming_nest.py \
        model.train_ds.manifest_filepath=train.json \
        model.train_ds.noise_manifest=noise.json \
        model.validation_ds.manifest_filepath=validation.json \
        trainer.max_steps=500000

Any value of the config can be replaced like that; `--config-name nest_fast-conformer_streaming` takes one context for
all layers. Ctrl-C and SIGTERM save before they stop it. Started again with the same `exp_manager.exp_dir` it goes on
at the next batch, as if it had never been stopped.
"""

from pathlib import Path

import lightning.pytorch as pl

from nemo.collections.asr.models.ssl_models import EncDecDenoiseMaskedTokenPredModel
from nemo.collections.asr.parts.checkpoints import fit_and_say
from nemo.collections.asr.parts.resume import recover_checkpoints
from nemo.collections.asr.parts.utils.run_config import save_config
from nemo.core.config import hydra_runner
from nemo.utils.exp_manager import exp_manager


@hydra_runner(config_path="../conf/ssl/nest", config_name="nest_hierarchical_streaming")
def main(cfg):
    if cfg.model.get("seed") is not None:
        pl.seed_everything(cfg.model.seed, workers=True)
    trainer = pl.Trainer(**cfg.trainer)
    recover_checkpoints(cfg.get("exp_manager"))
    save_config(cfg, exp_manager(trainer, cfg.get("exp_manager")))
    model = EncDecDenoiseMaskedTokenPredModel(cfg=cfg.model, trainer=trainer)
    model.maybe_init_from_pretrained_checkpoint(cfg)
    fit_and_say(trainer, model, Path(__file__).with_name("streaming_inference_example.py"))


if __name__ == "__main__":
    main()
