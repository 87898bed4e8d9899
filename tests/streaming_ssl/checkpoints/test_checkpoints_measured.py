# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Names of checkpoints have no metric that was not measured, and the newest of equals is the best."""

import re

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scripted_runs import Scripted, names_in, trainer_in

from nemo.collections.asr.parts.checkpoints import measured_checkpoints
from nemo.collections.asr.parts.checkpoints.measured import FIELD, with_known_only


def run(folder, values, steps, every, **options):
    trainer = trainer_in(folder, steps, every, **options)
    callback = measured_checkpoints(trainer)
    model = Scripted(values)
    trainer.fit(model)
    return callback, model


class TestNames:
    def test_before_the_first_validation_there_is_no_metric(self, tmp_path):
        run(tmp_path, [], steps=2, every=4)
        assert names_in(tmp_path) == ["run--epoch=1-step=2-last"]

    def test_a_model_that_was_trained_since_has_not_the_value_of_before(self, tmp_path):
        run(tmp_path, [0.5], steps=3, every=2)
        assert names_in(tmp_path) == ["run--epoch=1-step=3-last", "run--val_loss=0.5000-epoch=0-step=2"]

    def test_a_value_of_this_step_is_there(self, tmp_path):
        run(tmp_path, [0.5, 0.0], steps=4, every=2)
        last = "run--val_loss=0.0000-epoch=0-step=4"
        assert names_in(tmp_path) == sorted([last, f"{last}-last", "run--val_loss=0.5000-epoch=0-step=2"])

    def test_a_run_that_goes_on_finds_the_last_and_has_one_last(self, tmp_path):
        run(tmp_path, [0.5], steps=3, every=2)
        callback, model = run(tmp_path, [0.25] * 3, steps=8, every=2)
        assert model.weight.item() == 8 and model.validated
        (last,) = [name for name in names_in(tmp_path) if name.endswith("-last")]
        assert "step=8" in last and ("val_loss=0.2500" in last) == (callback._validated_at == 8)
        assert {0.25, 0.5} >= set(map(float, callback.best_k_models.values())) > {0.5}

    def test_checkpoints_of_nemos_own_callback_go_on_and_the_other_way_round(self, tmp_path):
        trainer = trainer_in(tmp_path, 2, 2)
        trainer.fit(Scripted([0.5]))
        callback, _ = run(tmp_path, [0.25], steps=4, every=2)
        assert len(callback.best_k_models) == 2
        trainer = trainer_in(tmp_path, 6, 2)
        trainer.fit(Scripted([0.75]))
        assert sorted(map(float, trainer.checkpoint_callback.best_k_models.values())) == [0.25, 0.5, 0.75]

    @pytest.mark.parametrize(
        "template, expected",
        [
            ("run--{val_wer:.4f}-{epoch}-{step}", "run--{epoch}-{step}"),
            ("{val_wer:.4f}-{epoch}", "{epoch}"),
            ("{epoch}_{val_wer}", "{epoch}"),
            ("run-val_wer={val_wer:.2f}-epoch={epoch}", "run-epoch={epoch}"),
            ("run--{val_wer:.4f}-last", "run--last"),
            ("{val_wer}-last", "last"),
            ("{val_wer}", ""),
            ("{step}-{val/wer:.1f}", "{step}"),
            ("--{step}", "--{step}"),
        ],
    )
    def test_templates(self, template, expected):
        assert with_known_only(template, {"epoch", "step"}) == expected

    @given(st.lists(st.sampled_from(["epoch", "step", "val_loss", "val_wer"]), unique=True), st.sampled_from("-_"))
    def test_what_is_known_stays_and_nothing_else(self, fields, separator):
        template = separator.join(f"{{{name}:d}}" for name in fields)
        kept = with_known_only(template, {"epoch", "step"})
        assert [found["metric"] for found in FIELD.finditer(kept)] == [n for n in fields if n in ("epoch", "step")]
        assert not re.search(r"^[-_]|[-_]$", kept)


class TestTheBest:
    def test_of_equals_is_the_newest_and_what_is_saved_is_that_one(self, tmp_path):
        callback, model = run(tmp_path, [1.0] * 5, steps=10, every=2, save_best_model=True, mode="min")
        assert callback.saved.step == 10 and callback.saved.equals == 3
        assert "step=10" in callback.saved.best
        (file,) = tmp_path.rglob("*.nemo")
        assert torch.load(file).item() == 10

    @pytest.mark.parametrize("mode", ["min", "max"])
    @pytest.mark.parametrize("seed", range(3))
    @pytest.mark.parametrize("top", [1, 2, -1])
    def test_is_kept_with_the_next_ones(self, tmp_path, mode, seed, top):
        values = np.random.default_rng(seed).integers(0, 3, 6).tolist()
        callback, _ = run(tmp_path, values, steps=6, every=1, save_best_model=True, mode=mode, save_top_k=top)
        order = sorted(range(6), key=lambda i: (values[i] if mode == "min" else -values[i], -i))
        expected = order if top == -1 else order[:top]
        kept = [name for name in names_in(tmp_path) if not name.endswith("-last")]
        assert {int(re.search("step=([0-9]+)", name)[1]) - 1 for name in kept} == set(expected)
        assert f"step={order[0] + 1}" in callback.saved.best and callback.saved.score == values[order[0]]
        (file,) = tmp_path.rglob("*.nemo")
        assert torch.load(file).item() == order[0] + 1

    def test_is_none_before_a_validation(self, tmp_path):
        callback, _ = run(tmp_path, [], steps=2, every=4, save_best_model=True)
        assert callback.saved == (2, "", None, 0, False)
        (file,) = tmp_path.rglob("*.nemo")
        assert torch.load(file).item() == 2

    def test_by_a_value_of_before_says_so(self, tmp_path):
        """Lightning also saves between validations if it is told to, by the value of the last one."""
        options = dict(every_n_train_steps=1, every_n_epochs=0, save_best_model=True, save_top_k=2)
        callback, _ = run(tmp_path, [0.5], steps=3, every=2, **options)
        assert "step=3" in callback.saved.best and callback.saved.score == 0.5 and callback.saved.is_older
        assert not any("val_loss" in name for name in names_in(tmp_path))
