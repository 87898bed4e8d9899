# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

import json

import pytest
import torch
from omegaconf import OmegaConf

from nemo.collections.asr.parts.nonfinite.ranks import Findings, find


@pytest.fixture(scope="module")
def ranks(nest_config, tmp_path_factory, children):
    """What both ranks have printed; they are started at once, as torchrun and SLURM do."""
    config = tmp_path_factory.mktemp("ranks") / "config.yaml"
    options = ["model.optim.lr=1e-2", "model.optim.sched.warmup_steps=3", "model.masking.mask_prob=0.05"]
    OmegaConf.save(nest_config(*options), config)
    return [json.loads(rank.stdout.splitlines()[-1]) for rank in children.ranks("nonfinite_runs.py", config)]


class TestFindingOnRanks:
    @pytest.mark.parametrize("rank", [0, 1, 2])
    def test_a_bad_loss_is_found_on_the_rank_that_has_it(self, monkeypatch, rank):
        group = {"is_initialized": True, "get_rank": rank, "get_world_size": 3, "all_reduce": None}
        for name, value in group.items():
            monkeypatch.setattr(torch.distributed, name, lambda *_, value=value: value)
        losses = [torch.tensor(1.0), torch.tensor(float("nan"))]
        assert find(losses, [], torch.device("cpu")) == Findings((rank,), False, (False, True))


@pytest.mark.long_run
class TestTwoRanks:
    def test_all_ranks_do_the_same(self, ranks):
        (first, said), (second, _) = ((result | {"said": None}, result["said"]) for result in ranks)
        assert first == second

    def test_a_bad_batch_of_one_rank_leaves_no_trace_on_any(self, ranks):
        for skipped, without in (("skipped", "without"), ("accumulated", "accumulated without")):
            assert ranks[0][skipped]["weights"] == ranks[0][without]["weights"]
            assert (ranks[0][skipped]["train_skipped_steps"], ranks[0][without]["train_skipped_steps"]) == (1, 0)

    def test_with_a_gradient_scaler_too(self, ranks):
        # under autocasting weights differ from those of float32
        assert ranks[0]["scaled"]["train_skipped_steps"] == 1 and ranks[0]["scaled"]["steps"] == 4
        assert ranks[0]["scaled"]["weights"] == pytest.approx(ranks[0]["without"]["weights"], abs=0.5)

    def test_the_error_names_the_rank_on_all(self, ranks):
        for result in ranks:
            assert "step 1: the loss is not finite:\n  rank 1: batch 1 " in result["raised"]["error"]
            assert "rank 0" not in result["raised"]["error"]

    def test_a_validation_does_too(self, ranks):
        assert len(ranks[0]["said"]) == 1
        assert "validation: the loss is not finite:\n  rank 1: batch 0 " in ranks[0]["said"][0]
