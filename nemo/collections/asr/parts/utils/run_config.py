# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""The config of a run, as a file beside what the run writes."""

from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from nemo.utils import logging
from nemo.utils.get_rank import is_global_rank_zero

FILE = "config.yaml"


def save_config(cfg: DictConfig, folder: str | Path | None) -> Path | None:
    """Writes a config into the folder of its run and says where; says the config itself where there is no folder.

    Rank 0 writes. A run that goes on replaces the file; NeMo has moved the earlier one to `run_0`, `run_1`, ... there.

    Args:
        cfg: the config, in which interpolations stay what they are
        folder: of the run, as `exp_manager` returns it

    Returns:
        the file
    """
    text = OmegaConf.to_yaml(cfg)
    if folder is None:
        logging.info(f"Config:\n{text}")
        return None
    file = Path(folder) / FILE
    if is_global_rank_zero():
        file.write_text(text, encoding="utf-8")
        logging.info(f"The whole config is in {file}")
    return file
