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

import pytest
from omegaconf import OmegaConf


@pytest.fixture(scope="session")
def next_config(nest_config):
    """A tiny model's config that asks for next tokens; what the shipped config says of them is overridden."""

    def config(*overrides, steps=4, first=None, **changes):
        cfg = nest_config(*overrides)
        cfg.objective, cfg.next_tokens = "next_tokens", {"steps": steps, "first": first}
        cfg.preprocessor.dither = 0.0
        return OmegaConf.merge(cfg, OmegaConf.create(changes))

    return config
