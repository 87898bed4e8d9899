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

"""The shipped streaming config, which all encoders here are made of."""

from pathlib import Path
from typing import List

from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf

CONFIGS = Path(__file__).resolve().parents[2] / 'examples/asr/conf/ssl/nest'
NAME = 'nest_fast-conformer_streaming'


def shipped_config(overrides: List[str]) -> DictConfig:
    """`model` of the config with Hydra overrides, everything resolved."""
    with initialize_config_dir(str(CONFIGS), version_base=None):
        composed = compose(NAME, overrides=overrides)
    return OmegaConf.create(OmegaConf.to_container(composed, resolve=True)).model
