# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Bad audio of fine-tuning runs: single items are left out and counted, whole kinds of them end the run."""

import json

import finetuning_runs
import numpy as np
import pytest
import soundfile
from omegaconf import open_dict

from nemo.collections.asr.data.loading import BadAudioError
from nemo.collections.asr.parts.finetuning import FineTuning

RATE = 16000


@pytest.fixture(scope="module")
def pretrained(nest_config, tmp_path_factory):
    file = tmp_path_factory.mktemp("pretrained") / "pretrained.nemo"
    finetuning_runs.pretrain(nest_config, "streaming").save_to(str(file))
    return file


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """good.wav, nan.wav, stereo.wav, and speech.sph, which is no audio; 1.2 s."""
    folder, rng = tmp_path_factory.mktemp("data"), np.random.default_rng(0)
    samples = 0.1 * rng.standard_normal((int(1.2 * RATE), 2))
    soundfile.write(folder / "good.wav", samples[:, 0], RATE)
    soundfile.write(folder / "stereo.wav", samples, RATE)
    samples[100] = np.nan
    soundfile.write(folder / "nan.wav", samples[:, 0], RATE, subtype="FLOAT")
    (folder / "speech.sph").write_text("no audio")
    return folder


@pytest.fixture
def configured(compose_config, pretrained, folder):
    """The config of a run on files: configured(train=names, validation=names, *overrides)."""

    def write(name, files):
        lines = [json.dumps({"audio_filepath": file, "duration": 1.2, "text": "one two"}) for file in files]
        (folder / f"{name}.json").write_text("\n".join(lines))
        return str(folder / f"{name}.json")

    def get(*overrides, train=("good.wav",) * 4, validation=("good.wav",) * 2, kind="ctc"):
        manifests = {"train": write("train", train), "validation": write("validation", validation)}
        return finetuning_runs.finetuning_config(compose_config, pretrained, manifests, *overrides, kind=kind)

    return get


def fit(cfg, tmp_path, **options):
    trainer = finetuning_runs.trainer_for(cfg, max_epochs=1, logger=False, enable_checkpointing=False, **options)
    trainer.fit(finetuning_runs.built(cfg, tmp_path, trainer))
    return trainer


class TestKindsEndTheRun:
    @pytest.mark.parametrize("section", ["train_ds", "validation_ds"])
    def test_an_extension_without_a_reader(self, configured, section):
        files = {"train" if section == "train_ds" else "validation": ["good.wav"] * 60 + ["speech.sph"] * 3}
        with pytest.raises(ValueError, match="line 61: none of these can be read: 3 .sph"):
            FineTuning(configured(**files))

    def test_a_selector_that_cannot_be(self, configured):
        with pytest.raises(ValueError, match="channel_selector='channel': must be null, average, the number"):
            FineTuning(configured("+model.train_ds.channel_selector=channel", train=["stereo.wav"] * 8))
        with pytest.raises(ValueError, match="wrong number of channels(?s:.*)8 of the 8 files"):
            FineTuning(configured(train=["stereo.wav"] * 8))

    @pytest.mark.parametrize("kind, vocabulary", [("ctc", "char"), ("ctc", "bpe"), ("rnnt", "char")])
    def test_an_epoch_without_a_good_utterance(self, configured, tmp_path, kind, vocabulary):
        options = [f"model.tokenizer.type={vocabulary}", "model.tokenizer.vocab_size=12"]
        with pytest.raises(BadAudioError, match="no utterance from this one on(?s:.*)train.json, line .*NaN"):
            fit(configured(*options, train=["nan.wav"] * 8, kind=kind), tmp_path)

    def test_more_than_single_ones_in_an_epoch(self, configured, tmp_path):
        with pytest.raises(BadAudioError, match="train: 2 of the 8 utterances that this epoch has read are bad"):
            fit(configured(train=["good.wav"] * 6 + ["nan.wav"] * 2), tmp_path)

    def test_more_than_single_ones_in_a_validation(self, configured, tmp_path):
        with pytest.raises(BadAudioError, match="val: 2 of the 4 utterances"):
            fit(configured(validation=["good.wav"] * 2 + ["nan.wav"] * 2), tmp_path)


class TestSingleOnes:
    @pytest.mark.representative("ctc-1", "rnnt-2")
    @pytest.mark.parametrize("batch_size", [1, 2])
    @pytest.mark.parametrize("kind", ["ctc", "rnnt"])
    def test_are_left_out_and_counted(self, configured, tmp_path, kind, batch_size):
        files = ["nan.wav"] + ["good.wav"] * 3
        options = [f"model.train_ds.batch_size={batch_size}", "model.validation_ds.batch_size=1"]
        trainer = fit(configured(*options, train=files, validation=files, kind=kind), tmp_path, max_steps=-1)
        assert trainer.global_step == 4 // batch_size
        assert trainer.callback_metrics["train_bad_utterances"] == 1
        assert trainer.callback_metrics["val_bad_utterances"] == 1
        assert all(parameter.isfinite().all() for parameter in trainer.model.parameters())

    def test_a_batch_is_that_of_the_others(self, configured, tmp_path):
        batches = []
        for files in (["good.wav", "nan.wav"], ["good.wav"]):
            cfg = configured("model.train_ds.shuffle=false", train=files)
            (batch,) = finetuning_runs.built(cfg, tmp_path)._train_dl
            batches.append(batch[:4])
        assert all((ours == expected).all() for ours, expected in zip(*batches))

    def test_or_named(self, configured, tmp_path):
        cfg = configured("model.on_bad_audio=raise", train=["good.wav"] * 3 + ["nan.wav"])
        with pytest.raises(BadAudioError, match="train.json, line 4: .*nan.wav: it has NaN"):
            fit(cfg, tmp_path)
        assert fit(configured("model.on_bad_audio=raise"), tmp_path, max_steps=1).global_step == 1

    def test_or_left_to_nemo(self, configured, tmp_path):
        cfg = configured("model.on_bad_audio=null")
        batch = next(iter(finetuning_runs.built(cfg, tmp_path)._train_dl))
        assert isinstance(batch, tuple) and len(batch) == 4
        with open_dict(cfg):
            cfg.model.on_bad_audio = "ignore"
        with pytest.raises(ValueError, match="model.on_bad_audio='ignore': must be one of raise, skip, null"):
            FineTuning(cfg)

    def test_several_validation_sets(self, configured, tmp_path, folder):
        cfg = configured(validation=["good.wav", "good.wav", "nan.wav"])
        cfg.model.validation_ds.manifest_filepath = [cfg.model.validation_ds.manifest_filepath] * 2
        model = finetuning_runs.built(cfg, tmp_path)
        riders = [batch[-1] for loader in model._validation_dl for batch in loader]
        assert [rider.utterances_read for rider in riders] == [3, 3]
        assert all("validation.json, line 3" in rider.bad_utterances[0] for rider in riders)
