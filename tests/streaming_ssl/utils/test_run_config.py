# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""A run's config is in its folder, as it was given, and not among the lines of the log."""

import pytest
from omegaconf import OmegaConf

from nemo.collections.asr.parts.utils import run_config
from nemo.collections.asr.parts.utils.run_config import save_config


@pytest.fixture
def config():
    return OmegaConf.create({"model": {"width": 8, "twice": "${model.width}", "text": "é", "none": None}})


@pytest.fixture
def said(monkeypatch):
    """What is logged."""
    lines = []
    monkeypatch.setattr(run_config.logging, "info", lines.append)
    return lines


class TestSaveConfig:
    def test_the_file_is_the_config_with_its_interpolations(self, config, tmp_path, said):
        file = save_config(config, str(tmp_path))
        assert file == tmp_path / "config.yaml" and OmegaConf.load(file) == config
        assert "${model.width}" in file.read_text(encoding="utf-8")
        assert said == [f"The whole config is in {file}"]

    def test_a_run_that_goes_on_replaces_it(self, config, tmp_path):
        save_config(config, tmp_path)
        config.model.width = 9
        assert OmegaConf.load(save_config(config, tmp_path)) == config

    def test_without_a_folder_it_is_said(self, config, said):
        assert save_config(config, None) is None
        assert said == [f"Config:\n{OmegaConf.to_yaml(config)}"]

    def test_one_rank_writes(self, config, tmp_path, said, monkeypatch):
        monkeypatch.setattr(run_config, "is_global_rank_zero", lambda: False)
        save_config(config, tmp_path)
        assert not list(tmp_path.iterdir()) and not said
