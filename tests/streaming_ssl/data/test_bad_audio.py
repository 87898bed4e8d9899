# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0


import json
import math
import warnings

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given
from hypothesis import strategies as st
from lightning.pytorch import Callback, Trainer
from omegaconf import OmegaConf, open_dict

from nemo.collections.asr.data.loading import BadAudioError, Rider, bad_audio_log, rider_of, wrapped_loader
from nemo.collections.asr.models import EncDecDenoiseMaskedTokenPredModel, EncDecMaskedTokenPredModel
from nemo.collections.asr.parts.manifests import problems
from nemo.collections.asr.parts.preprocessing.segment import AudioSegment

MODELS = (EncDecMaskedTokenPredModel, EncDecDenoiseMaskedTokenPredModel)
RATE = 16000
# entries that cannot be used, and why
BAD = {
    "offset": ({"audio_filepath": "0.wav", "offset": 5.0}, "`offset` is beyond the end of {0}.wav (2.00 s), offset=5"),
    "gone": ({"audio_filepath": "gone.wav"}, "cannot read gone.wav (there is no such file)"),
    "text": ({"audio_filepath": "text.wav"}, "cannot read {text}.wav (Error opening "),
    "empty": ({"audio_filepath": "empty.wav"}, "cannot read {empty}.wav (it has no samples)"),
    "stereo": ({"audio_filepath": "stereo.wav"}, "wrong number of channels in {stereo}.wav (2)"),
    "nan": ({"audio_filepath": "nan.wav"}, "{nan}.wav: it has NaN or infinite samples"),
    "inf": ({"audio_filepath": "inf.wav"}, "{inf}.wav: it has NaN or infinite samples"),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """0.wav to 3.wav, 2 s of noise each, and the files of `BAD`."""
    folder, rng = tmp_path_factory.mktemp("audio"), np.random.default_rng(0)
    samples = rng.normal(scale=0.1, size=(4, 2 * RATE))
    for i in range(4):
        soundfile.write(folder / f"{i}.wav", samples[i], RATE)
    soundfile.write(folder / "stereo.wav", samples[:2].T, RATE)
    soundfile.write(folder / "empty.wav", samples[0, :0], RATE)
    (folder / "text.wav").write_text("not audio")
    for name, value in (("nan", math.nan), ("inf", math.inf)):
        samples[0, 500] = value
        soundfile.write(folder / f"{name}.wav", samples[0], RATE, subtype="FLOAT")
    return folder


def as_entry(name):
    if isinstance(name, dict):
        return name
    return BAD[name][0] if name in BAD else {"audio_filepath": f"{name}.wav"}


@pytest.fixture
def write(folder):
    """Writes a manifest: write(name, *entries), where a number is that file and a name one of `BAD`."""

    def written(name, *entries):
        lines = [json.dumps({"duration": 2.0, "text": "", **as_entry(entry)}) for entry in entries]
        (folder / name).write_text("\n\n".join(lines))
        return str(folder / name)

    return written


@pytest.fixture
def said(monkeypatch):
    """What is listed in the log."""
    found = []
    monkeypatch.setattr(bad_audio_log.logging, "warning", found.append)
    return found


@pytest.fixture
def build(nest_config):
    """Builds a tiny model: build(class, manifest, on_bad_audio, noise=..., **train_ds)."""

    def built(model_class, manifest, on_bad_audio, *overrides, noise=None, trainer=None, **train_ds):
        cfg = nest_config("model.masking.mask_prob=0.1", *overrides)
        with open_dict(cfg):
            cfg.on_bad_audio = on_bad_audio
            cfg.train_ds = {
                "manifest_filepath": manifest,
                "noise_manifest": noise,
                "batch_size": 2,
                "shuffle": False,
                "labels": ["a"],
                "check_audio_files": 0,
                **train_ds,
            }
        return model_class(cfg, trainer=trainer)

    return built


def tiny_trainer(**options):
    quiet = dict(logger=False, enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False)
    return Trainer(accelerator="cpu", devices=1, max_epochs=1, **quiet, **options)


def why(folder, name):
    text = BAD[name][1]
    for file in ("0", "text", "empty", "stereo", "nan", "inf"):
        text = text.replace(f"{{{file}}}", str(folder / file))
    return text


def tensors(batch):
    values = vars(batch).values() if hasattr(batch, "audio") else batch
    return [value for value in values if torch.is_tensor(value)]


class Ended(Callback):
    """Whether a run has come to its end, where NeMo saves its model."""

    well = False

    def on_train_end(self, *_):
        self.well = True


def counted(bad, read):
    """The rider of a batch of so many utterances."""
    return Rider(None, bad, is_empty=len(bad) == read, utterances_read=read)


def finite(model):
    return all(torch.isfinite(p).all() for p in model.parameters())


class TestOnBadAudio:
    @pytest.mark.parametrize("model_class, workers", [(MODELS[0], 0), (MODELS[1], 2)])
    def test_an_epoch_without_the_bad_ones_which_are_counted_and_listed(
        self, build, write, folder, said, monkeypatch, model_class, workers
    ):
        monkeypatch.setattr(problems, "MOST_BAD", 0.9)
        # batches: one is bad, all are bad, all are bad, one is bad, all are good
        names = [0, "offset", "gone", "text", "empty", "stereo", "nan", 1, 2, 3]
        trainer = tiny_trainer()
        manifest = write("some.json", *names)
        noise = None if workers == 0 else write("noise.json", 3, "nan", "gone", "stereo", "empty")
        model = build(model_class, manifest, "skip", noise=noise, trainer=trainer, num_workers=workers)
        trainer.fit(model)
        assert trainer.global_step == 5 and finite(model)
        assert trainer.logged_metrics["train_bad_utterances"] == 6
        *_, listed = [text for text in said if text.startswith("train: 6 utterances left out")]
        for i, name in enumerate(names):
            line = f"manifest_filepath={manifest}, line {2 * i + 1}: "
            assert f"{line}{why(folder, name)}" in listed if name in BAD else line not in listed
        if noise is not None:
            count = int(trainer.logged_metrics["train_bad_noise"])
            *_, listed = [text for text in said if text.startswith(f"train: {count} draws of noise in vain")]
            assert f"noise_manifest={noise}, line 3: {why(folder, 'nan')}" in listed and "line 1:" not in listed

    @pytest.mark.representative("utterance-0", "noise-2")
    @pytest.mark.parametrize("workers", [0, 2])
    @pytest.mark.parametrize("kind", ["utterance", "noise"])
    def test_an_error_that_names_it(self, build, write, folder, kind, workers):
        key = "manifest_filepath" if kind == "utterance" else "noise_manifest"
        bad, good = write("bad.json", 0, "nan", 1, 2), write("good.json", 0, 1, 2, 3)
        manifest, noise = (bad, good) if kind == "utterance" else (good, write("nan.json", "nan", "nan"))
        model = build(MODELS[1], manifest, "raise", noise=noise, num_workers=workers)
        with pytest.raises(BadAudioError) as error:
            list(model._train_dl)
        assert f"{key}={bad if kind == 'utterance' else noise}, line " in str(error.value)
        assert why(folder, "nan") in str(error.value)

    @pytest.mark.representative(
        "EncDecMaskedTokenPredModel-offset",
        "EncDecMaskedTokenPredModel-gone",
        "EncDecMaskedTokenPredModel-text",
        "EncDecDenoiseMaskedTokenPredModel-empty",
        "EncDecDenoiseMaskedTokenPredModel-stereo",
        "EncDecDenoiseMaskedTokenPredModel-nan",
        "EncDecMaskedTokenPredModel-inf",
    )
    @pytest.mark.parametrize("name", BAD)
    @pytest.mark.parametrize("model_class", MODELS)
    def test_each_kind_and_what_is_left_of_its_batch(self, build, write, folder, name, model_class):
        manifests = [write("first.json", 0), write("second.json", 1, name)]
        (batch, second) = build(model_class, manifests, "skip")._train_dl
        good, alone = build(model_class, write("alone.json", 0, 1), "skip")._train_dl, rider_of(second)
        for ours, expected in zip(tensors(batch), tensors(next(iter(good)))):
            assert torch.equal(ours, expected)
        (text,) = alone.bad_utterances
        assert text.startswith(f"manifest_filepath={manifests[1]}, line 3: {why(folder, name)}")
        assert alone.is_empty and not rider_of(batch).bad_utterances
        with pytest.raises(BadAudioError, match="second.json, line 3: "):
            list(build(model_class, manifests, "raise")._train_dl)

    @pytest.mark.parametrize("position", ["pre_conv", "post_conv"])
    @pytest.mark.parametrize("model_class", MODELS)
    def test_a_batch_without_any_good_one_changes_nothing(self, build, write, compose_config, model_class, position):
        augmentor = compose_config("nest_fast-conformer_streaming").model.train_ds.batch_augmentor
        augmentor = OmegaConf.to_container(augmentor) if model_class is MODELS[1] else None
        data = {} if augmentor is None else {"batch_augmentor": {**augmentor, "prob": 1.0}}
        manifest = write("all.json", "gone", "nan")
        model = build(model_class, manifest, "skip", f"model.mask_position={position}", **data)
        model.train()
        (batch,) = model._train_dl
        model.setup_optimization(OmegaConf.create({"name": "sgd", "lr": 0.1}))
        model.trainer = tiny_trainer()
        model.log_dict = lambda *args, **kwargs: None  # Lightning's needs a running loop
        loss = model.training_step(batch)["loss"]
        loss.backward()
        assert loss == 0 and not model.train_metrics.update_called
        trained = [p for p in model.parameters() if p.grad is not None]
        assert trained and all((p.grad == 0).all() for p in trained)

    @pytest.mark.parametrize("on_bad_audio", ["raise", "skip"])
    @pytest.mark.parametrize("model_class", MODELS)
    def test_good_data_is_what_it_was(self, build, write, model_class, on_bad_audio):
        manifest, noise = write("good.json", 0, 1, 2, 3), write("good_noise.json", 2, 3)
        batches = []
        for option in (None, on_bad_audio):
            torch.manual_seed(0)
            np.random.seed(0)
            loader = build(model_class, manifest, option, noise=noise, shuffle=True)._train_dl
            batches.append([tensors(batch) for batch in loader])
        for expected, ours in zip(*batches, strict=True):
            assert len(ours) == len(expected) and all(torch.equal(a, b) for a, b in zip(ours, expected))

    def test_without_the_option_it_is_nemos(self, build, write):
        model = build(MODELS[1], write("nan.json", 0, "nan"), None, noise=write("gone.json", "gone"))
        (batch,) = model._train_dl
        assert batch.audio.isnan().any() and (batch.noise == 0).all()
        with pytest.raises(Exception, match="gone.wav"):
            list(build(MODELS[0], write("gone.json", "gone"), None)._train_dl)

    def test_noise_is_read_once_whatever_its_samples_add_up_to(self, build, write, folder, monkeypatch):
        """NeMo reads a piece whose samples add up to less than zero a hundred times."""
        below = np.full(3 * RATE, -0.25) + np.arange(3 * RATE) / RATE * 1e-3
        soundfile.write(folder / "below.wav", np.concatenate([np.zeros(RATE), below]), RATE, subtype="FLOAT")
        entry = {"audio_filepath": "below.wav", "offset": 1.0, "duration": 3.0}
        model, read = build(MODELS[1], write("good.json", 0, 1), "skip", noise=write("below.json", entry)), []
        load = AudioSegment.from_file.__func__

        def counted(segment, *args, **kwargs):
            read.append(str(args or kwargs["audio_file"]))
            return load(segment, *args, **kwargs)

        monkeypatch.setattr(AudioSegment, "from_file", classmethod(counted))
        (batch,) = model._train_dl
        assert len([path for path in read if "below" in path]) == 2
        assert (batch.noise < -0.2).all()  # all of it from within the entry

    def test_noise_of_which_none_can_be_used_is_silence(self, build, write):
        model = build(MODELS[1], write("good.json", 0, 1), "skip", noise=write("bad_noise.json", "gone", "nan"))
        (batch,) = model._train_dl
        assert (batch.noise == 0).all() and len(rider_of(batch).bad_noise) == 40 and not rider_of(batch).bad_utterances

    def test_a_file_that_vanishes_after_the_check(self, build, write, folder):
        soundfile.write(folder / "short_lived.wav", np.full(RATE, 0.1), RATE)
        path = write("vanish.json", 0, {"audio_filepath": "short_lived.wav", "duration": 1.0})
        model = build(MODELS[0], path, "skip", check_audio_files=-1)
        (folder / "short_lived.wav").unlink()
        (batch,) = model._train_dl
        assert batch[0].size(0) == 1
        assert "vanish.json, line 3: cannot read " in rider_of(batch).bad_utterances[0]

    def test_lost_storage_ends_the_training_within_the_epoch(self, build, write, monkeypatch):
        monkeypatch.setattr(bad_audio_log, "LOOK_EVERY", 3)
        monkeypatch.setattr(problems, "MOST_BAD", 0.9)
        trainer = tiny_trainer()
        model = build(MODELS[0], write("lost.json", *[0] * 10, *["gone"] * 12), "skip", trainer=trainer)
        with pytest.raises(BadAudioError, match="for 3 batches no utterances could be used(?s:.*)lost.json, line 2"):
            trainer.fit(model)
        assert trainer.global_step == 8

    def test_a_good_batch_in_between_says_that_the_storage_is_there(self, monkeypatch):
        monkeypatch.setattr(bad_audio_log, "LOOK_EVERY", 3)
        log = bad_audio_log.BadAudioLog("train")
        good, bad = (counted([], 1),), (counted(["gone.wav"], 1),)
        for batch in (bad, bad, good, good, bad, bad):
            log.add(batch)
            log.look(1000)
        with pytest.raises(BadAudioError, match="for 3 batches no utterances could be used"):
            for _ in range(3):
                log.add(bad)
                log.look(1000)

    @given(st.integers(0, 300), st.integers(1, 300), st.integers(1, 300))
    def test_single_ones_are_left_out_and_nothing_else(self, bad, items, read):
        bad, items = min(bad, read), min(items, max(1, bad))
        allowed = bad == 0 or (bad < read and (items == 1 or bad / read <= 0.05))
        assert problems.too_many(bad, items, read) == (not allowed)

    @pytest.mark.parametrize(
        "workers, names, message",
        [
            (0, ["nan"] * 8, "train: none of the 8 utterances that this epoch has read can be used."),
            (0, [*range(4), "nan", "gone", 1, 2], "train: 2 of the 8 utterances that this epoch has read are bad."),
            (2, [0] * 36 + ["nan", "gone", "inf"], "train: 3 of the 39 utterances that this epoch has read are bad."),
        ],
    )
    def test_more_than_single_ones_end_the_run_before_it_has_a_model(
        self, build, write, folder, workers, names, message
    ):
        model_class, manifest = MODELS[workers // 2], write("more.json", *names)
        model = build(model_class, manifest, "skip", trainer=tiny_trainer(), num_workers=workers)
        model.trainer.callbacks.append(ended := Ended())
        with pytest.raises(BadAudioError) as error:
            model.trainer.fit(model)
        (first,) = [i for i, name in enumerate(names) if name == "nan"][:1]
        assert message in str(error.value) and "check_audio_files=-1" in str(error.value)
        assert f"more.json, line {2 * first + 1}: {why(folder, 'nan')}" in str(error.value)
        assert not ended.well

    @pytest.mark.parametrize("names", [[0] * 7 + ["nan"], [0] * 38 + ["nan", "gone"]])
    def test_single_ones_do_not(self, build, write, names):
        model = build(MODELS[0], write("few.json", *names), "skip", trainer=tiny_trainer())
        model.trainer.fit(model)
        assert model.trainer.logged_metrics["train_bad_utterances"] == len(names) - names.count(0)

    def test_part_of_an_epoch_may_have_more_of_them_than_the_whole(self):
        def log(bad, read):
            log = bad_audio_log.BadAudioLog("train")
            log.add((counted([f"{i}.wav" for i in range(bad)], read),))
            return log

        assert log(2, 8).pop(batches=5)["train_bad_utterances"] == 2
        with pytest.raises(BadAudioError, match="3 of the 8 utterances"):
            log(3, 8).pop(batches=5)
        with pytest.raises(BadAudioError, match="2 of the 8 utterances"):
            log(2, 8).pop(batches=math.inf)
        assert log(8, 8).pop(is_trial=True)["train_bad_utterances"] == 8

    def test_an_epoch_that_will_have_more_is_ended_early(self, monkeypatch):
        monkeypatch.setattr(bad_audio_log, "LOOK_EVERY", 2)
        log, ended = bad_audio_log.BadAudioLog("train"), 0
        with pytest.raises(BadAudioError, match="12 of the 24 utterances that this epoch has read are bad"):
            for ended in range(100):
                log.add((counted([f"{ended}.wav"], 2),))
                log.look(batches=100)
        assert ended == 11

    def test_one_bad_noise_may_be_drawn_often_but_not_more_of_them(self, build, write):
        for bad in (["nan"], ["nan", "gone"]):
            noise = write("noise.json", *[0, 1] * 2, *bad)
            model = build(MODELS[1], write("good.json", *[0, 1] * 8), "skip", noise=noise, trainer=tiny_trainer())
            np.random.seed(0)
            if len(bad) == 1:
                model.trainer.fit(model)
                assert model.trainer.logged_metrics["train_bad_noise"] > 1
            else:
                with pytest.raises(BadAudioError, match="of the .* draws of noise in this epoch are bad"):
                    model.trainer.fit(model)

    def test_files_without_a_reader_are_no_single_ones(self, build, write, folder, monkeypatch):
        """NeMo before 3.0 has pydub read them, which calls ffprobe."""
        (folder / "speech.opus").write_bytes((folder / "0.wav").read_bytes())

        def without_ffprobe(segment, *args, **kwargs):
            raise FileNotFoundError(2, "No such file or directory", "ffprobe")

        opus = {"audio_filepath": "speech.opus"}
        models = [
            build(MODELS[0], write("some.json", *[0] * 40, opus), "skip"),
            build(MODELS[1], write("good.json", 0, 1), "skip", noise=write("noise.json", opus)),
        ]
        load = AudioSegment.from_file.__func__

        def from_file(segment, audio_file, *args, **kwargs):
            of_kind = without_ffprobe if audio_file.endswith(".opus") else load
            return of_kind(segment, audio_file, *args, **kwargs)

        monkeypatch.setattr(AudioSegment, "from_file", classmethod(from_file))
        for model, place in zip(models, ("some.json, line 81", "noise.json, line 1")):
            with pytest.raises(BadAudioError, match=f"{place}: .*speech.opus.* ffprobe is not installed. Convert"):
                list(model._train_dl)

    def test_validation_that_has_more_bad_ones(self, build, write):
        model = build(MODELS[0], write("good.json", 0, 1), "skip", trainer=tiny_trainer())
        data = {**model.cfg.train_ds, "manifest_filepath": write("val.json", 0, "nan", "gone")}
        model.setup_validation_data(OmegaConf.create(data))
        with pytest.raises(BadAudioError, match="val: 2 of the 3 utterances"):
            model.trainer.validate(model, verbose=False)

    def test_validation_too(self, build, write):
        model = build(MODELS[1], write("good.json", 0, 1), "skip", trainer=tiny_trainer(), batch_size=12)
        values = {}
        for name in ("empty", 1):
            manifest = write("val.json", *[0] * 60, "nan", *["gone", "inf"] * (name == "empty"))
            data = {**model.cfg.train_ds, "manifest_filepath": manifest}
            model.setup_validation_data(OmegaConf.create(data))
            torch.manual_seed(0)
            (values[name],) = model.trainer.validate(model, verbose=False)
        assert values["empty"]["val_bad_utterances"] == 3 and values[1]["val_bad_utterances"] == 1
        for key in ("val_loss", "val_accuracy"):
            assert math.isfinite(values[1][key]) and values["empty"][key] == values[1][key]

    def test_concatenated_data(self, build, write):
        together = f"{write('first.json', 0)},{write('second.json', 'nan')}"
        manifests = [[together, write("third.json", "gone", 1)]]
        options = dict(is_concat=True, concat_sampling_technique="round-robin", batch_size=4, concat_shuffle=False)
        model = build(MODELS[1], manifests, "skip", noise=write("good_noise.json", 2), **options)
        (batch,) = model._train_dl
        assert batch.audio.size(0) == 2
        texts = sorted(rider_of(batch).bad_utterances)
        assert "second.json, line 1" in texts[0] and "third.json, line 1" in texts[1]

    def test_concatenated_data_of_which_one_set_is_bad(self, build, write):
        manifests = [[write("first.json", *[0] * 12), write("second.json", *["nan"] * 8)]]
        options = dict(is_concat=True, concat_sampling_technique="round-robin", concat_shuffle=False)
        model = build(MODELS[1], manifests, "skip", trainer=tiny_trainer(), **options)
        with pytest.raises(BadAudioError, match="of the .* are bad(?s:.*)second.json, line 1"):
            model.trainer.fit(model)

    def test_a_loader_keeps_its_settings(self, build, write):
        dataset = build(MODELS[0], write("good.json", 0, 1, 2), None)._train_dl.dataset
        config = {"manifest_filepath": str(dataset)}
        given = dict(num_workers=1, persistent_workers=True, prefetch_factor=3, timeout=7, pin_memory=True)
        given["worker_init_fn"] = print
        for own in (dict(batch_size=2, drop_last=True), dict(batch_sampler=[[2], [0, 1]])):
            loader = torch.utils.data.DataLoader(dataset, collate_fn=dataset.collate_fn, **given, **own)
            checked = wrapped_loader(loader, config, "skip")
            assert {name: getattr(checked, name) for name in given} == given
            assert (checked.batch_size, checked.drop_last) == (loader.batch_size, loader.drop_last)
            assert list(checked.batch_sampler) == list(loader.batch_sampler)

    def test_what_is_not_map_style_is_left_to_nemo(self, monkeypatch):
        found = []
        monkeypatch.setattr("nemo.collections.asr.data.loading.loader.logging.warning", found.append)
        loader = torch.utils.data.DataLoader([1, 2])
        assert wrapped_loader(loader, {}, None) is loader and not found
        assert wrapped_loader(loader, {}, "skip") is loader and "does nothing for tarred, Lhotse" in found[0]
        assert wrapped_loader(None, {}, "skip") is None

    def test_values(self, nest_config):
        cfg = nest_config()
        cfg.on_bad_audio = "ignore"
        with pytest.raises(ValueError, match="on_bad_audio='ignore': must be one of raise, skip, null"):
            MODELS[0](cfg)

    def test_a_rider_says_nothing_about_the_size_of_the_batch(self):
        from lightning.pytorch.utilities.data import extract_batch_size

        batch = (torch.zeros(3, 5), torch.zeros(3), Rider(["a"]))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert extract_batch_size(batch) == 3

    def test_a_list_is_not_endless(self, said, monkeypatch):
        monkeypatch.setattr(bad_audio_log, "LISTED", 2)
        log = bad_audio_log.BadAudioLog("train")
        for name in "aaabbc":
            log.add((counted([name], 200),))
        assert log.pop() == {"train_bad_utterances": 6.0, "train_bad_noise": 0.0}
        assert said[-1].splitlines()[1:] == ["  a (3 times)", "  b (2 times)", "  and 1 more"]
        assert log.pop() == {"train_bad_utterances": 0.0, "train_bad_noise": 0.0}
