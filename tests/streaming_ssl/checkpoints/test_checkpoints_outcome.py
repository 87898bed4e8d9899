# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""A run ends with three lines: where the model is, which one it is and why, and a command that works."""

import importlib.util
import os
import re
import runpy
import shlex
import signal
import sys
from pathlib import Path

import finetuning_runs
import lightning.pytorch
import pytest
import torch
from scripted_runs import Scripted, trainer_in

from nemo.collections.asr.models import EncDecMaskedTokenPredModel
from nemo.collections.asr.parts.checkpoints import fit_and_say
from nemo.core import ModelPT

EXAMPLES = Path(__file__).resolve().parents[3] / "examples/asr/speech_pretraining"


@pytest.fixture
def said(monkeypatch):
    """What is said at the end, by the first word of each of its lines."""
    found = []
    monkeypatch.setattr(
        "nemo.collections.asr.parts.checkpoints.outcome.logging.info", lambda text, *_, **__: found.append(text)
    )

    def lines():
        (text,) = [text for text in found if re.match("\n(Model|Checkpoint): ", str(text))]
        assert text.count("\n") == 3
        return dict(re.fullmatch(r"(\w+): (.*)", line).groups() for line in text.strip().splitlines())

    return lines


def fit(folder, values, steps, every, **options):
    trainer = trainer_in(folder, steps, every, **options)
    fit_and_say(trainer, Scripted(values), EXAMPLES / "streaming_inference_example.py")


class TestWhichOne:
    def test_the_best_and_its_step(self, tmp_path, said):
        fit(tmp_path, [0.5, 0.25, 0.75], steps=6, every=2, save_best_model=True)
        assert said()["Step"] == "4 of 6, the best by val_loss: 0.2500"
        assert torch.load(said()["Model"]).item() == 4

    def test_the_newest_of_equals(self, tmp_path, said):
        fit(tmp_path, [1.0, 1.0, 1.0], steps=6, every=2, save_best_model=True)
        assert said()["Step"] == "6 of 6, the best by val_loss: 1.0000, the newest of 3 with this value"
        assert torch.load(said()["Model"]).item() == 6

    def test_the_last_where_none_was_measured(self, tmp_path, said):
        fit(tmp_path, [], steps=2, every=4, save_best_model=True)
        assert said()["Step"] == "2, the last one: val_loss was not measured"

    def test_the_last_and_where_the_best_is(self, tmp_path, said):
        fit(tmp_path, [0.5, 0.75], steps=4, every=2)
        said = said()
        path = re.fullmatch("4, the last one; the best by val_loss, 0.5000, is (.*)", said["Step"])[1]
        assert torch.load(path, weights_only=False)["global_step"] == 2 and torch.load(said["Model"]).item() == 4

    def test_an_older_value(self, tmp_path, said):
        options = dict(every_n_train_steps=1, every_n_epochs=0, save_best_model=True)
        fit(tmp_path, [0.5], steps=3, every=2, **options)
        assert said()["Step"] == "3 of 3, the best by val_loss of the validation before: 0.5000"

    def test_nothing_was_left_to_train(self, tmp_path, said):
        trainer_in(tmp_path, 2, 2).fit(Scripted([0.5]))
        fit(tmp_path, [0.5], steps=2, every=2)
        assert "nothing was left to train" in said()["Step"] or said()["Step"].startswith("2, the last one")

    def test_none_was_saved(self, tmp_path, said):
        fit(tmp_path, [0.5], steps=2, every=2, save_nemo_on_train_end=False)
        assert said()["Model"] == "none was saved" and said()["Step"] == "2, the last one"

    def test_why_nothing_can_stream_it(self, tmp_path, said):
        fit(tmp_path, [0.5], steps=2, every=2)
        assert "cannot stream" in said()["Next"]


