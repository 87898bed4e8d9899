# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""The shipped streaming config, which all encoders here are made of."""

from pathlib import Path

from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf

CONFIGS = Path(__file__).resolve().parents[2] / "examples/asr/conf/ssl/nest"
NAME = "nest_fast-conformer_streaming"


def shipped_config(overrides: list[str]) -> DictConfig:
    """`model` of the config with Hydra overrides, everything resolved."""
    with initialize_config_dir(str(CONFIGS), version_base=None):
        composed = compose(NAME, overrides=overrides)
    return OmegaConf.create(OmegaConf.to_container(composed, resolve=True)).model
