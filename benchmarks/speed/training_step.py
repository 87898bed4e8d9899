# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""A whole training step from audio to gradients: NeMo's model in both modes of its attention, ours with 40/120/320.

The model is the shipped streaming config in the size of the benchmark, without what crashes NeMo (causal downsampling)
and without what it has not (causal masks, `target_normalize`); both draw masks with the same shares. Contexts
`unlimited` are for what has no window at all: nothing may be slower there either. Most rows are without dropout, since
on a CPU drawing its random numbers takes a good part of the step on both sides; one row has the config's.
"""

import sys
from argparse import Namespace
from collections.abc import Iterator
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf

from benchmarks.shipped import UNIFORM, shipped_config
from benchmarks.speed.attention import ragged
from benchmarks.speed.harness import Case, Step, autocast, main
from benchmarks.speed.plain_nemo import nemo_model
from nemo.collections.asr.models.ssl_models import EncDecMaskedTokenPredModel

LAYERS = 12
# seconds of audio, contexts, dropout
STEPS = (
    (2, "40/120/320", 0.0),
    (2, "unlimited", 0.0),
    (15, "40/120/320", 0.0),
    (15, "40/120/320", 0.1),
    (15, "unlimited", 0.0),
    (60, "40/120/320", 0.0),
)
SCHEDULE = [[0, [40, 0]], [4, [120, 0]], [8, [320, 0]]]
OURS_OF_MASKING = ("causal", "left_context_size", "context_stride", "max_mask_ratio")
OURS_OF_MODEL = ("target_normalize", "masked_only_decoding", "streaming", "objective", "next_tokens")


def config(args: Namespace, dropout: float) -> DictConfig:
    """A config that plain NeMo knows every key of."""
    cfg = shipped_config(UNIFORM).model
    cfg.train_ds = cfg.validation_ds = None
    cfg.encoder.update(d_model=args.d_model, n_layers=LAYERS, n_heads=args.heads, causal_downsampling=False)
    cfg.encoder.update(att_context_size=[-1, -1], subsampling_conv_channels=args.d_model)
    cfg.encoder.update(dropout=dropout, dropout_pre_encoder=dropout, dropout_att=dropout)
    cfg.encoder.pop("banded_attention")
    for key in OURS_OF_MASKING:
        cfg.masking.pop(key)
    for key in OURS_OF_MODEL:
        cfg.pop(key)
    cfg.preprocessor.update(normalize="per_feature", dither=0.0)  # dither would change the audio, in place
    OmegaConf.resolve(cfg)
    return OmegaConf.create(cfg)


def step_of(model: Any, batch: Any, args: Namespace) -> Step:
    """Forward and backward of what Lightning calls, without Lightning."""
    model = model.to(args.device).train()
    model._optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    model.trainer = _Trainer()
    model.log_dict = lambda *arguments, **options: None

    def step() -> None:
        model.zero_grad(set_to_none=True)
        with autocast(args):
            loss = model.training_step(batch, 0)["loss"]
        loss.backward()

    return step


class _Trainer:
    """As much of a trainer as a training step asks for."""

    global_step = 1


def cases(args: Namespace) -> Iterator[Case]:
    for seconds, contexts, dropout in STEPS:
        lengths = 16000 // 100 * ragged(args.batch, 100 * seconds, "cpu")
        torch.manual_seed(0)
        batch = (0.1 * torch.randn(args.batch, int(lengths.max())).to(args.device), lengths.to(args.device))
        ours, eager, sdpa = (config(args, dropout) for _ in range(3))
        sdpa.encoder.use_pytorch_sdpa = True
        if contexts != "unlimited":
            ours.hierarchical_context = {"enabled": True, "schedule": SCHEDULE}
        models = (EncDecMaskedTokenPredModel(cfg=ours), nemo_model(eager), nemo_model(sdpa))
        step, *nemo = (step_of(model, batch, args) for model in models)
        settings = {"seconds": seconds, "layers": LAYERS, "contexts": contexts, "dropout": dropout}
        yield Case("training step", settings, step, dict(zip(("nemo", "nemo sdpa"), nemo)))


if __name__ == "__main__":
    sys.exit(main("training_step", __doc__, cases))