def run_command(command, monkeypatch, capsys):
    """Runs a Python command in this process; its exit code and what it has printed."""
    python, *arguments = shlex.split(command)
    assert python == sys.executable
    monkeypatch.setattr(sys, "argv", arguments)
    monkeypatch.syspath_prepend(str(Path(arguments[0]).parent))
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(arguments[0], run_name="__main__")
    return ended.value.code, capsys.readouterr().out


def main_of(name):
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.main


class TestScripts:
    @pytest.fixture
    def manifests(self, tmp_path):
        return finetuning_runs.make_data(tmp_path)

    @pytest.fixture
    def finetuning(self, compose_config, nest_config, manifests, tmp_path):
        file = tmp_path / "pretrained.nemo"
        finetuning_runs.pretrain(nest_config, "streaming", EncDecMaskedTokenPredModel).save_to(str(file))
        options = [f"exp_manager.exp_dir={tmp_path}/runs", "trainer.max_steps=4", "model.train_ds.batch_size=1"]
        options += ["trainer.val_check_interval=2"]
        return finetuning_runs.finetuning_config(compose_config, file, manifests, *options)

    @pytest.fixture
    def pretraining(self, compose_config, nest_config, manifests, tmp_path):
        cfg = compose_config("nest_fast-conformer_streaming")
        cfg.model = nest_config("model.encoder.att_context_size=[4,0]")
        for section, name in (("train_ds", "train"), ("validation_ds", "validation")):
            data = {"manifest_filepath": manifests[name], "sample_rate": 16000, "batch_size": 1, "shuffle": False}
            cfg.model[section] = {**data, "labels": ["a"], "noise_manifest": None}
        cfg.exp_manager.exp_dir = f"{tmp_path}/runs"
        cfg.trainer.update(accelerator="cpu", devices=1, strategy="auto", max_steps=4, val_check_interval=2)
        cfg.trainer.update(enable_progress_bar=False, sync_batchnorm=False)
        return cfg

    def test_fine_tuning_ends_with_a_command_that_works(self, finetuning, said, monkeypatch, capsys):
        main_of("finetune_streaming_asr")(finetuning)
        assert re.fullmatch("4 of 4, the best by val_wer: [0-9.]+, the newest of 2 with this value", said()["Step"])
        assert ModelPT.restore_from(said()["Model"], map_location="cpu").cfg.target.endswith("EncDecCTCModel")
        code, out = run_command(said()["Next"], monkeypatch, capsys)
        assert not code and "validation0" in out

    def test_pretraining_ends_with_a_command_that_works(self, pretraining, said, monkeypatch, capsys):
        main_of("hierarchical_streaming_nest")(pretraining)
        assert re.match("4, the last one; the best by val_loss, [0-9.]+, is /", said()["Step"])
        code, out = run_command(said()["Next"], monkeypatch, capsys)
        assert not code and "--compare-offline" in said()["Next"]

    @pytest.mark.parametrize("name", ["finetuning", "pretraining"])
    def test_a_stop_before_a_validation_leaves_no_metric_and_says_where_it_goes_on(
        self, name, request, said, monkeypatch, tmp_path
    ):
        cfg = request.getfixturevalue(name)
        script = {"finetuning": "finetune_streaming_asr", "pretraining": "hierarchical_streaming_nest"}[name]

        class Stop(lightning.pytorch.Callback):
            def on_train_batch_end(self, trainer, *_):
                os.kill(os.getpid(), signal.SIGTERM)

        class Trainer(lightning.pytorch.Trainer):
            def __init__(self, **options):
                super().__init__(**options, callbacks=[Stop()])

        monkeypatch.setattr(lightning.pytorch, "Trainer", Trainer)
        with pytest.raises(SystemExit):
            main_of(script)(cfg)
        (file,) = tmp_path.rglob("*.ckpt")
        assert file.name.endswith("-step=1-last.ckpt") and "val_" not in file.name
        assert said()["Checkpoint"] == str(file) and said()["Step"].startswith("1, where the run was stopped")
        assert said()["Next"].endswith(shlex.join([sys.executable, *sys.argv]))
