# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Builds SSL models from many configs, and says what came of each; with the patches on or off, as it is started.

    NEMO_STREAMING_SSL=off python plain_nemo_builds.py configs.json answers.json
"""

import json
import sys
from pathlib import Path


def build(config: dict):
    """The shape of each parameter of the model that NeMo makes of a config; None if it makes none."""
    from omegaconf import OmegaConf

    # in NeMo both models are made by the same constructor
    from nemo.collections.asr.models import EncDecDenoiseMaskedTokenPredModel

    try:
        model = EncDecDenoiseMaskedTokenPredModel(OmegaConf.create(config))
    except Exception:  # whatever NeMo refuses a config with
        return None
    return {parameter: list(value.shape) for parameter, value in model.state_dict().items()}


def answers(configs: dict) -> dict:
    """`build` of each config, by name; `patched` says whether the patches were on."""
    from nemo.utils import logging

    logging.setLevel(logging.CRITICAL)
    found = {name: build(config) for name, config in configs.items()}
    patched = any(name.endswith("._ssl_models_base") for name in sys.modules)
    return {"patched": patched, "built": found}


if __name__ == "__main__":
    configs, result = map(Path, sys.argv[1:])
    result.write_text(json.dumps(answers(json.loads(configs.read_text()))))
