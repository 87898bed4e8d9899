# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

import pytest
import torch
from small_trainer import small_trainer

from nemo.collections.asr.models import EncDecMaskedTokenPredModel

MASKED, NEXT_2, NEXT_4 = None, 2, 4


@pytest.fixture
def build(nest_config):
    """Builds a tiny model: build(steps, optimizer); steps None for masked tokens."""

    def built(steps, optimizer="adamw", seed=0):
        cfg = nest_config()
        cfg.objective, cfg.preprocessor.dither = ("masked_tokens" if steps is None else "next_tokens"), 0.0
        if steps is not None:
            cfg.next_tokens = {"steps": steps}
        cfg.optim = {"name": optimizer, "lr": 1e-3}
        if optimizer == "adafactor":
            cfg.optim.relative_step = False
        torch.manual_seed(seed)
        return EncDecMaskedTokenPredModel(cfg)

    return built


def fit(model, folder, max_steps, ckpt_path=None):
    """Trains on the same two utterances at every step; returns the checkpoint that is saved, and the loss."""
    torch.manual_seed(3)
    batch = (0.1 * torch.randn(2, 16000), torch.tensor([16000, 9000]))
    data = torch.utils.data.DataLoader([0] * 100, batch_size=1, collate_fn=lambda _: batch)
    trainer = small_trainer(max_steps=max_steps, default_root_dir=folder)
    model.set_trainer(trainer)
    model._train_dl, model._validation_dl = data, None
    trainer.fit(model, ckpt_path=ckpt_path)
    path = str(folder / f"{max_steps}.ckpt")
    trainer.save_checkpoint(path)
    return path, float(trainer.callback_metrics.get("bits", 0.0))


CHANGES = [(MASKED, NEXT_2), (NEXT_2, MASKED), (NEXT_2, NEXT_4)]


class TestObjectiveChanges:
    @pytest.mark.parametrize("before, after", CHANGES)
    @pytest.mark.parametrize("strict", [True, False])
    def test_the_encoder_is_loaded_and_the_decoder_starts_anew(self, build, nemo_warnings, before, after, strict):
        source, target = build(before), build(after, seed=1)
        decoder = {name: value.clone() for name, value in target.decoder.state_dict().items()}
        target.load_state_dict(source.state_dict(), strict=strict)
        encoder = source.encoder.state_dict()
        assert all(torch.equal(value, encoder[name]) for name, value in target.encoder.state_dict().items())
        assert all(torch.equal(value, decoder[name]) for name, value in target.decoder.state_dict().items())
        heads = [before or 1, after or 1]
        said = [text for text in nemo_warnings() if f"decoder has {heads[0]} heads" in text]
        assert len(said) == 1 and f"has {heads[1]}" in said[0]

    @pytest.mark.representative("None-2-adamw", "2-4-adamw")
    @pytest.mark.parametrize(
        "before, after, optimizer",
        [(*change, "adamw") for change in CHANGES] + [(MASKED, NEXT_2, "adafactor"), (NEXT_2, NEXT_4, "novograd")],
    )
    def test_a_run_goes_on(self, build, tmp_path, before, after, optimizer):
        path, _ = fit(build(before, optimizer), tmp_path, 2)
        model = build(after, optimizer, seed=1)
        path, loss = fit(model, tmp_path, 3, ckpt_path=path)
        state = torch.load(path, map_location="cpu", weights_only=False)
        assert state["global_step"] == 3 and torch.isfinite(torch.tensor(loss))

    @pytest.mark.parametrize("before, after", [(MASKED, NEXT_2), (NEXT_2, NEXT_4)])
    def test_the_encoders_moments_are_taken_over(self, build, tmp_path, before, after):
        source, target = build(before), build(after, seed=1)
        path, _ = fit(source, tmp_path, 2)
        fit(target, tmp_path, 2, ckpt_path=path)  # it has been trained for 2 steps already
        states = [dict(model._optimizer.state) for model in (source, target)]
        pairs = list(zip(source.encoder.parameters(), target.encoder.parameters()))
        trained = [(states[0][one], states[1][other]) for one, other in pairs if one in states[0]]
        assert len(trained) > 50 and all(state["exp_avg"].any() for state, _ in trained)
        for one, other in trained:
            torch.testing.assert_close(one, other, rtol=0, atol=0)
        assert not any(parameter in states[1] for parameter in target.decoder.parameters())

    def test_moments_are_those_of_the_weights_that_were_loaded_last(self, build):
        model, other = build(NEXT_2), build(MASKED).state_dict()
        optimizer, _ = model.setup_optimization()
        for parameter in model.parameters():
            parameter.grad = torch.ones_like(parameter)
        optimizer.step()
        saved, own = optimizer.state_dict(), {name: value.clone() for name, value in model.state_dict().items()}
        for weights, kept in ((other, False), (own, True), (other, False)):
            model.load_state_dict(weights)
            optimizer.load_state_dict(saved)
            assert {"exp_avg" in optimizer.state[parameter] for parameter in model.decoder.parameters()} == {kept}

    def test_other_classes_are_pytorchs_error(self, build):
        other = build(NEXT_2)
        state = {**other.state_dict(), "decoder.decoder_layers.0.weight": torch.zeros(2 * 63, 32, 1)}
        with pytest.raises(RuntimeError, match="size mismatch"):
            build(NEXT_2).load_state_dict(state)


class TestTheSameObjective:
    @pytest.mark.parametrize("optimizer", ["adamw", "adafactor", "novograd"])
    def test_a_resumed_optimizer_is_as_it_was_saved(self, build, tmp_path, optimizer):
        path, _ = fit(build(NEXT_2, optimizer), tmp_path, 2)
        model = build(NEXT_2, optimizer, seed=1)
        resumed, _ = fit(model, tmp_path, 2, ckpt_path=path)
        before, after = (torch.load(p, map_location="cpu", weights_only=False) for p in (path, resumed))
        torch.testing.assert_close(before["optimizer_states"], after["optimizer_states"], rtol=0, atol=0)
        torch.testing.assert_close(before["state_dict"], after["state_dict"], rtol=0, atol=0)

    def test_training_lowers_the_loss(self, build, tmp_path):
        model = build(NEXT_2)
        assert fit(model, tmp_path, 15)[1] < fit(build(NEXT_2), tmp_path, 1)[1]

    def test_a_nemo_file_keeps_heads_and_config(self, build, tmp_path):
        model = build(NEXT_4)
        model.save_to(str(tmp_path / "a.nemo"))
        opened = EncDecMaskedTokenPredModel.restore_from(str(tmp_path / "a.nemo"), map_location="cpu")
        assert opened.cfg.decoder.num_decoders == 1 and opened.decoder.num_decoders == 4
        state = opened.state_dict()
        assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
