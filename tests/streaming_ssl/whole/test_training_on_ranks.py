# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Two processes over gloo, with Lightning's `strategy: ddp`: what they train is what one process trains.

DDP takes the mean of the ranks' gradients, and each rank's loss is the mean over its own masked frames. So a step of
two ranks is a step of one process that accumulates the gradients of both batches. Where both batches have equally many
masked frames, it is also a step on the joined batch.
"""


import pytest
import rank_runs
import torch
from omegaconf import OmegaConf

RANKS = 2
POSITIONS = ("pre_conv", "post_conv")
BOTH = [(model, position) for model in ("masked", "denoise") for position in POSITIONS]

# an optimizer whose steps are proportional to the gradients, so that rounding stays rounding
OPTIM = "model.optim.name=sgd ~model.optim.betas ~model.optim.sched model.optim.lr=0.1 model.optim.weight_decay=0.001"
HIERARCHICAL = """
    model.objective=masked_tokens model.num_classes=64
    model.encoder.d_model=32 model.encoder.n_layers=2 model.encoder.n_heads=4 model.encoder.ff_expansion_factor=2
    model.encoder.subsampling_conv_channels=8 model.train_ds=null
    model.validation_ds=null model.encoder.att_context_size=[16,0]
    model.hierarchical_context.schedule=[[0,[8,0]],[1,[16,0]]] model.curriculum_context.enabled=true
    model.curriculum_context.start_context=2 model.curriculum_context.end_context=12
    model.curriculum_context.warmup_steps=3
"""
DETERMINISTIC = """
    model.preprocessor.dither=0 model.encoder.dropout=0 model.encoder.dropout_pre_encoder=0
    model.encoder.dropout_emb=0 model.encoder.dropout_att=0
""".split()
TRAINED = ["model.masking.freeze=false", "model.quantizer.freeze=false"]

# (seed, seconds of each utterance) of each rank's batches; the last one of one rank is shorter
RAGGED = [
    [(1, (1.2, 0.7)), (2, (0.5, 0.9)), (3, (0.8, 1.0)), (4, (1.1, 0.6))],
    [(5, (0.4, 2.0)), (6, (1.5, 1.4)), (7, (0.9, 0.4)), (8, (0.7,))],
]
EVEN = [[(1, (1.2, 1.2)), (2, (0.8, 0.8))], [(5, (1.2, 1.2)), (6, (0.8, 0.8))]]
# long enough for plain NeMo to mask something
LONG = [[(1, (4.0, 5.0)), (2, (4.5,))], [(3, (5.0, 3.5)), (4, (4.1,))]]
# no third encoder step
EMPTY = [RAGGED[0][:3], [(9, (0.05, 0.04)), (6, (1.5, 1.4)), (9, (0.05, 0.04))]]
VALIDATION = [[(11, (1.0, 0.6)), (12, (0.7,))], [(13, (0.5, 1.3)), (14, (0.9,))]]

ROUNDING = {"rtol": 1e-4, "atol": 1e-6}


def made(cfg, model, batches=RAGGED, **others):
    cfg = OmegaConf.to_container(OmegaConf.create(OmegaConf.to_container(cfg, resolve=True)))
    return {"model": model, "cfg": cfg, "batches": batches, "validation": VALIDATION, **others}


def of_name(found):
    """of_name(found)(name): what each rank has made of a run. Its error, if there is one."""

    def of(name):
        ranks = [of_rank[name] for of_rank in found]
        for error in (rank["error"] for rank in ranks if "error" in rank):
            raise RuntimeError(error)
        return ranks

    return of


def name_of(model, position):
    return f"{model}, {position}"


@pytest.fixture(scope="module")
def runs(nest_config, compose_config):
    """All runs by name, but for those of `like_nemo`."""

    def small(position, *options):
        return nest_config(f"model.mask_position={position}", *OPTIM.split(), *options)

    runs = {name_of(*both): made(small(both[1]), both[0]) for both in BOTH}
    for model, position in BOTH:
        nothing = made(small(position, "model.encoder.stochastic_depth_drop_prob=0.9"), model, EMPTY)
        runs["empty, " + name_of(model, position)] = {**nothing, "masks": "every third step"}
        runs["nothing frozen, " + name_of(model, position)] = made(small(position, *TRAINED), model)
    find = {"trainer": {"strategy": "ddp_find_unused_parameters_true"}}
    runs["find unused"] = made(small("post_conv"), "masked", **find)
    runs["accumulating"] = made(small("post_conv"), "denoise", trainer={"accumulate_grad_batches": 2})
    for position in POSITIONS:
        runs["sharded, " + position] = made(small(position), "masked", sharded=True)
    even = {"batches": EVEN, "masks": "every third step"}
    runs["joined"] = made(small("pre_conv", *DETERMINISTIC), "masked", **even)
    cfg = compose_config("nest_hierarchical_streaming", *HIERARCHICAL.split(), *OPTIM.split()).model
    runs["curriculum"] = made(cfg, "denoise")
    return runs


@pytest.fixture(scope="module")
def launch(tmp_path_factory, children):
    """launch(runs): what each rank has made of each run."""

    def launched(runs):
        folder = tmp_path_factory.mktemp("ranks")
        torch.save(runs, folder / "runs.pt")
        children.ranks("rank_runs.py", folder / "runs.pt", folder, count=RANKS, timeout=300)
        return [torch.load(folder / f"rank{rank}.pt", weights_only=False) for rank in range(RANKS)]

    return launched


@pytest.fixture(scope="module")
def like_nemo(launch, nest_config):
    """What each rank has made of a run of NeMo's own masked-token model; its error, if there is one."""
    options = ["model.encoder.conv_norm_type=layer_norm", "model.masking.mask_prob=0.1", *OPTIM.split()]
    one_step = ["model.mask_position=post_conv", "model.quantizer.combine_time_steps=1"]
    pre_conv = nest_config(*options, like_nemo=True)
    post_conv = nest_config(*options, *one_step, like_nemo=True)
    runs = {"pre_conv": made(pre_conv, "masked", LONG), "post_conv": made(post_conv, "masked", LONG)}
    return of_name(launch({name: {**run, "validation": LONG} for name, run in runs.items()}))


