# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Encoders and a CTC model with none of our options, run once: what comes out must not depend on the patches.

    python plain_models.py OUT.pt    writes {case: {name of a tensor: tensor}}; NEMO_STREAMING_SSL=off is plain NeMo
"""

import random
import sys

import torch

SMALL = {
    "feat_in": 20,
    "n_layers": 2,
    "d_model": 32,
    "n_heads": 4,
    "conv_kernel_size": 9,
    "subsampling": "dw_striding",
    "subsampling_factor": 8,
    "subsampling_conv_channels": 8,
}
CAUSAL = {
    "causal_downsampling": True,
    "att_context_size": [8, 0],
    "conv_context_size": "causal",
    "conv_norm_type": "layer_norm",
}
ENCODERS = {
    "offline": {},
    "causal": CAUSAL,
    "striding": {"subsampling": "striding", "subsampling_factor": 4},
    "striding, causal": {**CAUSAL, "subsampling": "striding", "subsampling_factor": 4},
    "stacking": {"subsampling": "stacking"},
    "chunked": {**CAUSAL, "att_context_size": [8, 3], "att_context_style": "chunked_limited"},
    "several contexts": {**CAUSAL, "att_context_size": [[8, 3], [8, 1]], "att_context_style": "chunked_limited"},
    "absolute positions": {"self_attention_model": "abs_pos"},
    "local attention": {"self_attention_model": "rel_pos_local_attn", "att_context_size": [8, 8]},
    "sdpa": {"use_pytorch_sdpa": True, "att_context_size": [8, 8]},
    "reduction": {"reduction": "striding", "reduction_position": 1, "reduction_factor": 2},
    "stochastic depth": {"stochastic_depth_drop_prob": 0.3},
    "chunked convolutions": {"subsampling_conv_chunking_factor": 2},
}
CTC = {
    "sample_rate": 16000,
    "preprocessor": {
        "_target_": "nemo.collections.asr.modules.AudioToMelSpectrogramPreprocessor",
        "features": 20,
        "dither": 0.0,
    },
    "encoder": {"_target_": "nemo.collections.asr.modules.ConformerEncoder", **SMALL},
    "decoder": {
        "_target_": "nemo.collections.asr.modules.ConvASRDecoder",
        "feat_in": 32,
        "num_classes": 3,
        "vocabulary": ["a", "b", "c"],
    },
}
NEST_SECTIONS = ("preprocessor", "spec_augment", "masking", "quantizer", "encoder", "decoder", "loss")


def nest_config(position: str) -> dict:
    """The config of a tiny NEST model with every key of NeMo's own, and no other, as a dict."""
    encoder = {
        **{"_target_": "nemo.collections.asr.modules.ConformerEncoder", "feat_in": 80, "feat_out": -1, "n_layers": 1},
        **{"d_model": 16, "use_bias": True, "subsampling": "dw_striding", "subsampling_factor": 8},
        **{"subsampling_conv_channels": 4, "causal_downsampling": False, "ff_expansion_factor": 2},
        **{"self_attention_model": "rel_pos", "n_heads": 2, "att_context_size": [-1, -1]},
        **{"att_context_style": "regular", "xscaling": True, "untie_biases": True, "pos_emb_max_len": 500},
        **{"conv_kernel_size": 9, "conv_norm_type": "batch_norm", "conv_context_size": None, "dropout": 0.1},
        **{"dropout_pre_encoder": 0.1, "dropout_emb": 0.0, "dropout_att": 0.1, "stochastic_depth_drop_prob": 0.0},
        **{"stochastic_depth_mode": "linear", "stochastic_depth_start_layer": 1},
    }
    preprocessor = {
        **{"_target_": "nemo.collections.asr.modules.AudioToMelSpectrogramPreprocessor", "sample_rate": 16000},
        **{"normalize": "per_feature", "window_size": 0.025, "window_stride": 0.01, "window": "hann", "features": 80},
        **{"n_fft": 512, "log": True, "frame_splicing": 1, "dither": 0.0, "pad_to": 16, "pad_value": 0.0},
    }
    spec_augment = {
        **{"_target_": "nemo.collections.asr.modules.SpectrogramAugmentation", "freq_masks": 0, "time_masks": 0},
        **{"freq_width": 16, "time_width": 0.05},
    }
    masking = {
        **{"_target_": "nemo.collections.asr.modules.RandomBlockMasking", "block_size": 40, "mask_prob": 0.01},
        **{"feat_in": 80, "freeze": True, "allow_overlap": True},
    }
    quantizer = {
        **{"_target_": "nemo.collections.asr.modules.RandomProjectionVectorQuantizer", "feat_in": 80, "code_dim": 16},
        **{"num_books": 1, "num_classes": 32, "dist_fn": "l2", "freeze": True, "squeeze_single": False},
        **{"combine_time_steps": 8},
    }
    decoder = {
        **{"_target_": "nemo.collections.asr.modules.MultiSoftmaxDecoder", "feat_in": 16, "num_classes": 32},
        **{"num_decoders": 1, "squeeze_single": False, "use_bias": True},
    }
    loss = {
        **{"_target_": "nemo.collections.asr.losses.MultiMLMLoss", "combine_time_steps": 8, "mask_threshold": 0.8},
        **{"num_decoders": 1, "squeeze_single": False},
    }
    sections = (preprocessor, spec_augment, masking, quantizer, encoder, decoder, loss)
    return {
        **{"sample_rate": 16000, "num_classes": 32, "num_books": 1, "code_dim": 16, "squeeze_single": False},
        **{"mask_position": position, "train_ds": None, "validation_ds": None},
        **dict(zip(NEST_SECTIONS, sections)),
        "optim": {"name": "adamw", "lr": 1e-3, "sched": {"name": "NoamAnnealing", "d_model": 16}},
    }


