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

"""Classes and the order of their bases are read from sources: Python says the same."""

import importlib.util
import json
from pathlib import Path

from nemo_streaming_ssl.class_sources import Sources

REPOSITORY = Path(__file__).resolve().parents[3]
SCRIPT = Path(__file__).with_name('orders_of_classes.py')


class TestTheOrderOfClasses:
    def test_is_pythons(self, children, tmp_path):
        children.run(SCRIPT, tmp_path / 'orders.json')
        orders = json.loads((tmp_path / 'orders.json').read_text())
        sources = Sources(Path(importlib.util.find_spec('nemo').origin).parents[1], REPOSITORY)
        assert len(orders) > 10
        for name, order in orders.items():
            module, _, cls = name.rpartition('.')
            found = sources.order_of(sources.find(module, cls))
            assert [f'{cls.node.name} {cls.module.is_ours}' for cls in found] == order, name
