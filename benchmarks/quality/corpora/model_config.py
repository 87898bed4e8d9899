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

"""The model's config: the shipped streaming one, with the overrides of the plan and of an arm."""

from typing import Iterable, List

from hydra.errors import HydraException
from omegaconf import DictConfig

from benchmarks.quality.shipped_config import shipped_config

# seeds are set here, for weights and data alike; features come without noise and without padding
FIXED = ('model.seed=null', 'model.preprocessor.dither=0.0', 'model.preprocessor.pad_to=0')


def model_config(overrides: Iterable[str]) -> DictConfig:
    """`model` of the composed config, everything resolved.

    Raises:
        ValueError: an override that Hydra does not take
    """
    overrides: List[str] = [*FIXED, *overrides]
    try:
        return shipped_config(overrides)
    except HydraException as error:
        raise ValueError(f'overrides={overrides}: {error}') from error