def build_encoder(**options):
    """A small `ConformerEncoder` with the same weights every time."""
    from nemo.collections.asr.modules import ConformerEncoder

    torch.manual_seed(0)
    return ConformerEncoder(**{**SMALL, **options})


def build_ctc_model():
    """A small CTC model."""
    from omegaconf import OmegaConf

    from nemo.collections.asr.models import EncDecCTCModel

    torch.manual_seed(0)
    return EncDecCTCModel(OmegaConf.create(CTC))


def features(frames=150, batch=2):
    """Features (B, 20, T) and lengths (B,), of which the last utterance has two thirds of the frames."""
    generator = torch.Generator().manual_seed(1)
    return torch.randn(batch, 20, frames, generator=generator), torch.tensor(
        [frames] * (batch - 1) + [frames * 2 // 3]
    )


def run_encoder(**options):
    """Outputs in eval and train mode, and the gradients of all parameters and of the input."""
    encoder, (feats, lengths) = build_encoder(**options), features()
    found = {}
    for training in (False, True):
        encoder.train(training)
        random.seed(2)  # NeMo draws one of several contexts
        torch.manual_seed(2)
        out, out_lengths = encoder(audio_signal=feats.requires_grad_(training), length=lengths)
        found[f"output, training={training}"], found[f"lengths, training={training}"] = out, out_lengths
    out.square().sum().backward()
    found["gradient of the input"] = feats.grad
    return _plain(found, encoder)


def run_ctc_model():
    """The loss of a CTC model and its gradients."""
    model = build_ctc_model().train()
    audio = torch.randn(2, 16000, generator=torch.Generator().manual_seed(1))
    torch.manual_seed(2)
    log_probs, lengths, _ = model(input_signal=audio, input_signal_length=torch.tensor([16000, 12000]))
    targets, target_lengths = torch.tensor([[0, 1, 2], [2, 1, 0]]), torch.tensor([3, 2])
    loss = model.loss(log_probs=log_probs, targets=targets, input_lengths=lengths, target_lengths=target_lengths)
    loss.backward()
    return _plain({"log_probs": log_probs, "loss": loss}, model)


def _plain(found, module):
    """The tensors found and the module's gradients, without the neural types that NeMo hangs on tensors."""
    gradients = {f"gradient of {name}": p.grad for name, p in module.named_parameters() if p.grad is not None}
    return {name: tensor.detach().clone() for name, tensor in (found | gradients).items()}


def run_all():
    """{case: {name of a tensor: tensor}}"""
    return {name: run_encoder(**options) for name, options in ENCODERS.items()} | {"CTC model": run_ctc_model()}


if __name__ == "__main__":
    torch.set_num_threads(1)
    torch.save(run_all(), sys.argv[1])
