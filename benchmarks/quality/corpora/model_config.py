# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""The model's config: the shipped streaming one, with the overrides of the plan and of an arm."""

from collections.abc import Iterable

from hydra.errors import HydraException
from omegaconf import DictConfig

from benchmarks.quality.shipped_config import shipped_config

# seeds are set here, for weights and data alike; features come without noise and without padding
FIXED = ("model.seed=null", "model.preprocessor.dither=0.0", "model.preprocessor.pad_to=0")


def model_config(overrides: Iterable[str]) -> DictConfig:
    """`model` of the composed config, everything resolved.

    Raises:
        ValueError: an override that Hydra does not take
    """
    overrides: list[str] = [*FIXED, *overrides]
    try:
        return shipped_config(overrides)
    except HydraException as error:
        raise ValueError(f"overrides={overrides}: {error}") from error
