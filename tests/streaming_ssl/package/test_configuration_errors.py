# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Each value that docs/configuration.md says is refused is refused, with the exception that it names."""


import pytest
from configuration_page import CODE, TINY, cells_of, read_refused
from omegaconf import OmegaConf

from nemo.collections.asr.models import EncDecDenoiseMaskedTokenPredModel
from nemo.collections.asr.parts.finetuning import FineTuning
from nemo.utils import fast_paths
from nemo_streaming_ssl import finder

REFUSED = list(read_refused())
WITHOUT_DATA = ["model.train_ds.manifest_filepath=null", "model.validation_ds.manifest_filepath=null"]


@pytest.fixture(scope="module")
def pretraining(compose_config):
    """The config of a tiny model."""
    return compose_config("nest_hierarchical_streaming", *TINY)


@pytest.fixture(scope="module")
def finetuning(compose_config, pretraining, tmp_path_factory):
    """Configs by kind, for the file of a tiny model, in which nothing is refused."""
    path = str(tmp_path_factory.mktemp("configuration") / "pretrained.nemo")
    EncDecDenoiseMaskedTokenPredModel(pretraining.model).save_to(path)
    given = [f"pretrained.path={path}", "model.labels=[a]", *WITHOUT_DATA]
    configs = {kind: compose_config(f"finetune_streaming_{kind}", *given) for kind in ("ctc", "rnnt")}
    for config in configs.values():
        FineTuning(config.copy())
    return configs


class TestErrors:
    @pytest.mark.parametrize("case", [case for case in REFUSED if not case.in_fine_tuning], ids=str)
    def test_pretraining(self, pretraining, case):
        config = pretraining.copy()
        OmegaConf.update(config, case.key, case.value, force_add=True)
        with pytest.raises(Exception) as caught:
            EncDecDenoiseMaskedTokenPredModel(config.model).configure_callbacks()
        assert caught.type.__name__ == case.error

    @pytest.mark.parametrize("case", [case for case in REFUSED if case.in_fine_tuning], ids=str)
    def test_fine_tuning(self, finetuning, case):
        config = finetuning["rnnt" if case.key.startswith("model.model_defaults") else "ctc"].copy()
        OmegaConf.update(config, case.key, case.value)
        with pytest.raises(Exception) as caught:
            FineTuning(config)
        assert caught.type.__name__ == case.error

    def test_there_are_values_to_look_at(self):
        assert len(REFUSED) > 70


class TestEnvironment:
    def test_the_switch_of_everything(self, monkeypatch):
        values = CODE.findall(cells_of("variable")[finder.SWITCH][1])
        for value, is_off in [*((value, True) for value in values), ("OFF", True), ("on", False), ("", False)]:
            monkeypatch.setenv(finder.SWITCH, value)
            assert finder.switched_off() is is_off

    def test_the_switch_of_faster_paths(self, monkeypatch):
        values = CODE.findall(cells_of("variable")[fast_paths.SWITCH][1])
        assert values == list(fast_paths.FAST_PATHS)
        monkeypatch.setenv(fast_paths.SWITCH, ",".join(values))
        assert fast_paths._switched_off() == set(values)
        monkeypatch.setenv(fast_paths.SWITCH, "everything")
        with pytest.raises(ValueError, match="everything"):
            fast_paths._switched_off()
