# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0


import lightning.pytorch as pl
import precision_runs as runs
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.plugins.precision import MixedPrecision
from torch._subclasses.fake_tensor import FakeTensorMode

from nemo.collections.asr.models import EncDecDenoiseMaskedTokenPredModel, EncDecMaskedTokenPredModel
from nemo.collections.asr.parts.nonfinite import NonfiniteSteps, callback
from nemo.collections.asr.parts.nonfinite.ranks import find, flags_of

# in a fork, too, where `tests` is NeMo's


SKIP, RAISE = "model.on_nonfinite=skip", "model.on_nonfinite=raise"
# the learning rate changes at each step, so that a step too many shows
SCHEDULE = ["model.optim.sched.warmup_steps=3"]


class BreakGradients(pl.Callback):
    """Makes a gradient infinite in some batches, while the loss is finite."""

    def __init__(self, *batches):
        self.batches, self.now = batches, None

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        self.now = batch_idx

    def on_after_backward(self, trainer, pl_module):
        if self.now in self.batches:
            next(pl_module.decoder.parameters()).grad.view(-1)[3] = torch.inf


def cpu_scaler(scale=2.0**10):
    return MixedPrecision("16-mixed", "cpu", scaler=torch.amp.GradScaler("cpu", init_scale=scale))


def state_of(model, trainer):
    """Everything that a step changes."""
    optimizer = {k: v for k, v in enumerate(trainer.optimizers[0].state_dict()["state"].values())}
    schedulers = [config.scheduler.state_dict() for config in trainer.lr_scheduler_configs]
    return dict(model.state_dict()), optimizer, schedulers, dict(model.train_metrics.metric_state)


class TestSkip:
    @pytest.mark.parametrize("model_class", runs.MODELS)
    @pytest.mark.parametrize("position", runs.POSITIONS)
    def test_a_bad_batch_leaves_no_trace(self, nest_config, model_class, position):
        options = [SKIP, f"model.mask_position={position}", *SCHEDULE]
        states = []
        for numbers in ([1, 2, -9, 3, 4], [1, 2, 3, 4]):
            model, trainer, watch = runs.fit(nest_config, model_class, numbers, *options)
            states.append(state_of(model, trainer))
            assert trainer.global_step == len(numbers)
        torch.testing.assert_close(*states, rtol=0, atol=0)
        assert runs.all_finite(model.parameters())

    def test_neither_does_it_in_statistics_of_batch_norms(self, nest_config):
        options = ["+model.on_nonfinite=skip", *SCHEDULE]
        states = []
        for numbers in ([1, -9, 2], [1, 2]):
            model, trainer, _ = runs.fit(nest_config, EncDecMaskedTokenPredModel, numbers, *options, like_nemo=True)
            states.append(state_of(model, trainer))
        assert any("running_mean" in name for name in states[0][0])
        torch.testing.assert_close(*states, rtol=0, atol=0)

    @pytest.mark.parametrize("numbers", [[1, 2, -9, 3, 4, 5], [1, 2, 3, -9, 4, 5]])
    def test_it_spoils_all_that_is_accumulated_with_it(self, nest_config, numbers):
        states = []
        for batches in (numbers, [1, 2, 4, 5]):
            run = runs.fit(nest_config, runs.MODELS[1], batches, SKIP, *SCHEDULE, accumulate_grad_batches=2)
            states.append(state_of(*run[:2])[:3])  # the good one of the two is in the metrics
            assert run[1].global_step == len(batches) // 2
        torch.testing.assert_close(*states, rtol=0, atol=0)

    @pytest.mark.parametrize("algorithm", ["norm", "value"])
    def test_a_gradient_that_is_not_finite_is_enough(self, nest_config, algorithm, nemo_warnings):
        clip = {"gradient_clip_val": 0.1, "gradient_clip_algorithm": algorithm}
        model, _, watch = runs.fit(nest_config, runs.MODELS[1], [1, 2, 3], SKIP, callbacks=[BreakGradients(1)], **clip)
        expected, _, _ = runs.fit(nest_config, runs.MODELS[1], [1, 3], SKIP, **clip)
        torch.testing.assert_close(dict(model.state_dict()), dict(expected.state_dict()), rtol=0, atol=0)
        assert any("step 1: the losses are finite, the gradients are not" in text for text in nemo_warnings())

    def test_it_is_counted_in_the_log(self, nest_config):
        model, trainer, _ = runs.fit(nest_config, runs.MODELS[1], [1, -9, 2, -8, 3], SKIP)
        assert trainer.callback_metrics["train_skipped_steps"] == 2
        assert trainer.progress_bar_metrics["skipped"] == 2
        assert runs.all_finite(value for name, value in trainer.callback_metrics.items() if name.startswith("train_"))

    def test_a_run_without_any_says_0(self, nest_config):
        _, trainer, _ = runs.fit(nest_config, runs.MODELS[1], [1], SKIP)
        assert trainer.callback_metrics["train_skipped_steps"] == 0
        assert "skipped" not in trainer.progress_bar_metrics

    def test_warnings_are_no_flood(self, nest_config, nemo_warnings, monkeypatch):
        monkeypatch.setattr(callback, "MOST_WARNINGS", 2)
        runs.fit(nest_config, runs.MODELS[1], [-1, 1, -2, -3, -4], SKIP)
        texts = [text for text in nemo_warnings() if "on_nonfinite=skip: step" in text]
        assert len(texts) == 2 and "Further ones are only counted" in texts[1]
        assert any("4 steps of this epoch were skipped" in text for text in nemo_warnings())

    def test_a_run_that_learns_nothing_any_more_ends(self, nest_config, monkeypatch):
        monkeypatch.setattr(callback, "MOST_IN_A_ROW", 3)
        with pytest.raises(FloatingPointError, match="step 4: .*\n.*\n3 steps in a row were skipped"):
            runs.fit(nest_config, runs.MODELS[1], [-1, 1, -2, -3, -4, 2], SKIP)

    def test_a_scheduler_that_counts_epochs_goes_on(self, nest_config):
        class PerEpoch(EncDecMaskedTokenPredModel):
            def configure_optimizers(self):
                self._optimizer = optimizer = torch.optim.SGD(self.parameters(), lr=1.0)
                scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=1, gamma=0.5)
                return [optimizer], [{"scheduler": scheduler, "interval": "epoch"}]

        _, trainer, _ = runs.fit(nest_config, PerEpoch, [1, -9], SKIP)
        assert trainer.optimizers[0].param_groups[0]["lr"] == 0.5


