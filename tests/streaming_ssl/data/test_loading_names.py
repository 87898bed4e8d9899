# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

import json
import tarfile
from pathlib import Path

import numpy as np
import precision_runs as runs
import pytest
import soundfile
import torch
from omegaconf import open_dict

from nemo.collections.asr.data.loading import rider_of, wrapped_loader
from nemo.collections.asr.models import EncDecDenoiseMaskedTokenPredModel, EncDecMaskedTokenPredModel

# in a fork, too, where `tests` is NeMo's


RATE = 16000
LHOTSE = {
    "use_lhotse": True,
    "use_bucketing": False,
    "shuffle": False,
    "min_duration": None,
    "max_duration": None,
    "num_workers": 0,
    "batch_augmentor": None,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """0.wav to 3.wav of 1.2 s, nan.wav of NaN samples, tar.tar of them, and manifests."""
    folder, rng = tmp_path_factory.mktemp("audio"), np.random.default_rng(0)
    samples = rng.normal(scale=0.1, size=(4, int(1.2 * RATE)))
    for i in range(4):
        soundfile.write(folder / f"{i}.wav", samples[i], RATE)
    samples[0] = np.nan
    soundfile.write(folder / "nan.wav", samples[0], RATE, subtype="FLOAT")
    with tarfile.open(folder / "tar.tar", "w") as tar:
        for i in range(4):
            tar.add(folder / f"{i}.wav", f"{i}.wav")
    for name, files in (("good", "0123"), ("tar", "0123"), ("one", "01"), ("two", "23"), ("bad", ["0", "nan", "1"])):
        lines = [json.dumps({"audio_filepath": f"{file}.wav", "duration": 1.2, "text": ""}) for file in files]
        (folder / f"{name}.json").write_text("\n".join(lines))
    line = {"audio_filepath": "3.wav", "duration": 1.0, "offset": 0.2, "text": ""}
    (folder / "offset.json").write_text(json.dumps(line))
    return folder


@pytest.fixture
def build(nest_config, folder):
    """A tiny model with training data: build(class, manifest, **train_ds)."""

    def built(model_class, manifest, action="skip", on_bad_audio=None, trainer=None, **train_ds):
        cfg = nest_config(*runs.OPTIONS)
        with open_dict(cfg):
            cfg.on_bad_audio, cfg.on_nonfinite = on_bad_audio, action
            data = {"batch_size": 2, "shuffle": False, "labels": ["a"], "noise_manifest": None}
            cfg.train_ds = {"manifest_filepath": str(folder / manifest), **data, "check_audio_files": 0, **train_ds}
        torch.manual_seed(0)
        return model_class(cfg, trainer=trainer)

    return built


def names_of(loader):
    """File names of the utterances of each batch."""
    return [[Path(name).name for name in rider_of(batch).utterances] for batch in loader]


class TestBatchesNameTheirUtterances:
    @pytest.mark.parametrize("model_class", runs.MODELS)
    @pytest.mark.parametrize("workers", [0, 2])
    def test_of_a_manifest(self, build, model_class, workers):
        loader = build(model_class, "good.json", num_workers=workers)._train_dl
        assert names_of(loader) == [["0.wav", "1.wav"], ["2.wav", "3.wav"]]

    @pytest.mark.parametrize("model_class", runs.MODELS)
    def test_with_the_offset(self, build, model_class):
        (names,) = names_of(build(model_class, "offset.json")._train_dl)
        assert names == ["3.wav from 0.2 s"]

    @pytest.mark.parametrize("model_class", runs.MODELS)
    def test_without_those_that_could_not_be_used(self, build, model_class):
        loader = build(model_class, "bad.json", on_bad_audio="skip")._train_dl
        assert names_of(loader) == [["0.wav"], ["1.wav"]]

    @pytest.mark.parametrize("model_class", runs.MODELS)
    def test_of_tarred_audio(self, build, folder, model_class):
        options = dict(is_tarred=True, tarred_audio_filepaths=str(folder / "tar.tar"), shuffle_n=0)
        assert names_of(build(model_class, "tar.json", **options)._train_dl) == [
            ["0.wav", "1.wav"],
            ["2.wav", "3.wav"],
        ]

    def test_of_several_manifests_in_one_data_set(self, build, folder):
        both = f"{folder / 'one.json'},{folder / 'two.json'}"
        loader = build(EncDecDenoiseMaskedTokenPredModel, "one.json", manifest_filepath=both)._train_dl
        assert names_of(loader) == [["0.wav", "1.wav"], ["2.wav", "3.wav"]]

    def test_a_concatenation_says_which_it_may_be(self, build, folder):
        both = [str(folder / "one.json"), str(folder / "two.json")]
        options = dict(manifest_filepath=both, is_concat=True, concat_sampling_technique="temperature", num_workers=0)
        loader = build(EncDecDenoiseMaskedTokenPredModel, "one.json", **options)._train_dl
        found = {name for batch in loader for name in rider_of(batch).utterances}
        files = [[str(folder / f"{i}.wav") for i in pair] for pair in ((0, 2), (1, 3))]
        assert found == {" or ".join(pair) for pair in files}

    @pytest.mark.usefixtures("lhotse_samplers")
    @pytest.mark.parametrize("model_class", runs.MODELS)
    def test_of_lhotse_cuts(self, build, model_class):
        loader = build(model_class, "good.json", **LHOTSE)._train_dl
        assert sorted(sum(names_of(loader), [])) == ["0.wav", "1.wav", "2.wav", "3.wav"]

    @pytest.mark.parametrize("model_class", runs.MODELS)
    def test_nothing_else_of_a_batch_changes(self, build, model_class):
        named, plain = (build(model_class, "good.json", action)._train_dl for action in ("raise", None))
        for ours, theirs in zip(named, plain):
            if model_class is EncDecMaskedTokenPredModel:
                assert len(ours) == len(theirs) + 1
                torch.testing.assert_close(list(ours[:-1]), list(theirs))
            else:
                assert type(ours) is type(theirs) and theirs.sample_id is None
                torch.testing.assert_close(ours.audio, theirs.audio)
            assert rider_of(theirs).utterances is None

    def test_numbers_that_were_asked_for_stay(self, build):
        loader = build(EncDecMaskedTokenPredModel, "good.json", return_sample_id=True)._train_dl
        numbers = [batch[4].tolist() for batch in loader]
        assert numbers == [[0, 1], [2, 3]] and names_of(loader) == [["0.wav", "1.wav"], ["2.wav", "3.wav"]]

    def test_what_has_no_names_is_left_as_it_is(self):
        loader = torch.utils.data.DataLoader([(torch.zeros(3), torch.tensor(3))])
        collate = loader.collate_fn
        assert wrapped_loader(loader, {}, named=True).collate_fn is collate
        assert wrapped_loader(None, {}, named=True) is None
        assert [rider_of(batch).utterances for batch in loader] == [None]


class TestTraining:
    @pytest.mark.parametrize("model_class", runs.MODELS)
    def test_the_file_is_named(self, build, model_class):
        trainer = runs.make_trainer()
        model = build(model_class, "bad.json", "raise", trainer=trainer)
        with pytest.raises(FloatingPointError, match=r"rank 0: batch 0 \(.*0\.wav, .*nan\.wav\)"):
            trainer.fit(model)

    @pytest.mark.parametrize("model_class", runs.MODELS)
    def test_with_names_lightning_says_no_more_than_without(self, build, model_class, recwarn):
        trainer = runs.make_trainer()
        trainer.fit(build(model_class, "good.json", trainer=trainer))
        assert not [w for w in recwarn if "batch_size" in str(w.message)]
