# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""A run that is stopped and started again is the run that was never stopped: to the bit, at every step."""

import os
import signal

import pytest
import resume_runs as runs
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from omegaconf import OmegaConf

LHOTSE = """
    +model.train_ds.use_lhotse=true +model.train_ds.use_bucketing=false ~model.train_ds.bucketing_strategy
    ~model.train_ds.concat_sampling_technique ~model.train_ds.concat_sampling_temperature
""".split()


@pytest.fixture(scope="module")
def manifests(tmp_path_factory):
    return runs.make_data(tmp_path_factory.mktemp("speech"))


@pytest.fixture(scope="module")
def config(compose_config, manifests):
    """A tiny model's config with data, seeded: config(*overrides, workers=0, seed=7)."""

    def made(*overrides, workers=0, seed=7):
        options = [*runs.OPTIONS, *runs.data_options(manifests, workers), f"++model.seed={seed}", *overrides]
        cfg = compose_config("nest_fast-conformer_streaming", *options)
        return OmegaConf.create(OmegaConf.to_container(cfg, resolve=True)).model

    return made


@pytest.fixture(scope="module")
def whole(config):
    return runs.train(config(), val_check_interval=4)


@pytest.fixture(scope="module")
def file(config, tmp_path_factory):
    folder = tmp_path_factory.mktemp("checkpoint")
    save = ModelCheckpoint(folder, save_last=True, save_top_k=0, every_n_train_steps=1)
    runs.train(config(), callbacks=[save], max_steps=3)
    return folder / "last.ckpt"


