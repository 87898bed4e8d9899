# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Trains, saves and opens tiny SSL models; with the patches on or off, as it is started.

    NEMO_STREAMING_SSL=off python plain_checkpoints.py FOLDER

writes plain NeMo's files into FOLDER/plain, opens those in FOLDER/ours, and says in FOLDER/answers.pt what came of it.
"""

import sys
from pathlib import Path

import lightning.pytorch as pl
import plain_models
import torch

STEPS = 2  # optimizer steps before a checkpoint is saved, and after it

# kind of model, where it masks, encoder frames per token after the subsampling (None is what NeMo has there, eight)
CASES = {
    "masked, pre_conv": ("EncDecMaskedTokenPredModel", "pre_conv", None),
    "denoise, pre_conv": ("EncDecDenoiseMaskedTokenPredModel", "pre_conv", None),
    "masked, post_conv": ("EncDecMaskedTokenPredModel", "post_conv", 1),
    # NeMo makes class 0 of the targets that these lack, so the loss is another one here
    "masked, post_conv, few targets": ("EncDecMaskedTokenPredModel", "post_conv", None),
}
# In NeMo it cannot be trained (a missing transpose), but it can be built and saved.
UNTRAINED = {"denoise, post_conv": ("EncDecDenoiseMaskedTokenPredModel", "post_conv", None)}


def build(case, trainer=None, **encoder):
    """A new model, with the same weights every time."""
    from omegaconf import OmegaConf

    from nemo.collections.asr import models

    kind, position, time_steps = {**CASES, **UNTRAINED}[case]
    config = plain_models.nest_config(position)
    config["encoder"].update(encoder)
    if time_steps is not None:
        config["quantizer"]["combine_time_steps"] = time_steps
    config["optim"]["sched"]["warmup_steps"] = 3
    torch.manual_seed(0)
    return with_even_masks(getattr(models, kind)(OmegaConf.create(config), trainer=trainer))


def with_even_masks(model):
    """The model with masks that are not drawn: the patches draw others than NeMo."""
    masking = model.mask_processor
    block = 16 if model.pre_encoder is None else 2

    def forward(input_feats, input_lengths, **_):
        steps = torch.arange(input_feats.size(2))
        is_masked = (steps % (2 * block) < block) & (steps < input_lengths.unsqueeze(1))
        masks = is_masked.unsqueeze(1).expand_as(input_feats).to(input_feats.dtype)
        return input_feats * (1 - masks), masks

    masking.forward = forward
    return model


def audio():
    signal = 0.1 * torch.randn(2, 30000, generator=torch.Generator().manual_seed(1))
    return signal, torch.tensor([30000, 24000])


def batch_for(model):
    """Noise, as the model's data loader gives it."""
    signal, lengths = audio()
    if "Denoise" not in type(model).__name__:
        return signal, lengths, torch.zeros(2, 1), torch.ones(2)
    from nemo.collections.asr.data.ssl_dataset import AudioNoiseBatch

    noise = signal.flip(1)
    return AudioNoiseBatch(
        audio=signal,
        audio_len=lengths,
        noise=noise,
        noise_len=lengths,
        noisy_audio=signal + noise,
        noisy_audio_len=lengths,
    )


class Losses(pl.Callback):
    """Loss and learning rate of each step, with the same dropout every time."""

    def __init__(self):
        self.losses, self.rates = [], []

    def on_train_batch_start(self, trainer, *_):
        torch.manual_seed(trainer.global_step)

    def on_train_batch_end(self, trainer, model, outputs, *_):
        self.losses.append(float(outputs["loss"]))
        self.rates.append(trainer.optimizers[0].param_groups[0]["lr"])


def trainer_of(steps, *callbacks):
    return pl.Trainer(
        max_steps=steps,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=list(callbacks),
    )


def train(model, steps, resume=None, save=None):
    """Trains up to that optimizer step; returns losses and learning rates."""
    seen = Losses()
    trainer = trainer_of(steps, seen)
    model.set_trainer(trainer)
    batches = [batch_for(model)] * steps
    loader = torch.utils.data.DataLoader(batches, batch_size=None)
    trainer.fit(model, loader, ckpt_path=None if resume is None else str(resume))
    if save is not None:
        trainer.save_checkpoint(str(save))
    return {"losses": seen.losses, "rates": seen.rates}


def save_untrained(model, path):
    """A checkpoint of Lightning's, of a model that was not trained."""
    trainer = trainer_of(1)
    trainer.strategy.connect(model)
    trainer.save_checkpoint(str(path))


def encoded(model):
    """The encoder's output for the same audio."""
    signal, lengths = audio()
    model.eval()
    with torch.no_grad():
        feats, feats_len = model.preprocessor(input_signal=signal, length=lengths)
        if model.pre_encoder is not None:
            model.pre_encoder.set_masking_enabled(False)
        return model.encoder(audio_signal=feats, length=feats_len)[0].clone()


def opened(file):
    """A model from a file, without data."""
    from nemo.collections.asr import models

    if file.suffix == ".nemo":
        return models.ASRModel.restore_from(str(file), map_location="cpu")
    kind = torch.load(file, weights_only=False)["hyper_parameters"]["cfg"]["target"].rpartition(".")[2]
    return getattr(models, kind).load_from_checkpoint(str(file), map_location="cpu")


def facts_of(file):
    """What a file is here: encoder outputs, the size of masked blocks, the loss of the next step."""
    model = opened(file)
    facts = {"encoded": encoded(model), "block_size": model.mask_processor.block_size}
    facts["context"] = list(model.encoder.att_context_size)
    facts["next"] = train(with_even_masks(model), 1)["losses"] if can_train(model) else None
    return facts


def can_train(model):
    return "Denoise" not in type(model).__name__ or model.pre_encoder is None


def write_files(folder):
    """Files of each case, after some steps of training; what they are, and how the training goes on."""
    folder.mkdir()
    found = {}
    for case in (*CASES, *UNTRAINED):
        model, (nemo, ckpt) = build(case), (folder / f"{case}.{suffix}" for suffix in ("nemo", "ckpt"))
        if case in UNTRAINED:
            save_untrained(model, ckpt)
        else:
            train(model, STEPS, save=ckpt)
        model.save_to(str(nemo))
        found[case] = {"encoded": encoded(model)}
        if case in CASES:
            found[case]["goes on"] = train(build(case), 2 * STEPS, resume=ckpt)
            found[case]["next"] = train(with_even_masks(opened(nemo)), 1)["losses"]
    return found


def main(folder):
    from nemo.utils import logging

    logging.setLevel(logging.CRITICAL)
    torch.set_num_threads(1)
    answers = {"patched": any(name.endswith("._ssl_models_base") for name in sys.modules)}
    answers["written"] = write_files(folder / "plain")
    answers["opened"] = {file.name: facts_of(file) for file in sorted((folder / "ours").iterdir())}
    answers["patched"] = any(name.endswith("._ssl_models_base") for name in sys.modules)
    torch.save(answers, folder / "answers.pt")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
