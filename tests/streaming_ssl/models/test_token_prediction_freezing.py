# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""What is frozen while a trainer fits, and that nothing else notices."""


import pytest
import rank_runs
import torch

from nemo.collections.asr.models import EncDecMaskedTokenPredModel, _ssl_models_base

BATCHES = [(1, (1.2, 0.7)), (2, (0.5, 0.9))]
ONE = {"devices": 1, "strategy": "auto"}
CONSTANT = ["~model.optim.sched", "model.optim.lr=0.001"]  # AdamW


@pytest.fixture
def run(nest_config):
    """run(position, *overrides): one to fit in this process."""

    def made(position, *overrides, **options):
        cfg = nest_config(f"model.mask_position={position}", *CONSTANT, *overrides, **options)
        return {"model": "masked", "cfg": cfg}

    return made


def trains_the_subsampling(model):
    """Whether gradients come to the subsampling of a model that masks nothing."""
    audio, lengths, _, _ = rank_runs.make_batch("masked", *BATCHES[0])
    model.zero_grad()
    model(input_signal=audio, input_signal_length=lengths, apply_mask=False)[0].sum().backward()
    gradients = [p.grad for p in model.encoder.pre_encode.pre_encode.parameters()]
    return all(gradient is not None and gradient.abs().sum() > 0 for gradient in gradients)


class Interrupt(rank_runs.Callback):
    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        self.frozen = [name for name, p in pl_module.named_parameters() if not p.requires_grad]
        raise ArithmeticError("a step failed")


class TestFreezing:
    @pytest.mark.parametrize("position", ["pre_conv", "post_conv"])
    def test_while_a_trainer_fits_and_not_longer(self, run, position):
        made = run(position, "model.quantizer.freeze=false", "model.masking.freeze=false")
        model, interrupt = rank_runs.build(made), Interrupt()
        with pytest.raises(ArithmeticError):
            trainer = rank_runs.make_trainer(callbacks=[interrupt], **ONE)
            trainer.fit(model, rank_runs.loader("masked", BATCHES))
        expected = {"quantizer.proj.weight", "quantizer.codebooks"}
        if position == "post_conv":
            expected |= {f"encoder.pre_encode.{name}" for name, _ in model.encoder.pre_encode.named_parameters()}
        assert set(interrupt.frozen) == expected
        assert all(p.requires_grad for p in model.parameters())

    def test_without_a_mask_the_subsampling_is_trained(self, run):
        model = rank_runs.build(run("post_conv"))
        assert trains_the_subsampling(model)
        rank_runs.make_trainer(max_steps=1, **ONE).fit(model, rank_runs.loader("masked", BATCHES))
        assert trains_the_subsampling(model)

    def test_a_subclass_that_changes_the_step_keeps_its_gradients(self, run):
        class OwnStep(EncDecMaskedTokenPredModel):
            def training_step(self, batch, batch_idx=0):
                loss = self._loss_of(batch, apply_mask=False, metrics=None)
                return loss + 0 * self.forward(input_signal=batch[0], input_signal_length=batch[1])[0].mean()

        class OwnName(EncDecMaskedTokenPredModel):
            pass

        for model_class, frozen in ((OwnStep, 0), (OwnName, 12)):
            model, seen = model_class(run("post_conv")["cfg"]), rank_runs.Steps()
            trainer = rank_runs.make_trainer(callbacks=[seen], **ONE)
            trainer.fit(model, rank_runs.loader("masked", BATCHES))
            assert len(seen.frozen) - len([p for p in model.parameters() if not p.requires_grad]) == frozen
            assert seen.untrained == []

    def test_optimizer_states_of_nemos_checkpoints_fit(self, run, tmp_path):
        made = run("post_conv", "model.quantizer.combine_time_steps=1", like_nemo=True)
        file = tmp_path / "nemo.ckpt"
        model, trainer = _ssl_models_base.EncDecMaskedTokenPredModel(made["cfg"]), rank_runs.make_trainer(**ONE)
        trainer.fit(model, rank_runs.loader("masked", BATCHES))
        trainer.save_checkpoint(file)
        saved = torch.load(file, weights_only=False)["optimizer_states"][0]
        model = EncDecMaskedTokenPredModel(made["cfg"])
        trainer = rank_runs.make_trainer(max_epochs=2, **ONE)
        trainer.fit(model, rank_runs.loader("masked", BATCHES), ckpt_path=file)
        state = trainer.optimizers[0].state_dict()
        assert state["param_groups"][0]["params"] == saved["param_groups"][0]["params"]
        assert state["state"].keys() == saved["state"].keys()
        assert {float(of["step"]) for of in state["state"].values()} == {2.0 * len(BATCHES)}
        assert trainer.global_step == 2 * len(BATCHES)
