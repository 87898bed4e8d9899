# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""What a trainer shows and logs, one process or two; and a run that goes on in the middle of an epoch."""


import pytest
import rank_runs
import resume_runs
import torch
from lightning.pytorch.callbacks import Callback
from memory_logger import MemoryLogger
from omegaconf import OmegaConf

from nemo.collections.asr.models import EncDecMaskedTokenPredModel
from nemo.collections.asr.models.objectives import NextTokens

CURRICULUM = {"enabled": True, "start_context": 2, "end_context": 12, "warmup_steps": 2}
SGD = "model.optim.name=sgd ~model.optim.betas ~model.optim.sched model.optim.lr=0.1".split()
SHORT = (9, (0.05, 0.04))  # fewer frames than a token is made of
RAGGED = [(1, (1.2, 0.7)), (2, (0.5, 0.9)), (3, (0.8, 1.0))]
WITH_EMPTY = [SHORT, (6, (1.5, 1.4)), SHORT]


class Watch(Callback):
    """What the progress bar has, and the left contexts, after each step."""

    def __init__(self):
        self.shown, self.lefts = set(), []

    def on_train_batch_end(self, trainer, pl_module, *_):
        self.shown |= set(trainer.progress_bar_metrics)
        self.lefts.append([left for left, _ in pl_module.encoder.layer_contexts])


@pytest.fixture(scope="module")
def watched(next_config, tmp_path_factory):
    """A short run with validation and a curriculum: what the progress bar, the logger and the trainer had."""
    torch.manual_seed(0)
    cfg = next_config(*SGD, steps=2, curriculum_context=CURRICULUM)
    watch, logger = Watch(), MemoryLogger()
    folder = tmp_path_factory.mktemp("run")
    trainer = rank_runs.make_trainer(callbacks=[watch], logger=logger, devices=1, default_root_dir=folder)
    model = EncDecMaskedTokenPredModel(cfg, trainer)
    trainer.fit(model, rank_runs.loader("masked", RAGGED), rank_runs.loader("masked", RAGGED[:1]))
    logged = {name: value for metrics in logger.logged.values() for name, value in metrics.items()}
    return watch, logged, trainer.callback_metrics


class TestWhatIsShown:
    def test_the_progress_bar_has_the_accuracy_of_each_offset(self, watched):
        assert {"bits", "acc", "acc_0", "acc_1"} <= watched[0].shown and "acc_2" not in watched[0].shown

    def test_loggers_have_accuracy_and_bits_of_each_offset(self, watched):
        values = ("accuracy", "loss_bits")
        by_offset = {f"{mode}_{name}_at_{i}" for mode in ("train", "val") for name in values for i in (0, 1)}
        whole = {f"{mode}_{name}" for mode in ("train", "val") for name in (*values, "target_entropy_bits")}
        logged = watched[1]
        assert by_offset | whole | {"train_loss", "val_loss"} <= set(logged)
        assert not [name for name in logged if "masked_share" in name or name.endswith("_at_2")]
        assert all(torch.isfinite(torch.as_tensor(value)) for value in logged.values())

    def test_a_checkpoint_can_be_chosen_by_an_offset(self, watched):
        assert {"val_loss", "val_loss_bits_at_0", "val_accuracy_at_1"} <= set(watched[2])

    def test_the_curriculum_widens_contexts(self, watched):
        assert watched[0].lefts == [[2, 2], [7, 7], [12, 12]]


@pytest.fixture(scope="module")
def run(next_config):
    """A run for two ranks, one of which has batches without a whole token."""
    cfg = next_config(*SGD, "model.encoder.stochastic_depth_drop_prob=0.9", steps=3)
    cfg = OmegaConf.to_container(cfg, resolve=True)
    return {"model": "masked", "cfg": cfg, "batches": [RAGGED, WITH_EMPTY], "validation": [[RAGGED[0]], [SHORT]]}


@pytest.fixture(scope="module")
def ranks(run, tmp_path_factory, children):
    """What each of two ranks has made of it."""
    folder = tmp_path_factory.mktemp("ranks")
    torch.save({"run": run}, folder / "runs.pt")
    children.ranks("rank_runs.py", folder / "runs.pt", folder)
    found = [torch.load(folder / f"rank{rank}.pt", weights_only=False)["run"] for rank in range(2)]
    assert not [rank["error"] for rank in found if "error" in rank]
    return found


class TestOnRanks:
    def test_a_rank_without_a_token_takes_part_in_the_step(self, run, ranks):
        one, other = ranks
        assert [loss == 0 for loss in other["losses"]] == [True, False, True] and 0 not in one["losses"]
        assert one["untrained"] == other["untrained"] == []
        torch.testing.assert_close(one["weights"], other["weights"], rtol=0, atol=0)

    def test_ranks_end_with_the_weights_and_metrics_of_one_process(self, run, ranks):
        turns = [[batch for both in zip(*run[kind]) for batch in both] for kind in ("batches", "validation")]
        alone = rank_runs.fit(run, *turns, devices=1, strategy="auto", accumulate_grad_batches=2)
        torch.testing.assert_close(ranks[0]["weights"], alone["weights"], rtol=1e-4, atol=1e-6)
        names = [name for name in alone["metrics"] if "_at_" in name]
        assert len(names) == 12
        for name in names:
            assert ranks[0]["metrics"][name] == ranks[1]["metrics"][name], name
            assert ranks[0]["metrics"][name] == pytest.approx(alone["metrics"][name], rel=1e-4), name


class TestResume:
    def test_in_the_middle_of_an_epoch_it_is_the_run_that_was_never_stopped(self, compose_config, tmp_path):
        options = resume_runs.data_options(resume_runs.make_data(tmp_path), workers=0)
        options += [*resume_runs.OPTIONS, "model.objective=next_tokens", "model.seed=7"]
        cfg = compose_config("nest_fast-conformer_streaming", *options)
        cfg = OmegaConf.create(OmegaConf.to_container(cfg, resolve=True)).model
        save = resume_runs.SaveEverywhere(tmp_path)
        whole = resume_runs.train(cfg, callbacks=[save], max_epochs=1)
        assert isinstance(whole.model.objective, NextTokens) and len(whole.seen) == resume_runs.BATCHES
        again = resume_runs.train(cfg, str(save.files[1]), max_epochs=1)
        assert list(again.seen.items()) == list(whole.seen.items())[2:]
