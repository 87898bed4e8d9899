# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""The tiny causal Conformers that are compared, pretrained by the shipped script; contexts make the difference."""

from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from benchmarks.quality import training
from benchmarks.quality.synthetic.options import Options
from nemo.core import ModelPT

UNLIMITED = -1
VARIANTS = ("hierarchical", "uniform", "full")
# what a row has of the last logs, by the shipped names
LOGGED = {
    f"{part}_{name}": f"{mode}_{name}"
    for part, mode in (("train", "train"), ("validation", "val"))
    for name in ("loss_bits", "target_entropy_bits", "masked_share")
}


def training_contexts(variant: str, options: Options) -> list[list[int]]:
    """[left, right] of each layer in encoder frames, as a variant is trained.

    `uniform` has as many frames to attend to over all layers as `hierarchical`, hence the same cost and reach.
    """
    if variant == "hierarchical":
        return [[left, 0] for left in options.contexts]
    if variant == "uniform":
        return [[sum(options.contexts) // options.layers, 0]] * options.layers
    if variant == "full":
        return [[UNLIMITED, UNLIMITED]] * options.layers
    raise ValueError(f"variant={variant!r}: must be one of {', '.join(VARIANTS)}")


def streaming_contexts(variant: str, options: Options) -> list[list[int]]:
    """[left, right] of each layer as a variant is run in streaming mode: nothing ahead."""
    return [[left, 0] for left, _ in training_contexts(variant, options)]


def overrides(variant: str, options: Options) -> list[str]:
    """What makes the shipped streaming config a tiny one with the contexts of a variant."""
    contexts = [[layer, context] for layer, context in enumerate(training_contexts(variant, options))]
    sizes = f"""
        model.objective=masked_tokens model.num_classes={options.classes} model.streaming={variant != "full"}
        model.preprocessor.dither=0 model.preprocessor.pad_to=0
        model.encoder.d_model={options.d_model} model.encoder.n_layers={options.layers}
        model.encoder.n_heads={options.heads} model.encoder.subsampling_conv_channels=32
        model.encoder.dropout=0 model.encoder.dropout_pre_encoder=0 model.encoder.dropout_att=0
        model.masking.mask_prob={options.mask_prob} model.masking.block_size={options.block_size}
        model.optim.lr={options.lr} model.optim.sched.name=CosineAnnealing ~model.optim.sched.d_model
        model.optim.sched.warmup_steps=null model.optim.sched.warmup_ratio={options.warmup} model.optim.sched.min_lr=0
        trainer.gradient_clip_val=1 +trainer.enable_model_summary=false
    """.split()
    data = [
        f"model.{part}.{option}"
        for part in ("train_ds", "validation_ds")
        for option in (f"batch_size={options.batch_size}", "num_workers=0", "min_duration=0")
    ]
    return [*sizes, *data, f"+model.hierarchical_context={{enabled:true,schedule:{contexts}}}"]


def config(variant: str, options: Options, steps: int, folder: Path, seed: int) -> DictConfig:
    """The config of a variant's pretraining, on the manifests in the parent of its folder."""
    manifests = [folder.with_name(f"{name}_pieces.json") for name in ("train", "validation")]
    place = training.Place(folder, seed, options.device)
    return training.pretraining_config(overrides(variant, options), steps, place, manifests, None)


def pretrained(variant: str, options: Options, steps: int, folder: Path, seed: int) -> tuple[Any, dict[str, float]]:
    """A model, and losses and entropies in bits per token; for 0 steps it is untrained, and there are no losses.

    With the same seed, all variants begin with the same weights and have the same targets.
    """
    found = training.pretrained(config(variant, options, steps, folder, seed), folder, {})
    losses = {name: found["measured"][tag] for name, tag in LOGGED.items() if tag in found["measured"]}
    return ModelPT.restore_from(found["model"], map_location=options.device), losses
