# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Log-mel features normalised by constants, which a stream can use too.

NeMo's own `normalize: {fixed_mean: ..., fixed_std: ...}` takes a batch of one utterance only.
"""


import torch
from omegaconf import OmegaConf

from nemo.collections.asr.modules import AudioToMelSpectrogramPreprocessor


class NormalizedLogMel(AudioToMelSpectrogramPreprocessor):
    """NeMo's log-mel features, less `mean`, divided by `std`, both of each mel bin; zeros after an utterance's end.

    Args:
        mean, std: one number for each mel bin
        others: as of NeMo's class; `normalize` must be NA
    """

    def __init__(self, mean: list[float], std: list[float], **others):
        super().__init__(**others)
        for name, values in (("mean", mean), ("std", std)):
            if len(values) != self.featurizer.nfilt:
                raise ValueError(f"{name}: has {len(values)} numbers, must have {self.featurizer.nfilt}")
            self.register_buffer(name, torch.tensor(list(values)).view(1, -1, 1), persistent=False)

    def get_features(self, input_signal, length):
        """Features (B, D, T) of audio (B, samples), and their lengths (B,)."""
        feats, lengths = super().get_features(input_signal, length)
        inside = torch.arange(feats.size(2), device=feats.device) < lengths.view(-1, 1, 1)
        return (feats - self.mean) / self.std * inside, lengths


def normalize_by(model, constants: dict):
    """Gives a model features that are normalised by constants, `mean` and `std` of each mel bin.

    The preprocessor is replaced when the model is built, because NeMo's configs name classes of NeMo's alone.
    """
    options = OmegaConf.to_container(model.cfg.preprocessor, resolve=True)
    del options["_target_"]
    model.preprocessor = NormalizedLogMel(constants["mean"], constants["std"], **options).to(model.device)
