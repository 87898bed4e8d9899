# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""The tiny causal Conformers that are compared, and the attention contexts that make the difference."""

import torch

from benchmarks.quality.synthetic.options import Options
from benchmarks.shipped import UNIFORM, shipped_config
from nemo.collections.asr.models import EncDecMaskedTokenPredModel

UNLIMITED = -1
VARIANTS = ("hierarchical", "uniform", "full")


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
    raise ValueError(f'variant={variant!r}: must be one of {", ".join(VARIANTS)}')


def streaming_contexts(variant: str, options: Options) -> list[list[int]]:
    """[left, right] of each layer as a variant is run in streaming mode: nothing ahead."""
    return [[left, 0] for left, _ in training_contexts(variant, options)]


def overrides(options: Options) -> list[str]:
    """What makes the streaming config a tiny one."""
    return f"""
        model.objective=masked_tokens model.train_ds=null model.validation_ds=null
        model.num_classes={options.classes}
        model.preprocessor.dither=0 model.preprocessor.pad_to=0
        model.encoder.d_model={options.d_model} model.encoder.n_layers={options.layers}
        model.encoder.n_heads={options.heads} model.encoder.subsampling_conv_channels=32
        model.encoder.dropout=0 model.encoder.dropout_pre_encoder=0 model.encoder.dropout_att=0
        model.masking.mask_prob={options.mask_prob} model.masking.block_size={options.block_size}
    """.split()


def build(variant: str, options: Options, seed: int) -> EncDecMaskedTokenPredModel:
    """An untrained model. With the same seed, all variants begin with the same weights and have the same targets."""
    torch.manual_seed(seed)
    model = EncDecMaskedTokenPredModel(cfg=shipped_config(UNIFORM, overrides(options)).model)
    model.encoder.set_layer_contexts(training_contexts(variant, options))
    return model.to(options.device)