@pytest.fixture(autouse=True)
def handlers():
    """A run that was stopped leaves the signals as they were, whatever a test does."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def is_rest_of(steps, whole):
    """True if the steps are the last ones of the whole run, in their order, with their losses, data and counts."""
    rest = list(whole.seen.items())
    return list(steps.seen.items()) == rest[len(rest) - len(steps.seen) :]


class TestResumedRunIsTheUninterruptedOne:
    @pytest.mark.representative("0-1")
    @pytest.mark.parametrize("workers, accumulate", [(2, 2), (0, 1), (0, 2), (2, 1)])
    def test_from_checkpoints_of_two_epochs(self, config, tmp_path, workers, accumulate):
        # 5 batches an epoch: the validation after the third is in the middle of an accumulation
        options = dict(accumulate_grad_batches=accumulate, val_check_interval=3, gradient_clip_val=0.5)
        save = runs.SaveEverywhere(tmp_path)
        whole = runs.train(config(workers=workers), callbacks=[save], **options)
        assert len(whole.seen) == 2 * runs.BATCHES and len(save.files) == 14
        assert whole.validated == [2, 7]
        # every one in the first case, else the first of a batch, of a validation and of an epoch
        kinds = {file.name.split("-")[1]: file for file in reversed(save.files)}
        for file in save.files if (workers, accumulate) == (2, 2) else kinds.values():
            again = runs.train(config(workers=workers), str(file), **options)
            assert is_rest_of(again, whole), file
            done = int(file.name.split("-")[0])
            missing = 2 * runs.BATCHES - len(again.seen)
            # what was accumulated is not in a checkpoint, and is computed again
            assert missing == done or (accumulate == 2 and missing == done - 1), file
            saw_validation = file.name.endswith(("on_validation_end.ckpt", "on_train_epoch_end.ckpt"))
            due = [
                batch for batch in whole.validated if batch >= missing or (batch == done - 1 and not saw_validation)
            ]
            assert again.validated == due, file

    @pytest.mark.long_run
    def test_the_number_of_workers_changes_nothing(self, config):
        losses = [runs.train(config(workers=workers), max_epochs=1).seen for workers in (0, 1, 3)]
        assert losses[0] == losses[1] == losses[2]

    def test_every_utterance_is_seen_once_an_epoch_in_a_new_order(self, config):
        seen = runs.train(config()).seen
        epochs = [[i for b in range(runs.BATCHES) for i in seen[epoch, b][1]] for epoch in range(2)]
        assert epochs[0] != epochs[1]
        assert all(len(set(epoch)) == runs.UTTERANCES for epoch in epochs)

    def test_seeds(self, config):
        """The same seed is the same run, whatever the process has drawn before; another seed is another one."""
        first, other = (runs.train(config(seed=seed), max_epochs=1) for seed in (7, 8))
        draws = runs.Act(lambda: torch.rand(3), 0, "on_fit_start")
        same = runs.train(config(), max_epochs=1, callbacks=[draws])
        assert first.seen == same.seen
        assert all(first.seen[place][1] != other.seen[place][1] for place in first.seen)

    @pytest.mark.long_run
    @pytest.mark.usefixtures("lhotse_samplers")
    @pytest.mark.parametrize("workers", [0, 2])
    def test_lhotse_with_a_sampler_in_the_main_process(self, config, tmp_path, workers):
        """Its number of batches is not known before they are drawn."""
        save = runs.SaveEverywhere(tmp_path)
        whole = runs.train(config(*LHOTSE, workers=workers), callbacks=[save])
        assert len(whole.seen) == 2 * runs.BATCHES
        for file in save.files[workers::5]:  # with and without workers not the same ones
            again = runs.train(config(*LHOTSE, workers=workers), str(file))
            assert is_rest_of(again, whole), file
            assert 2 * runs.BATCHES - len(again.seen) == int(file.name.split("-")[0])

    @pytest.mark.parametrize("seed", [-1, True, "x"])
    def test_a_seed_that_is_none(self, config, seed):
        with pytest.raises(ValueError, match="model.seed"):
            runs.train(config(seed=seed))

    @pytest.mark.long_run
    @pytest.mark.parametrize("steps", [3, 5, 7])
    def test_max_steps_ends_a_run_that_goes_on_with_more(self, config, tmp_path, steps):
        whole = runs.train(config())
        save = ModelCheckpoint(tmp_path, save_last=True, save_top_k=0, every_n_train_steps=1)
        runs.train(config(), callbacks=[save], max_steps=steps, max_epochs=-1)
        again = runs.train(config(), str(tmp_path / "last.ckpt"), max_steps=10, max_epochs=-1)
        assert is_rest_of(again, whole) and len(again.seen) == 10 - steps


class TestStops:
    # a stop while an epoch's last batch is trained, after it, and while the model is validated, among all others
    @pytest.mark.representative("5-on_train_batch_end-SIGTERM", "8-on_before_optimizer_step-SIGINT")
    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
    @pytest.mark.parametrize(
        "batches, hook",
        [(1, "on_train_batch_end"), (4, "on_validation_batch_start"), (4, "on_validation_epoch_end")]
        + [(5, hook) for hook in ("on_train_batch_start", "on_train_batch_end", "on_train_epoch_end")]
        + [(8, "on_before_optimizer_step"), (9, "on_validation_batch_end")],
    )
    def test_a_signal_saves_first(self, config, whole, tmp_path, number, batches, hook):
        save = ModelCheckpoint(tmp_path, save_last=True, save_top_k=0)
        act = runs.Act(lambda: os.kill(os.getpid(), number), batches, hook)
        with pytest.raises(SystemExit) as stop:
            runs.train(config(), callbacks=[act, save], val_check_interval=4)
        assert stop.value.code == (1 if number == signal.SIGINT else None)
        again = runs.train(config(), str(tmp_path / "last.ckpt"), val_check_interval=4)
        assert is_rest_of(again, whole)
        assert 2 * runs.BATCHES - len(again.seen) in (batches, batches - 1)

    @pytest.mark.long_run
    def test_a_stop_in_a_run_that_was_resumed(self, config, whole, tmp_path):
        stops = iter((2, 3, 5, 6, 9))
        file, seen = None, {}
        for batches in stops:
            save = ModelCheckpoint(tmp_path, save_last=True, save_top_k=0)
            act = runs.Act(lambda: os.kill(os.getpid(), signal.SIGTERM), batches)
            steps = runs.Steps()
            with pytest.raises(SystemExit):
                runs.train(config(), file, callbacks=[steps, act, save], val_check_interval=4)
            seen.update(steps.seen)
            (file,) = map(str, tmp_path.glob("*.ckpt"))
        seen.update(runs.train(config(), file, val_check_interval=4).seen)
        assert seen == whole.seen

    def test_what_fails_while_a_stop_is_pending_does_not_prevent_the_save(self, config, whole, tmp_path):
        def fail():
            os.kill(os.getpid(), signal.SIGTERM)
            raise OSError("the next batch is lost")

        save = ModelCheckpoint(tmp_path, save_last=True, save_top_k=0)
        with pytest.raises(OSError, match="the next batch is lost"):
            act = runs.Act(fail, 8, "on_before_optimizer_step")
            runs.train(config(), callbacks=[act, save], val_check_interval=4)
        again = runs.train(config(), str(tmp_path / "last.ckpt"), val_check_interval=4)
        assert is_rest_of(again, whole) and 2 * runs.BATCHES - len(again.seen) in (7, 8)

    def test_without_a_checkpoint_callback_signals_are_not_touched(self, config):
        before, during = signal.getsignal(signal.SIGINT), []
        runs.train(config(), callbacks=[runs.Act(lambda: during.append(signal.getsignal(signal.SIGINT)), 2)])
        assert during == [before]

    def test_signals_are_given_back(self, config, tmp_path):
        before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
        runs.train(config(), callbacks=[ModelCheckpoint(tmp_path)], max_epochs=1)
        assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


class TestOtherCheckpoints:
    def test_one_without_random_states_still_resumes(self, config, file, tmp_path):
        checkpoint = torch.load(file, weights_only=False)
        del checkpoint["exact_resume"]
        torch.save(checkpoint, tmp_path / "old.ckpt")
        steps = runs.train(config(), str(tmp_path / "old.ckpt"))
        assert max(step for _, _, step in steps.seen.values()) > 3

    def test_it_adds_plain_types_only(self, file):
        """So that `weights_only` reads them, and files stay readable without these patches."""
        added = torch.load(file, weights_only=False)["exact_resume"]
        torch.save(added, file.parent / "added.pt")
        assert torch.load(file.parent / "added.pt", weights_only=True)["place"]["batches"] == 3

    def test_another_batch_size_goes_on_at_the_same_utterance(self, config, file):
        steps = runs.train(config("model.train_ds.batch_size=3"), str(file), max_epochs=1)
        assert list(steps.seen) == [(0, 2)]  # 6 utterances are done, 3 more fill a batch

    def test_an_unseeded_run_can_be_resumed_seeded(self, config, file):
        steps = runs.train(config(seed="null"), str(file), max_epochs=1)
        assert list(steps.seen) == [(0, 3), (0, 4)]
