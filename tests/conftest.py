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

import random

import numpy as np
import pytest
import torch
from hypothesis import settings

# the same examples at every run, and no verdict by the clock
settings.register_profile("reproducible", derandomize=True, deadline=None, print_blob=False)
settings.load_profile("reproducible")

# the models of the tests are tiny: more threads only wait for each other
torch.set_num_threads(1)


def pytest_collection_modifyitems(items):
    """Skips what is marked `run_only_on('GPU')` where there is none."""
    for item in items:
        marker = item.get_closest_marker("run_only_on")
        if marker and marker.args == ("GPU",) and not torch.cuda.is_available():
            item.add_marker(pytest.mark.skip(reason="needs a CUDA device"))


@pytest.fixture(autouse=True)
def seeds():
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)