class TestRaise:
    @pytest.mark.parametrize("model_class", runs.MODELS)
    def test_the_error_names_step_rank_and_batch(self, nest_config, model_class):
        message = (
            r"on_nonfinite=raise: step 2: the loss is not finite:\n  rank 0: batch 2 \(.*\)\nThe weights are those"
        )
        with pytest.raises(FloatingPointError, match=message):
            runs.fit(nest_config, model_class, [1, 2, -9, 3], RAISE)

    def test_no_checkpoint_has_broken_weights(self, nest_config, tmp_path):
        saving = ModelCheckpoint(tmp_path, every_n_train_steps=1, save_top_k=-1, save_last=True)
        with pytest.raises(FloatingPointError):
            runs.fit(nest_config, runs.MODELS[1], [1, 2, -9, 3], RAISE, callbacks=[saving], enable_checkpointing=True)
        files = list(tmp_path.glob("*.ckpt"))
        assert len(files) == 3
        for file in files:
            weights = torch.load(file, weights_only=False)["state_dict"]
            assert runs.all_finite(weights.values())

    def test_only_bad_batches_of_those_accumulated_are_named(self, nest_config):
        with pytest.raises(FloatingPointError) as error:
            runs.fit(nest_config, runs.MODELS[1], [1, 2, 3, -9], RAISE, accumulate_grad_batches=2)
        assert "step 1" in str(error.value) and "batch 3 " in str(error.value) and "batch 2" not in str(error.value)

    def test_if_only_gradients_are_bad_all_batches_are_named(self, nest_config):
        with pytest.raises(FloatingPointError) as error:
            options = dict(accumulate_grad_batches=2, callbacks=[BreakGradients(1)])
            runs.fit(nest_config, runs.MODELS[1], [1, 2], RAISE, **options)
        assert "batch 0 " in str(error.value) and "batch 1 " in str(error.value)


class TestOff:
    @pytest.mark.parametrize("option", ["model.on_nonfinite=null", "~model.on_nonfinite"])
    def test_it_is_nemo_which_trains_on_and_adds_nothing(self, nest_config, option):
        model, trainer, watch = runs.fit(nest_config, runs.MODELS[1], [1, -9, 2], option)
        assert not any(isinstance(c, NonfiniteSteps) for c in trainer.callbacks)
        assert not runs.all_finite(model.encoder.parameters()) and len(watch.losses) == 3

    def test_good_steps_are_the_same_with_it(self, nest_config):
        states = []
        for action in ("null", "raise", "skip"):
            run = runs.fit(nest_config, runs.MODELS[1], [1, 2, 3], f"model.on_nonfinite={action}", *SCHEDULE)
            states.append((state_of(*run[:2]), run[2].losses))
        torch.testing.assert_close(states[0], states[1], rtol=0, atol=0)
        torch.testing.assert_close(states[0], states[2], rtol=0, atol=0)

    def test_another_value_is_refused(self, nest_config):
        with pytest.raises(ValueError, match="on_nonfinite='stop': must be one of raise, skip, null"):
            EncDecMaskedTokenPredModel(nest_config("model.on_nonfinite=stop"))

    def test_an_option_that_nemo_ignores_here_is_said(self, nest_config, nemo_warnings):
        EncDecMaskedTokenPredModel(nest_config("model.on_nonfinite=null", "+model.skip_nan_grad=true"))
        assert any("skip_nan_grad" in text and "on_nonfinite=skip" in text for text in nemo_warnings())