# what the quick tests look at; all other runs are launched together
QUICK = (name_of("denoise", "pre_conv"), "empty, " + name_of("masked", "post_conv"))


@pytest.fixture(scope="module")
def trained(launch, runs):
    """What each rank has made of one of the `runs`; its error, if there is one."""
    launched = {}

    def of(name):
        if name not in launched:
            some = {other: run for other, run in runs.items() if (other in QUICK) == (name in QUICK)}
            launched.update(dict.fromkeys(some, of_name(launch(some))))
        return launched[name](name)

    return of


@pytest.fixture(scope="module")
def alone(runs):
    """alone(name): the same run in this process, over the same batches, which take turns."""

    def fit(name):
        run = runs[name]
        steps = run.get("trainer", {}).get("accumulate_grad_batches", 1) * RANKS
        turns = [[batch for batches in zip(*run[kind]) for batch in batches] for kind in ("batches", "validation")]
        return rank_runs.fit(run, *turns, devices=1, strategy="auto", accumulate_grad_batches=steps)

    return fit


def assert_same_weights(actual, expected, **tolerance):
    torch.testing.assert_close(actual["weights"], expected["weights"], **tolerance)


def moved(run, found):
    """Names of the weights that are not what they were at the start."""
    start = dict(rank_runs.build(run).named_parameters())
    return {name for name, weight in found["weights"].items() if not torch.equal(weight, start[name])}


