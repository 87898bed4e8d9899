# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""The harness on real corpora: plans and data that cannot be are refused; what is drawn is the same each time."""

import json
from pathlib import Path

import pytest
from tiny_corpus import PLAN, command, write_corpus

from benchmarks.files import differences
from benchmarks.quality import manifests
from benchmarks.quality.__main__ import main
from benchmarks.quality.corpora import prepare
from benchmarks.quality.corpora.phones import Characters, Phones
from benchmarks.quality.corpora.plan import read_plan
from benchmarks.quality.corpora.prepare import drawn
from benchmarks.quality.corpora.run import check_overrides

REPOSITORY = Path(__file__).resolve().parents[3]


@pytest.fixture
def corpus(tmp_path):
    write_corpus(tmp_path)
    return tmp_path


def entries(count, speakers="abcdefghijklmnopqrst", seconds=3.0):
    return [
        {"audio_filepath": f"{i}.wav", "duration": seconds, "speaker": speakers[i % len(speakers)], "text": "red"}
        for i in range(count)
    ]


class TestPlan:
    def test_the_shipped_plan_is_valid(self):
        plan = read_plan(REPOSITORY / "benchmarks/quality/plans/speechocean.yaml")
        assert len({run.name for run in plan.runs}) == len(plan.runs) > 0
        check_overrides(plan)

    def test_runs_are_in_the_order_of_the_file_and_each_is_there_once(self, corpus):
        text = PLAN + "  - {arms: [scratch, masked], minutes: [all], seeds: [0, 3], steps: [1, 2]}\n"
        (corpus / "plan.yaml").write_text(text + "  - {arms: [scratch], minutes: [0.1], seeds: [3]}\n")
        runs = read_plan(corpus / "plan.yaml").runs
        assert [(run.arm, run.steps, run.finetune_steps, run.on) for run in runs[:5]] == [
            ("scratch", 0, 2, "test"),
            ("masked", 3, 2, "test"),
            ("noisy", 2, 2, "test"),
            ("masked", 3, 2, "dev"),
            ("masked", 3, 1, "test"),
        ]
        assert len(runs) == 5 + 8 and [run.seed for run in runs[5:]] == [0] * 4 + [3] * 4

    @pytest.mark.parametrize(
        "old, new, message",
        [
            ("crop_seconds: 1\n", "crop: 1\n", "common.crop: unknown key"),
            (
                "crop_seconds: 1\n",
                "crop_seconds: 1\n  lr: 1e-3\n",
                "common.lr: unknown key of the plan; allowed are ov",
            ),
            ("{steps: 2, overrides", "{step: 2, overrides", "common.finetune.step: unknown key"),
            ("scratch: {steps: 0}", "scratch: {stesp: 0}", "arms.scratch.stesp: unknown key"),
            ("scratch: {steps: 0}", "scratch: {steps: -1}", r"arms.scratch.steps=-1"),
            (
                "arms: [masked], minutes: [0.1], seeds: [3], on",
                "arms: [maskd], minutes: [0.1], seeds: [3], on",
                r"runs\[1\].arms=maskd: must be one of scratch",
            ),
            ("on: dev", "on: train", r"runs\[1\].on=train: must be test or dev"),
            ("minutes: [0.1], seeds: [3], on", "minutes: [0], seeds: [3], on", r"runs\[1\].minutes=0"),
            ("seeds: [3], on", "seeds: 3, on", r"runs\[1\].seeds=3: must be a list"),
            ("finetune_steps: [1]", "finetune_steps: [0]", r"runs\[2\].finetune_steps=0: must be above 0"),
            ("finetune_steps: [1]", "finetune_steps: 1", r"runs\[2\].finetune_steps=1: must be a list"),
            ("finetune_steps: [1]", "tune_steps: [1]", r"runs\[2\]=tune_steps: must be one of arms, minutes"),
            ("crop_seconds: 1", "crop_seconds: 0", "common.crop_seconds=0"),
            (
                "[model.objective=masked_tokens, model.masking.mask_prob=0.06, model.masking.block_size=8]",
                "x=1",
                "overrides=x=1: must be a list",
            ),
            ("runs:", "run:", "plan=run: must be common, arms or runs"),
        ],
    )
    def test_what_cannot_be_is_named(self, corpus, old, new, message):
        assert PLAN.count(old) == 1
        (corpus / "plan.yaml").write_text(PLAN.replace(old, new))
        with pytest.raises(ValueError, match=message):
            read_plan(corpus / "plan.yaml")

    def test_a_difference_names_the_key_and_both_values(self):
        there, wanted = {"arm": {"lr": 1, "old": 2}}, {"arm": {"lr": 3, "new": 4}}
        assert list(differences(there, wanted)) == ["arm.lr=1, the plan has 3"]


