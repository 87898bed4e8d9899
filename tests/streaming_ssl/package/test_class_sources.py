# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Classes and the order of their bases are read from sources: Python says the same."""

import importlib.util
import json
from pathlib import Path

from nemo_streaming_ssl.class_sources import Sources

REPOSITORY = Path(__file__).resolve().parents[3]
SCRIPT = Path(__file__).with_name("orders_of_classes.py")


class TestTheOrderOfClasses:
    def test_is_pythons(self, children, tmp_path):
        children.run(SCRIPT, tmp_path / "orders.json")
        orders = json.loads((tmp_path / "orders.json").read_text())
        sources = Sources(Path(importlib.util.find_spec("nemo").origin).parents[1], REPOSITORY)
        assert len(orders) > 10
        for name, order in orders.items():
            module, _, cls = name.rpartition(".")
            found = sources.order_of(sources.find(module, cls))
            assert [f"{cls.node.name} {cls.module.is_ours}" for cls in found] == order, name
