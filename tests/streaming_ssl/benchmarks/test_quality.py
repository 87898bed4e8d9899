# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""The quality harness: labels and contexts by hand, what frames have heard, and one tiny run from end to end."""

import csv

import pytest
import torch

from benchmarks.quality.__main__ import main
from benchmarks.quality.synthetic.data import Utterance, frame_phones
from benchmarks.quality.synthetic.encoders import VARIANTS, build, streaming_contexts, training_contexts
from benchmarks.quality.synthetic.features import layer_outputs, log_mel
from benchmarks.quality.synthetic.options import Options, read_options
from benchmarks.quality.synthetic.pretraining import batches, lr_share
from benchmarks.quality.synthetic.probe import held_out
from benchmarks.quality.synthetic.report import summaries, with_gains

TINY = "--minutes 0.2 --steps 2 --batch-size 2 --crop-seconds 1 --d-model 16 --layers 2 --classes 16 --contexts 2 6"


def utterance(frames, voice="a"):
    return Utterance(torch.randn(80, frames), ["sil"] * (frames // 8), voice)


@pytest.fixture(scope="module")
def tiny():
    return read_options(TINY.split())


@pytest.mark.long_run
class TestQuality:
    def test_a_frame_has_the_phone_at_its_centre(self):
        phones = [["sil", 0.0, 0.04], ["k", 0.04, 0.12], ["aa", 0.12, 0.3]]
        # centres at 0.04, 0.12, 0.20, 0.28 and, after the last phone, 0.36 s; a phone begins at its start
        assert frame_phones(phones, 5) == ["k", "aa", "aa", "aa", "aa"]
        assert frame_phones([["s", 0.0, 0.1], ["iy", 0.1, 0.19], ["t", 0.19, 0.24]], 3) == ["s", "iy", "t"]

    def test_contexts_of_the_variants(self):
        options = Options(layers=3, contexts=(4, 8, 30))
        assert training_contexts("hierarchical", options) == [[4, 0], [8, 0], [30, 0]]
        assert training_contexts("uniform", options) == [[14, 0]] * 3
        assert training_contexts("full", options) == [[-1, -1]] * 3
        assert streaming_contexts("full", options) == [[-1, 0]] * 3
        with pytest.raises(ValueError, match="'wide'"):
            training_contexts("wide", options)

    def test_hierarchical_and_uniform_cost_the_same(self):
        costs = [sum(left for left, _ in training_contexts(name, Options())) for name in ("hierarchical", "uniform")]
        assert costs[0] == costs[1]

    def test_variants_begin_with_the_same_weights_and_have_their_contexts(self, tiny):
        models = {name: build(name, tiny, seed=3) for name in VARIANTS}
        for name, model in models.items():
            assert model.encoder.layer_contexts == training_contexts(name, tiny)
            for key, value in model.state_dict().items():
                assert torch.equal(value, models["full"].state_dict()[key]), key

    @pytest.mark.parametrize("variant", VARIANTS)
    def test_a_frame_has_heard_itself_and_the_feature_frame_after_it(self, tiny, variant):
        encoder = build(variant, tiny, seed=0).encoder.eval()
        encoder.set_layer_contexts(streaming_contexts(variant, tiny))
        said = utterance(160)
        before = layer_outputs(encoder, said)[-1]
        for changed, first_moved in ((80, 9), (81, 10)):
            feats = said.feats.clone()
            feats[:, changed:] += 1
            moved = (layer_outputs(encoder, Utterance(feats, said.phones, "a"))[-1] != before).any(dim=1)
            assert moved.nonzero()[0] == first_moved and before.shape == (20, 16)

    def test_log_mel_frames_lie_side_by_side(self):
        said = utterance(23)
        assert torch.equal(log_mel(said)[1].reshape(8, 80), said.feats[:, 8:16].t())
        assert log_mel(said).shape == (2, 640)

    def test_batches_come_from_the_seed_alone(self, tiny):
        said = [utterance(300), utterance(60)]
        first, second = (list(batches(said, tiny, seed=1)) for _ in range(2))
        assert len(first) == tiny.steps
        for (feats, lengths), (again, _) in zip(first, second):
            assert torch.equal(feats, again) and feats.size(2) == lengths.max() <= 100

    def test_learning_rate_warms_up_and_goes_to_zero(self):
        options = Options(steps=100, warmup=0.1)
        shares = [lr_share(step, options) for step in range(101)]
        assert shares.index(max(shares)) == 10 and shares[10] == 1 and shares[0] < 0.1 and shares[100] < 1e-9

    def test_layers_are_chosen_with_voices_that_the_probe_has_not_heard(self):
        said = [utterance(16, voice) for voice in "abcda"]
        assert held_out(said).tolist() == [False, False, True, True, False]

    @pytest.mark.parametrize(
        "flags, message",
        [
            ("--steps 0", "steps=0: must be above 0"),
            ("--seeds 1 1", "must be different"),
            ("--contexts 8 16", "must be 4, one for each layer"),
            ("--contexts 8 16 24 49", "share evenly"),
            ("--d-model 130", "must be a multiple of 4 heads"),
            ("--mask-prob 0", "mask_prob=0.0"),
            ("--device nonsense", "device=nonsense"),
        ],
    )
    def test_bad_flags_are_refused(self, flags, message, capsys):
        with pytest.raises(SystemExit) as refused:
            main(flags.split())
        assert refused.value.code == 2 and message in capsys.readouterr().err

    def test_a_device_that_is_not_there_is_refused(self, capsys):
        assert main(["--device", "cuda:99"]) == 2
        assert "device=cuda:99: is not on this machine" in capsys.readouterr().err

    def test_mean_spread_and_gain_over_the_random_encoder_of_the_same_seed(self):
        accuracies = {("random", 0): 0.4, ("random", 1): 0.5, ("full", 0): 0.5, ("full", 1): 0.8}
        rows = [{"features": name, "seed": seed, "accuracy": value} for (name, seed), value in accuracies.items()]
        full_mean, full_spread = summaries(with_gains(rows))[2:]
        assert (full_mean["features"], full_mean["seed"], full_spread["seed"]) == ("full", "mean", "spread")
        assert (full_mean["accuracy"], full_mean["gain_over_random"]) == pytest.approx((0.65, 0.2))
        assert full_spread["accuracy"] == pytest.approx(0.3 / 2**0.5)
        assert full_spread["gain_over_random"] == pytest.approx(0.2 / 2**0.5)

    def test_a_tiny_run_writes_table_and_plot(self, tmp_path, capsys):
        assert main([*TINY.split(), "--seeds", "5", "--jobs", "1", "--output", str(tmp_path)]) == 0
        with (tmp_path / "quality.csv").open(encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        kinds = ["log-mel", "random", "hierarchical", "uniform", "full", "full, offline"]
        assert [row["features"] for row in rows if row["seed"] == "mean"] == kinds
        assert {row["seed"] for row in rows} == {"5", "mean", "spread"} and len(rows) == 18
        assert all(0 <= float(row["accuracy"]) <= 1 and "torch" in row["versions"] for row in rows)
        assert float(next(row for row in rows if row["features"] == "full")["train_target_entropy_bits"]) > 0
        assert (tmp_path / "quality.png").read_bytes().startswith(b"\x89PNG")
        assert "| hierarchical |" in capsys.readouterr().out