class TestData:
    def test_a_tenth_of_the_speakers_is_held_out_whatever_the_order(self):
        said = entries(60)
        chosen = prepare.dev_speakers(said)
        assert len(chosen) == 2 and prepare.dev_speakers(said[::-1]) == chosen
        assert prepare.dev_speakers(entries(3, "ab")) < {"a", "b"}

    @pytest.mark.parametrize("duration, count", [(0.4, 1), (8.0, 1), (8.1, 2), (30.0, 4)])
    def test_pieces_cover_the_utterance(self, duration, count):
        cut = manifests.pieces({"duration": duration, "offset": 2.0, "text": "x"}, 8.0)
        ends = [piece["offset"] + piece["duration"] for piece in cut]
        assert len(cut) == count and max(piece["duration"] for piece in cut) <= 8.0
        assert [piece["offset"] for piece in cut] == pytest.approx([2.0, *ends[:-1]])
        assert ends[-1] == pytest.approx(2.0 + duration)

    def test_a_subset_is_part_of_every_larger_one(self):
        said = entries(100)
        small, large, everything = (drawn(said, minutes, seed=1) for minutes in (1, 2.5, "all"))
        assert (len(small), len(large), len(everything)) == (20, 50, 100)
        assert large[:20] == small and everything[:50] == large
        assert drawn(said, 1, seed=2) != small

    def test_phones_are_letters_and_stress_does_not_count(self, tmp_path):
        (tmp_path / "words.txt").write_text("A\tAH0\nA\tEY1\nBEE\tB IY1\nEAB\tIY0 AH2 B\n")
        phones = Phones(tmp_path / "words.txt")
        assert phones.spelled("a bee") == phones.letters["AH"] + phones.letters["B"] + phones.letters["IY"]
        assert sorted(phones.spelled("eab")) == sorted(phones.spelled("a bee"))
        assert Characters().spelled("a bee") == "a bee"

    def test_words_that_the_lexicon_lacks_are_named_with_an_utterance(self, corpus):
        said = [{**entry, "text": f"red word{i}"} for i, entry in enumerate(entries(12))]
        with pytest.raises(ValueError, match=r"lacks 12 words: WORD0 \(0.wav\)") as error:
            Phones(corpus / "words.txt").check(said)
        assert "WORD9" in str(error.value) and "WORD10" not in str(error.value)

    @pytest.mark.parametrize("lost", ["text", "speaker", "duration", "audio_filepath"])
    def test_a_key_that_is_missing_is_named_with_its_line(self, corpus, lost):
        lines = (corpus / "train.json").read_text().splitlines()
        lines[1] = json.dumps({key: value for key, value in json.loads(lines[1]).items() if key != lost})
        (corpus / "train.json").write_text("\n".join(lines))
        with pytest.raises(ValueError, match=f"train.json, line 2: has no {lost}"):
            manifests.read(corpus / "train.json", ("text", "speaker"))


class TestCommand:
    @pytest.mark.representative("train.json-green-purple-lexicon: lacks 1 words: PURPLE (train0.wav)")
    @pytest.mark.parametrize(
        "file, old, new, message",
        [
            ("test.json", '"z"', '"b"', "train: has speakers of the test: b"),
            ("train.json", "green", "purple", "lexicon: lacks 1 words: PURPLE (train0.wav)"),
            ("train.json", "train1.wav", "gone.wav", "there is no such file"),
            ("plan.yaml", "minutes: [0.1], seeds: [3]}", "minutes: [9], seeds: [3]}", "minutes=9: must be at most"),
            ("plan.yaml", "model.num_classes=16", "model.classes=16", "model.classes"),
            ("plan.yaml", "pretrained.other_contexts", "pretrained.contexts", "pretrained.contexts"),
        ],
    )
    def test_bad_data_are_refused_before_anything_is_made(self, corpus, capsys, file, old, new, message):
        text = (corpus / file).read_text()
        assert old in text
        (corpus / file).write_text(text.replace(old, new))
        assert main(command(corpus)) == 2 and message in capsys.readouterr().err
        assert not (corpus / "work" / "data").exists()

    def test_a_device_that_is_not_there_is_refused(self, corpus, capsys):
        assert main(command(corpus, "--device", "cuda:99")) == 2
        assert "device=cuda:99: is not on this machine" in capsys.readouterr().err

    @pytest.mark.parametrize(
        "flags, message",
        [
            (["--test", "gone.json"], "test=gone.json: there is no such file"),
            (["--jobs", "0"], "jobs=0"),
            (["--only", "("], "only='('"),
            (["--device", "abacus"], "device=abacus"),
        ],
    )
    def test_bad_flags_are_refused(self, corpus, capsys, flags, message):
        with pytest.raises(SystemExit) as refused:
            main(command(corpus, *flags))
        assert refused.value.code == 2 and message in capsys.readouterr().err

    def test_noise_is_asked_for_by_arms_that_need_it(self, corpus, capsys):
        flags = command(corpus)
        place = flags.index("--noise")
        assert main(flags[:place] + flags[place + 2 :]) == 2
        assert "noise: must be given" in capsys.readouterr().err

    def test_a_report_needs_rows(self, tmp_path, capsys):
        assert main(["--report", str(tmp_path / "none.csv")]) == 2
        assert "has no rows" in capsys.readouterr().err
