# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Stage 2: NeMo's CTC model, with the encoder of stage 1, trained on labelled speech."""

import time

from lightning.pytorch import seed_everything
from omegaconf import DictConfig, OmegaConf

from benchmarks.quality.corpora.features import normalize_by
from benchmarks.quality.corpora.loaders import text_dataset, training_loader
from benchmarks.quality.corpora.model_config import model_config
from benchmarks.quality.corpora.plan import Plan, Run
from benchmarks.quality.corpora.prepared import Prepared
from benchmarks.quality.corpora.training import LossCurve, fit, make_trainer, optimizer
from nemo.collections.asr.models import EncDecCTCModel
from nemo.collections.asr.parts.utils.ssl_config import hand_contexts_to_encoder


def ctc_config(plan: Plan, run: Run, data: Prepared) -> DictConfig:
    """The recogniser's config: preprocessor and encoder as they were pretrained, with the arm's overrides for it."""
    arm, tuning = plan.arms[run.arm], plan.common.finetune
    overrides = [*plan.common.overrides, *arm.overrides, *tuning.overrides, *arm.finetune_overrides]
    cfg = model_config(overrides)
    hand_contexts_to_encoder(cfg)
    common = plan.common
    return OmegaConf.create(
        {
            "sample_rate": cfg.sample_rate,
            "train_ds": None,
            "validation_ds": None,
            "preprocessor": cfg.preprocessor,
            "encoder": cfg.encoder,
            "decoder": {
                "_target_": "nemo.collections.asr.modules.ConvASRDecoder",
                "feat_in": cfg.encoder.d_model,
                "num_classes": len(data.labels),
                "vocabulary": data.labels,
            },
            "spec_augment": {
                "_target_": "nemo.collections.asr.modules.SpectrogramAugmentation",
                "freq_masks": tuning.freq_masks,
                "freq_width": tuning.freq_width,
                "time_masks": tuning.time_masks,
                "time_width": tuning.time_width,
            },
            "optim": optimizer(tuning.lr, run.finetune_steps, common.warmup, common.weight_decay, common.betas),
        }
    )


def finetune(plan: Plan, run: Run, data: Prepared, encoder: dict, device: str) -> tuple[EncDecCTCModel, dict]:
    """The trained recogniser in eval mode on its device, and its loss curve and seconds."""
    started, tuning = time.perf_counter(), plan.common.finetune
    trainer = make_trainer(run.finetune_steps, device, plan.common.precision, LossCurve())
    seed_everything(run.seed, verbose=False)
    model = EncDecCTCModel(cfg=ctc_config(plan, run, data), trainer=trainer)
    normalize_by(model, data.constants)
    model.encoder.load_state_dict(encoder)
    dataset = text_dataset(data.subset(run.minutes, run.seed), data.labels)
    loader = training_loader(dataset, tuning.batch_size, run.seed, plan.common.num_workers)
    seed_everything(run.seed, verbose=False)
    curve = fit(trainer, model, loader)
    return model.to(device).eval(), {"finetune_curve": curve, "finetune_seconds": time.perf_counter() - started}
