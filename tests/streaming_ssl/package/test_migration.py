# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""docs/migration.md tells the truth: its values make a streaming config of NeMo's."""

import re
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from nemo.collections.asr.models import EncDecMaskedTokenPredModel
from nemo.collections.asr.parts.lookahead import report_lookahead
from nemo.collections.asr.parts.utils.predecessor_options import predecessor_options
from nemo.collections.asr.parts.utils.ssl_config import check_own_keys

PAGE = Path(__file__).resolve().parents[3] / "docs/migration.md"
ROW = re.compile(r"^\| `([\w.]+)` \| (none|`.*?`) \| `(.*?)` \| (.*) \|$", re.MULTILINE)


@pytest.fixture
def rows():
    """The rows of the table for NeMo's config: key below `model`, NeMo's value or None, ours."""
    found = [
        (key.removeprefix("model."), None if old == "none" else OmegaConf.create(f"v: {old[1:-1]}").v, new)
        for key, old, new, _ in ROW.findall(PAGE.read_text(encoding="utf-8").partition("## From the predecessor")[0])
    ]
    assert len(found) > 5
    return found


class TestFromNemosConfig:
    def test_the_values_on_the_left_are_nemos(self, rows, nest_config):
        config = nest_config("~model.streaming", "~model.allow_lookahead", like_nemo=True)
        assert {key: OmegaConf.select(config, key) for key, _, _ in rows} == {key: old for key, old, _ in rows}

    def test_the_values_on_the_right_make_it_a_streaming_model(self, rows, nest_config):
        config = nest_config(like_nemo=True)
        assert report_lookahead(config).violations
        for key, _, new in rows:
            OmegaConf.update(config, key, OmegaConf.create(f"v: {new}").v, force_add=True)
        check_own_keys(config)
        assert not report_lookahead(config).violations and not predecessor_options(config)
        EncDecMaskedTokenPredModel(config)

    def test_each_row_on_the_right_counts(self, rows, nest_config):
        def violations(without):
            config = nest_config(like_nemo=True)
            for key, _, new in rows:
                if key != without:
                    OmegaConf.update(config, key, OmegaConf.create(f"v: {new}").v, force_add=True)
            return report_lookahead(config).violations

        looks_ahead = {key for key, old, _ in rows if old is not None}
        assert {key for key in looks_ahead if not violations(key)} == set()