class TestTrainingOnRanks:
    @pytest.mark.limit(fails_with=RuntimeError, match="parameters that were not used in producing the loss")
    def test_post_conv_needs_no_search_for_unused_parameters(self, like_nemo):
        for rank in like_nemo("post_conv"):
            assert rank["steps"] == len(LONG[0])

    @pytest.mark.limit(fails_with=AssertionError, match="val_loss")
    def test_val_loss_is_the_same_on_all_ranks(self, like_nemo):
        one, other = (rank["metrics"] for rank in like_nemo("pre_conv"))
        assert one["val_loss"] == other["val_loss"], "val_loss"

    @pytest.mark.representative("denoise-pre_conv")
    @pytest.mark.parametrize("model, position", BOTH)
    def test_ranks_end_with_the_weights_of_one_process(self, trained, alone, runs, model, position):
        name = name_of(model, position)
        (one, other), single = trained(name), alone(name)
        assert_same_weights(one, other, rtol=0, atol=0)
        assert_same_weights(one, single, **ROUNDING)
        assert one["steps"] == single["steps"] == len(RAGGED[0])
        learned = moved(runs[name], one)
        assert any(".layers.0." in weight for weight in learned)
        assert any(".pre_encode." in weight for weight in learned) == (position == "pre_conv")

    @pytest.mark.representative("denoise-pre_conv")
    @pytest.mark.parametrize("model, position", BOTH)
    def test_metrics_are_those_of_all_data_on_every_rank(self, trained, alone, model, position):
        name = name_of(model, position)
        (one, other), single = trained(name), alone(name)
        names = {name for name in single["metrics"] if name.startswith(("val_", "train_"))} - {"train_loss"}
        assert {"val_loss", "val_accuracy", "train_accuracy", "train_codes_used", "train_loss_bits"} <= names
        for name in names:
            assert one["metrics"][name] == other["metrics"][name], name
            assert one["metrics"][name] == pytest.approx(single["metrics"][name], rel=1e-4), name

    @pytest.mark.representative("masked-post_conv")
    @pytest.mark.parametrize("model, position", BOTH)
    def test_a_rank_without_a_masked_frame_takes_part_in_the_step(self, trained, alone, model, position):
        name = "empty, " + name_of(model, position)
        (one, other), single = trained(name), alone(name)
        assert [loss == 0 for loss in other["losses"]] == [True, False, True] and 0 not in one["losses"]
        assert one["untrained"] == other["untrained"] == []
        assert_same_weights(one, other, rtol=0, atol=0)
        assert_same_weights(one, single, **ROUNDING)

    @pytest.mark.long_run
    @pytest.mark.parametrize("model, position", BOTH)
    def test_freeze_false_in_the_config_is_no_obstacle(self, trained, runs, model, position):
        name = "nothing frozen, " + name_of(model, position)
        one, other = trained(name)
        assert one["untrained"] == other["untrained"] == []
        assert_same_weights(one, other, rtol=0, atol=0)
        learned = moved(runs[name], one)
        assert any("mask_embedding" in weight for weight in learned) == (position == "pre_conv")
        assert set(one["trainable"]) == set(one["weights"])  # when the trainer is done

    @pytest.mark.long_run
    def test_the_search_for_unused_parameters_changes_nothing(self, trained):
        for found, plain in zip(trained("find unused"), trained(name_of("masked", "post_conv"))):
            assert_same_weights(found, plain, rtol=0, atol=0)

    @pytest.mark.long_run
    @pytest.mark.parametrize("position", POSITIONS)
    def test_fsdp2_trains_what_ddp_trains(self, trained, position):
        for sharded, plain in zip(trained("sharded, " + position), trained(name_of("masked", position))):
            assert_same_weights(sharded, plain, **ROUNDING)
            assert sharded["metrics"] == pytest.approx(plain["metrics"], rel=1e-4)
            assert set(sharded["trainable"]) == set(plain["trainable"])  # when the trainer is done

    @pytest.mark.long_run
    def test_gradients_accumulate_on_ranks_as_in_one_process(self, trained, alone):
        (one, other), single = trained("accumulating"), alone("accumulating")
        assert_same_weights(one, other, rtol=0, atol=0)
        assert_same_weights(one, single, **ROUNDING)
        assert one["steps"] == single["steps"] == len(RAGGED[0]) // 2

    @pytest.mark.long_run
    def test_equally_masked_batches_are_one_joined_batch(self, trained, runs):
        run = runs["joined"]
        joined = rank_runs.fit(run, [list(parts) for parts in zip(*run["batches"])], devices=1, strategy="auto")
        (one, other) = trained("joined")
        assert_same_weights(one, other, rtol=0, atol=0)
        assert_same_weights(one, joined, **ROUNDING)

    @pytest.mark.long_run
    def test_the_curriculum_is_at_the_same_place_on_all_ranks(self, trained, alone):
        (one, other), single = trained("curriculum"), alone("curriculum")
        lefts = [[left for left, _ in contexts] for contexts in one["contexts"]]
        assert lefts[0] == [2, 2] and lefts[-1] == [8, 12]
        assert one["contexts"] == other["contexts"] == single["contexts"][::RANKS]
        assert_same_weights(one, other, rtol=0, atol=0)
        assert_same_weights(one, single, **ROUNDING)
