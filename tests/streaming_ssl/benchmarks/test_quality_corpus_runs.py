# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""One tiny plan runs from start to end on a tiny corpus."""

import csv
import json

import pytest
import soundfile
import torch
from tiny_corpus import PLAN, command, write_corpus

from benchmarks.quality.__main__ import main
from benchmarks.quality.corpora import manifests, results
from benchmarks.quality.corpora.plan import read_plan
from benchmarks.quality.corpora.prepared import Prepared
from benchmarks.quality.corpora.pretrain import build


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

    def test_features_of_the_pretraining_have_mean_0_and_deviation_1(self, finished):
        plan, data = read_plan(finished / "plan.yaml"), Prepared(finished / "work/data")
        model, _ = build(plan, plan.runs[0], data)
        frames = []
        for path in sorted({entry["audio_filepath"] for entry in manifests.read(data.pretrain)}):
            audio = torch.from_numpy(soundfile.read(path, dtype="float32")[0])
            padded = torch.nn.functional.pad(audio, (0, 4000)).unsqueeze(0)
            feats, length = model.preprocessor(input_signal=padded, length=torch.tensor([len(audio)]))
            assert not feats[:, :, int(length) :].any()
            frames.append(feats[0, :, : int(length)])
        frames = torch.cat(frames, dim=1)
        assert frames.mean(dim=1).abs().max() < 0.05 and (frames.std(dim=1) - 1).abs().max() < 0.05

    def test_arms_of_one_seed_begin_alike(self, finished):
        plan, data = read_plan(finished / "plan.yaml"), Prepared(finished / "work/data")
        first, *others = (build(plan, run, data)[0].encoder.state_dict() for run in plan.runs[:3])
        for other in others:
            assert all(torch.equal(value, other[name]) for name, value in first.items())

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