class TestWithAGradientScaler:
    @pytest.mark.parametrize("action", [SKIP, RAISE])
    def test_infinite_gradients_are_how_it_finds_its_scale(self, nest_config, action):
        plugin = cpu_scaler(2.0**40)
        _, trainer, watch = runs.fit(nest_config, runs.MODELS[1], [1, 2, 3], action, plugins=[plugin])
        assert plugin.scaler.get_scale() < 2.0**40 and torch.tensor(watch.losses).isfinite().all()
        assert trainer.callback_metrics.get("train_skipped_steps", 0) == 0

    def test_a_bad_loss_is_counted_and_changes_nothing(self, nest_config):
        states = []
        for numbers in ([1, -9, 2], [1, 2]):
            model, trainer, _ = runs.fit(nest_config, runs.MODELS[1], numbers, SKIP, *SCHEDULE, plugins=[cpu_scaler()])
            states.append(state_of(model, trainer))
            assert trainer.callback_metrics["train_skipped_steps"] == len(numbers) - 2
        # gradients are scaled by powers of two, so another scale rounds nothing
        torch.testing.assert_close(*states, rtol=1e-5, atol=1e-6)

    def test_a_bad_loss_raises(self, nest_config):
        with pytest.raises(FloatingPointError, match="step 1: the loss is not finite"):
            runs.fit(nest_config, runs.MODELS[1], [1, -9, 2], RAISE, plugins=[cpu_scaler()])


class TestValidation:
    def test_it_is_named(self, nest_config):
        with pytest.raises(FloatingPointError, match=r"validation: the loss is not finite:\n  rank 0: batch 1 "):
            runs.fit(nest_config, runs.MODELS[1], [1], RAISE, validation=[5, -9, 6])

    def test_it_is_left_out_of_mean_and_metrics(self, nest_config, nemo_warnings):
        found = []
        for numbers in ([5, 6, -9], [5, 6]):
            _, trainer, _ = runs.fit(nest_config, runs.MODELS[1], [1], SKIP, validation=numbers)
            found.append({name: x for name, x in trainer.callback_metrics.items() if name.startswith("val_")})
        torch.testing.assert_close(*found)
        assert "val_loss" in found[0] and any("validation: the loss" in text for text in nemo_warnings())

    def test_if_there_is_nothing_else_the_mean_says_it(self, nest_config):
        _, trainer, _ = runs.fit(nest_config, runs.MODELS[1], [1], SKIP, validation=[-9])
        assert trainer.callback_metrics["val_loss"].isnan()


class TestFinding:
    @pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
    @pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.float64])
    def test_one_bad_number_is_found(self, value, dtype):
        gradients = [torch.full((3, 4), 0.1), torch.full((7,), 0.1, dtype=dtype), torch.zeros(0)]
        good = torch.tensor(1.0)
        assert find([good], gradients, good.device) is None
        gradients[1][5] = value
        assert find([good], gradients, good.device).gradients
        findings = find([good, torch.tensor(value, dtype=dtype)], gradients[:1], good.device)
        assert findings.ranks == (0,) and findings.own == (False, True) and not findings.gradients

    def test_a_large_gradient_is_finite(self):
        # its norm is not
        gradients = [torch.full((100,), 3e38), torch.full((9,), 6e4, dtype=torch.float16)]
        assert find([torch.tensor(1.0)], gradients, torch.device("cpu")) is None

    def test_without_losses_or_gradients_nothing_is_found(self):
        assert find([], [], torch.device("cpu")) is None

    def test_on_a_device_nothing_waits_but_the_last_look(self):
        with FakeTensorMode(allow_non_fake_inputs=True):
            loss = torch.empty((), device="cuda:0")
            gradients = [torch.empty(3, 4, device="cuda:0"), torch.empty(7, device="cuda:0", dtype=torch.float16)]
            own, flags = flags_of([loss, loss], gradients, loss.device)
            assert own.shape == (2,) and flags.shape == (2,) and own.device == flags.device == loss.device

    @pytest.mark.run_only_on("GPU")
    def test_on_a_gpu_nothing_waits_but_the_last_look(self):
        loss = torch.ones((), device="cuda")
        gradients = [torch.ones(3, 4, device="cuda"), torch.full((7,), torch.inf, device="cuda", dtype=torch.float16)]
        torch.cuda.set_sync_debug_mode("error")
        try:
            _, flags = flags_of([loss, loss], gradients, loss.device)
        finally:
            torch.cuda.set_sync_debug_mode("default")
        assert flags.tolist() == [0, 1]

    @pytest.mark.run_only_on("GPU")
    @pytest.mark.parametrize("precision", ["32", "bf16-mixed", "16-mixed"])
    def test_on_a_gpu_a_bad_batch_is_skipped(self, nest_config, precision):
        options = dict(accelerator="gpu", precision=precision)
        model, trainer, _ = runs.fit(nest_config, EncDecDenoiseMaskedTokenPredModel, [1, -9, 2], SKIP, **options)
        assert trainer.callback_metrics["train_skipped_steps"] == 1 and runs.all_finite(model.parameters())
