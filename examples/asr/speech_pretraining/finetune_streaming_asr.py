# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Fine-tunes a pretrained streaming encoder into a CTC or RNN-T recogniser.

    python finetune_streaming_asr.py \
        pretrained.path=pretrained.nemo \
        model.train_ds.manifest_filepath=train.json \
        model.validation_ds.manifest_filepath=validation.json \
        trainer.max_steps=20000

The encoder's shape, causality and attention contexts are those of the checkpoint; a value that contradicts it is an
error. `--config-name finetune_streaming_rnnt` trains RNN-T. Characters of the training texts are the labels;
`model.tokenizer.type=bpe` trains a tokenizer of `model.tokenizer.vocab_size` pieces, or takes the one in
`model.tokenizer.dir`. Started again with the same `exp_manager.exp_dir` it goes on where it was.
"""

from pathlib import Path

import lightning.pytorch as pl

from nemo.collections.asr.parts.checkpoints import fit_and_say
from nemo.collections.asr.parts.finetuning import FineTuning
from nemo.collections.asr.parts.resume import recover_checkpoints
from nemo.collections.asr.parts.utils.run_config import save_config
from nemo.core.config import hydra_runner
from nemo.utils.exp_manager import exp_manager


@hydra_runner(config_path="../conf/ssl/nest", config_name="finetune_streaming_ctc")
def main(cfg):
    if cfg.model.get("seed") is not None:
        pl.seed_everything(cfg.model.seed, workers=True)
    trainer = pl.Trainer(**cfg.trainer)
    finetuning = FineTuning(cfg, trainer)
    recover_checkpoints(cfg.get("exp_manager"))
    folder = exp_manager(trainer, cfg.get("exp_manager"))
    save_config(cfg, folder)  # with what comes from the checkpoint
    model = finetuning.build(folder or ".")
    model.maybe_init_from_pretrained_checkpoint(cfg)
    fit_and_say(trainer, model, Path(__file__).with_name("streaming_inference_example.py"))


if __name__ == "__main__":
    main()
