# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Where this repository has what it ships, and its configs."""

from collections.abc import Iterable
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from nemo_streaming_ssl.check import load_config

ROOT = Path(__file__).resolve().parents[1]
CONFIGS = ROOT / "examples/asr/conf/ssl/nest"
SCRIPTS = ROOT / "examples/asr/speech_pretraining"
UNIFORM, HIERARCHICAL, CTC = "nest_fast-conformer_streaming", "nest_hierarchical_streaming", "finetune_streaming_ctc"


def shipped_config(name: str, overrides: Iterable[str] = ()) -> DictConfig:
    """A shipped config with Hydra overrides, interpolations as they are, to be changed at will.

    Raises:
        InputError: an override that Hydra does not take
    """
    cfg = load_config(CONFIGS / f"{name}.yaml", list(overrides))
    OmegaConf.set_struct(cfg, False)
    return cfg
