# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""One tiny plan runs from start to end on a tiny corpus."""

import csv
import json
import os
import signal

import lightning.pytorch
import pytest
import torch
from omegaconf import OmegaConf
from tiny_corpus import PLAN, command, write_corpus

from benchmarks.quality.__main__ import main
from benchmarks.quality.corpora import prepare, results
from benchmarks.quality.corpora.plan import read_plan
from benchmarks.quality.corpora.training import initial, pretrained, pretraining_config
from benchmarks.shipped import UNIFORM, shipped_config
from nemo.core import ModelPT


@pytest.fixture(scope="class")
def finished(tmp_path_factory):
    """A corpus after the whole plan was run."""
    folder = tmp_path_factory.mktemp("corpus")
    write_corpus(folder)
    assert main(command(folder)) == 0
    return folder


@pytest.mark.long_run
class TestRuns:
    def rows(self, folder):
        with (folder / "work/results.csv").open(encoding="utf-8") as file:
            return {row["name"]: row for row in csv.DictReader(file)}

    def test_every_run_has_a_row(self, finished):
        rows = self.rows(finished)
        assert list(next(iter(rows.values()))) == results.COLUMNS
        assert set(rows) == {run.name for run in read_plan(finished / "plan.yaml").runs}
        for row in rows.values():
            assert float(row["error"]) >= 0 and row["unit"] == "phones"
            assert float(row["stream_difference"]) < 1e-3
            assert len(json.loads(row["finetune_curve"])) == 1
            trained = row["arm"] != "scratch"
            assert len(json.loads(row["pretrain_curve"])) == trained and bool(row["dev_loss_bits"]) == trained

    def test_contexts_are_those_of_the_recogniser(self, finished):
        contexts = {row["arm"]: json.loads(row["contexts"]) for row in self.rows(finished).values()}
        assert contexts["masked"] == [[4, 0]] * 2 and contexts["noisy"] == [[2, 0]] * 2

    def test_dev_speakers_are_in_no_training(self, finished):
        parts = {
            name: {json.loads(line)["speaker"] for line in (finished / f"work/data/{name}.json").open()}
            for name in ("pretrain", "train", "dev", "dev_pieces")
        }
        assert len(parts["dev"]) == 1 and parts["dev"] == parts["dev_pieces"]
        assert parts["pretrain"] == parts["train"] == set("abcde") - parts["dev"]

    def test_arms_of_one_seed_begin_alike(self, finished):
        plan, data = read_plan(finished / "plan.yaml"), prepare.Prepared(finished / "work/data")
        weights = []
        for run in plan.runs[:3]:
            cfg = pretraining_config(plan, run, data, finished / "unused", "cpu")
            file = initial(cfg, finished / f"begin-{run.arm}")
            weights.append(ModelPT.restore_from(str(file), map_location="cpu").encoder.state_dict())
        for other in weights[1:]:
            assert all(torch.equal(value, other[name]) for name, value in weights[0].items())

    def test_each_run_is_the_shipped_scripts(self, finished):
        for name, target in (
            ("pretrained/noisy-steps2-seed3", "EncDecDenoiseMaskedTokenPredModel"),
            ("finetuned/noisy-steps2-seed3-min0.1-ft2", "EncDecCTCModel"),
        ):
            folder = finished / "work" / name
            assert OmegaConf.load(folder / "config.yaml").model.seed == 3 and not list(folder.rglob("*.ckpt"))
            (file,) = folder.rglob("*.nemo")
            assert ModelPT.restore_from(str(file), return_config=True).target.endswith(target)

    def test_noise_is_that_of_the_shipped_config(self, finished):
        noisy, clean = (
            OmegaConf.load(finished / f"work/pretrained/{name}/config.yaml").model
            for name in ("noisy-steps2-seed3", "masked-steps3-seed3")
        )
        assert noisy.train_ds.batch_augmentor == shipped_config(UNIFORM).model.train_ds.batch_augmentor
        assert noisy.train_ds.noise_manifest == str(finished / "work/data/noise.json")
        assert clean.train_ds.noise_manifest is None and "batch_augmentor" not in clean.train_ds

    def test_a_run_that_was_stopped_goes_on(self, finished, monkeypatch, tmp_path):
        class Stop(lightning.pytorch.Callback):
            def on_train_batch_end(self, trainer, *_):
                os.kill(os.getpid(), signal.SIGTERM)

        class Trainer(lightning.pytorch.Trainer):
            def __init__(self, **options):
                super().__init__(**options, callbacks=[Stop()])

        plan, data = read_plan(finished / "plan.yaml"), prepare.Prepared(finished / "work/data")
        with monkeypatch.context() as patch, pytest.raises(SystemExit):
            patch.setattr(lightning.pytorch, "Trainer", Trainer)
            pretrained(plan, plan.runs[1], data, tmp_path, "cpu")
        whole = json.loads((finished / "work/pretrained/masked-steps3-seed3.json").read_text())
        assert list(tmp_path.rglob("*.ckpt")) and not list(tmp_path.rglob("*.nemo"))
        assert pretrained(plan, plan.runs[1], data, tmp_path, "cpu")["curve"] == whole["curve"]
        assert len(list(tmp_path.rglob("events.out.*"))) == 2 and len(list(tmp_path.rglob("*.nemo"))) == 1

    def test_started_again_nothing_is_done_twice(self, finished, capsys):
        before = self.rows(finished)
        assert main(command(finished)) == 0
        assert "0 runs to do" in capsys.readouterr().out and self.rows(finished) == before

    def test_a_plan_that_has_changed_is_refused(self, finished, capsys):
        changed = finished / "changed.yaml"
        changed.write_text(PLAN.replace("mask_prob=0.06", "mask_prob=0.05"))
        assert main([*command(finished), "--plan", str(changed)]) == 2
        assert "masked-steps3-seed3-min0.1-ft2-test: its row was made with arm.overrides" in capsys.readouterr().err

    def test_data_of_another_corpus_are_refused(self, finished, capsys):
        (finished / "fewer.json").write_text("".join((finished / "test.json").open().readlines()[:1]))
        assert main([*command(finished), "--test", str(finished / "fewer.json")]) == 2
        assert "was prepared from other files" in capsys.readouterr().err

    def test_the_report_says_what_the_csv_says(self, finished, capsys):
        rows = self.rows(finished)
        assert main(["--report", str(finished / "work/results.csv"), "--output", str(finished / "report")]) == 0
        text = (finished / "report/results.md").read_text()
        short, long = (100 * float(rows[f"masked-steps3-seed3-min0.1-ft{steps}-test"]["error"]) for steps in (1, 2))
        assert "| arm | pretraining steps | 0.1 min, 1 steps | 0.1 min, 2 steps |" in text
        assert f"| masked | 3 | {short:.1f} | {long:.1f} |" in text and text.strip() in capsys.readouterr().out
        for name in ("minutes", "curves"):
            assert (finished / f"report/results-test-{name}.png").read_bytes().startswith(b"\x89PNG")
