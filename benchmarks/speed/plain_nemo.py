# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""The installed NeMo's own classes, beside ours in one process."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

from omegaconf import DictConfig

from nemo.collections.asr.losses.ssl_losses import _mlm_base as mlm
from nemo.collections.asr.models import _ssl_models_base as models
from nemo.collections.asr.modules import _conformer_encoder_base as encoders
from nemo.collections.asr.modules.ssl_modules import _masking_base as masking
from nemo.collections.asr.modules.ssl_modules import _quantizers_base as quantizers
from nemo.collections.asr.parts.submodules import _conformer_modules_base as layers
from nemo.collections.asr.parts.submodules import _multi_head_attention_base as attention
from nemo.collections.asr.parts.submodules import _subsampling_base as subsampling

__all__ = ["attention", "encoders", "masking", "mlm", "models", "quantizers", "subsampling", "nemo_model", "originals"]

# NeMo's modules take these names from the public paths, where ours are.
TAKEN = (
    (encoders, "ConformerLayer", layers),
    (encoders, "ConvSubsampling", subsampling),
    (encoders, "MultiHeadAttention", attention),
    (layers, "MultiHeadAttention", attention),
    (layers, "RelPositionMultiHeadAttention", attention),
)
# sections of a config whose class is ours, with the module that has NeMo's
SECTIONS = {"encoder": encoders, "loss": mlm, "masking": masking, "quantizer": quantizers}


@contextmanager
def originals() -> Iterator[None]:
    """While this lasts, NeMo's classes are built of NeMo's classes, and know them by `isinstance`."""
    with ExitStack() as stack:
        for module, name, home in TAKEN:
            stack.enter_context(mock.patch.object(module, name, getattr(home, name)))
        yield


def nemo_model(cfg: DictConfig) -> Any:
    """NeMo's masked-token model for a config without any option of ours."""
    cfg = cfg.copy()
    for section, module in SECTIONS.items():
        cfg[section]._target_ = f"{module.__name__}.{cfg[section]._target_.rsplit('.', 1)[1]}"
    with originals():
        return models.EncDecMaskedTokenPredModel(cfg=cfg)
