# Copyright (c) 2026, the streaming-ssl authors.
#
# Licensed under the Apache License, Version 2.0 (the "License");
# you may not use this file except in compliance with the License.
# You may obtain a copy of the License at
#
#     http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS,
# WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
# See the License for the specific language governing permissions and
# limitations under the License.

"""The config of a run, as a file beside what the run writes."""

from pathlib import Path
from typing import Optional, Union

from omegaconf import DictConfig, OmegaConf

from nemo.utils import logging
from nemo.utils.get_rank import is_global_rank_zero

FILE = "config.yaml"


def save_config(cfg: DictConfig, folder: Union[str, Path, None]) -> Optional[Path]:
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
