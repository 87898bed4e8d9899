# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0


import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from lightning.pytorch import Callback, Trainer
from memory_logger import MemoryLogger
from omegaconf import OmegaConf

from nemo.collections.asr.models import EncDecMaskedTokenPredModel

# nothing here is imported from the patches at the top: plain NeMo has to be able to run these tests, and to fail
BLOCK = {"enabled": True, "start_context": 10, "end_context": 50, "warmup_steps": 4, "every_n_steps": 1}
contexts = st.integers(1, 500)


def make_curriculum(*args, **kwargs):
    from nemo.collections.asr.parts.contexts.curriculum import ContextCurriculum

    return ContextCurriculum(*args, **kwargs)


def make_model(nest_config, trainer=None, n_layers=3):
    return EncDecMaskedTokenPredModel(nest_config(f"model.encoder.n_layers={n_layers}"), trainer)


def set_by_hand(model, points):
    for i, left in points:
        model.encoder.layers[i].self_attention.att_context_size = [left, 0]


class Recorder(Callback):
    """What the contexts and the masking are while each batch is trained."""

    def __init__(self):
        self.seen = {}

    def on_train_batch_end(self, trainer, pl_module, *_):
        lefts = [left for left, _ in pl_module.encoder.layer_contexts]
        # the optimizer has made its step already
        self.seen[trainer.global_step - 1] = (lefts, pl_module.mask_processor.left_context_size)


class ContextLogger(MemoryLogger):
    """Remembers what is logged of contexts, by step."""

    def log_metrics(self, metrics, step=None):
        ours = {name: value for name, value in metrics.items() if name.startswith("context/")}
        if ours:
            super().log_metrics(ours, step)


def set_contexts(model):
    set_by_hand(model, ((0, 20), (1, 40), (2, -1)))


def fit(nest_config, folder, curriculum, steps, resume=None, accumulate=1, prepare=None):
    """Trains a tiny model with layers of 20, 40 and unlimited left context; returns recorder, loggers, checkpoint."""
    recorder, loggers = Recorder(), [ContextLogger(), ContextLogger()]
    trainer = Trainer(
        max_steps=steps,
        accelerator="cpu",
        logger=loggers,
        callbacks=[curriculum, recorder],
        accumulate_grad_batches=accumulate,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=folder,
    )
    model = make_model(nest_config, trainer)
    (prepare or set_contexts)(model)
    batches = [(torch.randn(2, 8000) * 0.1, torch.tensor([8000, 6400])) for _ in range(3)]
    trainer.fit(model, torch.utils.data.DataLoader(batches, batch_size=None), ckpt_path=resume)
    checkpoint = f"{folder}/after_{steps}.ckpt"
    trainer.save_checkpoint(checkpoint)
    return recorder.seen, loggers, checkpoint


class TestCap:
    @given(start=contexts, end=contexts, warmup=st.integers(0, 300), every=st.integers(1, 9))
    def test_goes_monotonously_from_start_to_end(self, start, end, warmup, every):
        ramp = make_curriculum(start, end, warmup, every).ramp
        caps = [ramp.cap(step) for step in range(warmup + every + 1)]
        assert caps == sorted(caps, reverse=start > end)
        assert set(caps) <= set(range(min(start, end), max(start, end) + 1))
        assert caps[-1] == end and (caps[0] == start or warmup == 0)

    @given(steps=st.lists(st.integers(0, 120), min_size=1, max_size=6), every=st.integers(1, 9))
    def test_depends_on_the_step_alone(self, steps, every):
        once = make_curriculum(40, 320, 100, every)
        expected = round(40 + 280 * min(1, (steps[-1] - steps[-1] % every) / 100))
        curriculum, model = make_curriculum(40, 320, 100, every), FakeModel()
        for step in steps:
            metrics = curriculum.apply(model, step)
        assert metrics == once.apply(FakeModel(), steps[-1])
        if steps[-1] - steps[-1] % every < 100:
            assert metrics["context/cap"] == expected
        assert model.encoder.layer_contexts == [[min(left, metrics["context/cap"]), 0] for left in (40, 120, 320)]


class FakeModel:
    """The smallest thing with an encoder that can be capped; a real one takes longer to make than to check."""

    class Encoder:
        training, context_cap = False, None

        @property
        def layer_contexts(self):
            return [
                [min(left, self.context_cap.left), 0] if self.context_cap else [left, 0] for left in (40, 120, 320)
            ]

        def set_layer_contexts(self, contexts):
            raise NotImplementedError

    def __init__(self):
        self.encoder = self.Encoder()


class TestUpdate:
    def test_the_masking_gets_the_tightest_context_of_layers_that_were_set_by_hand(self, nest_config):
        model = make_model(nest_config, n_layers=14)
        set_by_hand(model, ((0, 40), (6, 120), (12, 320)))
        metrics = make_curriculum(400, 400, 0).apply(model, step=0)
        assert model.mask_processor.left_context_size == 40
        assert [model.encoder.layers[i].self_attn.att_context_size[0] for i in (0, 6, 12)] == [40, 120, 320]
        assert model.encoder.att_context_size[0] == metrics["context/widest"]
        assert metrics["context/tightest"] == 40 and metrics["context/cap"] == 400

    def test_encoder_and_masking_follow_the_cap(self, nest_config):
        model = make_model(nest_config)
        set_by_hand(model, ((0, 40), (1, 120), (2, 320)))
        curriculum = make_curriculum(20, 220, 100)
        for step, lefts in ((0, [20, 20, 20]), (50, [40, 120, 120]), (100, [40, 120, 220])):
            curriculum.apply(model, step)
            assert model.encoder.layer_contexts == [[left, 0] for left in lefts]
            assert model.encoder.att_context_size == [lefts[-1], 0]
            assert model.encoder.streaming_cfg.last_channel_cache_size == lefts[-1]
            assert model.mask_processor.left_context_size == lefts[0]

    def test_a_second_fit_caps_its_own_model_from_the_same_step_on(self):
        curriculum = make_curriculum(20, 220, 100)
        trainer = Trainer(accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False)
        for model in (FakeModel(), FakeModel()):
            curriculum.on_fit_start(trainer, model)
            curriculum.on_train_start(trainer, model)
            assert model.encoder.layer_contexts == [[20, 0]] * 3

    def test_a_model_that_masks_nothing_has_a_curriculum_too(self, nest_config):
        model = make_model(nest_config)
        model.mask_processor = None
        assert make_curriculum(20, 220, 100).apply(model, 0)["context/tightest"] == 20


class TestFit:
    def test_every_step_has_its_cap(self, nest_config, tmp_path):
        seen, loggers, _ = fit(nest_config, tmp_path, make_curriculum(10, 50, 4), steps=6)
        caps = [10, 20, 30, 40, 50, 50]
        assert seen == {step: ([min(20, cap), min(40, cap), cap], min(20, cap)) for step, cap in enumerate(caps)}
        for logger in loggers:
            assert logger.logged == {
                step: {"context/cap": cap, "context/tightest": min(20, cap), "context/widest": cap}
                for step, cap in enumerate(caps[:5])  # what does not change is not logged again
            }

    def test_the_contexts_narrow_where_start_is_above_end_and_hold_between_multiples(self, nest_config, tmp_path):
        seen, loggers, _ = fit(nest_config, tmp_path, make_curriculum(50, 10, 4, every_n_steps=2), steps=5)
        assert [lefts[2] for lefts, _ in seen.values()] == [50, 50, 30, 30, 10]
        assert list(loggers[0].logged) == [0, 2, 4]

    def test_steps_are_optimizer_steps(self, nest_config, tmp_path):
        seen, loggers, _ = fit(nest_config, tmp_path, make_curriculum(10, 50, 4), steps=2, accumulate=2)
        assert list(loggers[0].logged) == [0, 1]

    def test_a_resumed_run_has_the_contexts_of_one_that_was_never_interrupted(self, nest_config, tmp_path):
        whole, _, _ = fit(nest_config, tmp_path, make_curriculum(10, 50, 4), steps=5)
        first, _, checkpoint = fit(nest_config, tmp_path, make_curriculum(10, 50, 4), steps=2)
        second, loggers, _ = fit(nest_config, tmp_path, make_curriculum(10, 50, 4), steps=5, resume=checkpoint)
        assert list(second) == [2, 3, 4] and {**first, **second} == whole
        assert list(loggers[0].logged) == [2, 3, 4]
        saved = torch.load(checkpoint, map_location="cpu", weights_only=False)
        assert not any("ContextCurriculum" in name for name in saved["callbacks"])

    def test_a_model_without_what_it_takes_is_refused_before_the_first_step(self, nest_config, tmp_path):
        class Fork(torch.nn.Module):
            pass

        for name, missing in (("encoder", "Fork.*set_layer_contexts"), ("mask_processor", "Fork.*left_context_size")):

            def replace(model):
                setattr(model, name, Fork())

            with pytest.raises(ValueError, match=missing):
                fit(nest_config, tmp_path, make_curriculum(10, 50, 4), steps=1, prepare=replace)
        with pytest.raises(ValueError, match="Fork.*encoder"):
            make_curriculum(10, 50, 4).on_fit_start(None, Fork())


class TestFromConfig:
    def from_config(self, block):
        from nemo.collections.asr.parts.contexts.curriculum import ContextCurriculum

        return ContextCurriculum.from_config(block)

    def test_reads_dicts_and_omegaconf(self):
        interpolated = {**BLOCK, "end_context": "${start_context}"}
        assert self.from_config(BLOCK).ramp.cap(1) == 20
        assert self.from_config(OmegaConf.create(BLOCK)).ramp.cap(1) == 20
        assert self.from_config(OmegaConf.create(interpolated)).ramp.cap(4) == 10
        every = {name: value for name, value in BLOCK.items() if name != "every_n_steps"}
        assert self.from_config(every).ramp == self.from_config(BLOCK).ramp

    def test_the_shipped_block_is_valid(self, compose_config):
        block = compose_config("nest_hierarchical_streaming").model.curriculum_context
        enabled = self.from_config(OmegaConf.merge(block, {"enabled": True}))
        assert [enabled.ramp.cap(step) for step in (0, 50000, 100000)] == [40, 180, 320]
        assert self.from_config(OmegaConf.merge(block, {"enabled": False})) is None
        assert self.from_config(None) is None

    @pytest.mark.parametrize(
        "name, value",
        [
            ("start_context", 0),
            ("end_context", -1),
            ("warmup_steps", -1),
            ("every_n_steps", 0),
            ("start_context", 1.5),
            ("warmup_steps", True),
            ("start_context", None),
            ("start_contxt", 40),
        ],
    )
    def test_a_wrong_option_is_named_with_its_value(self, name, value):
        with pytest.raises(ValueError, match=f"{name}={value}"):
            self.from_config({**BLOCK, name: value})
        with pytest.raises(ValueError, match=name):
            self.from_config(OmegaConf.create({**BLOCK, name: value}))


class TestFromTheModelsConfig:
    """The model adds the curriculum of its config to the trainer, whoever makes the trainer."""

    def trained(self, nest_config, folder, block, *callbacks, trainer=None, steps=3):
        """The caps of the steps that a model with this block trained, and its trainer."""
        logger = ContextLogger()
        trainer = trainer or Trainer(
            max_steps=steps,
            accelerator="cpu",
            callbacks=list(callbacks),
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            default_root_dir=folder,
            logger=logger,
        )
        config = nest_config("model.encoder.n_layers=1")
        OmegaConf.update(config, "curriculum_context", block, force_add=True)
        model = EncDecMaskedTokenPredModel(config)
        batches = [(torch.randn(2, 8000) * 0.1, torch.tensor([8000, 6400])) for _ in range(3)]
        model.configure_optimizers = lambda: torch.optim.SGD(model.parameters(), lr=0.0)
        model._optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
        trainer.fit(model, torch.utils.data.DataLoader(batches, batch_size=None))
        return [values["context/cap"] for values in logger.logged.values()], trainer

    def test_a_config_is_enough(self, nest_config, tmp_path):
        assert self.trained(nest_config, tmp_path, BLOCK)[0] == [10, 20, 30]

    @pytest.mark.parametrize("block", [None, {**BLOCK, "enabled": False}])
    def test_without_one_there_is_none(self, nest_config, tmp_path, block):
        caps, trainer = self.trained(nest_config, tmp_path, block)
        assert caps == [] and not curricula(trainer)

    @pytest.mark.parametrize("subclass", [False, True])
    def test_one_that_the_trainer_was_given_is_used_alone(self, nest_config, tmp_path, subclass):
        by_hand = make_curriculum(7, 7, 0)
        if subclass:
            by_hand.__class__ = type("Own", (type(by_hand),), {})
        caps, trainer = self.trained(nest_config, tmp_path, BLOCK, by_hand)
        assert caps == [7] and curricula(trainer) == [by_hand]

    def test_a_trainer_that_is_used_again_has_the_new_models(self, nest_config, tmp_path):
        _, trainer = self.trained(nest_config, tmp_path, BLOCK)
        trainer.fit_loop.epoch_loop.max_steps = 6
        self.trained(nest_config, tmp_path, {**BLOCK, "start_context": 50, "end_context": 50}, trainer=trainer)
        assert [curriculum.ramp.cap(0) for curriculum in curricula(trainer)] == [50]

    def test_one_that_is_not_valid_stops_training_only(self, nest_config, tmp_path):
        model = make_model(nest_config)
        OmegaConf.update(model.cfg, "curriculum_context", {"start_context": 0}, force_add=True)
        model.save_to(str(tmp_path / "model.nemo"))
        model = EncDecMaskedTokenPredModel.restore_from(str(tmp_path / "model.nemo"), map_location="cpu")
        data = torch.utils.data.DataLoader([(torch.randn(1, 8000), torch.tensor([8000]))], batch_size=None)
        trainer = Trainer(accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False)
        trainer.validate(model, data, verbose=False)
        with pytest.raises(ValueError, match="start_context=0"):
            trainer.fit(model, data)

    def test_a_checkpoint_keeps_it(self, nest_config, tmp_path):
        config = nest_config("model.encoder.n_layers=1")
        OmegaConf.update(config, "curriculum_context", BLOCK, force_add=True)
        EncDecMaskedTokenPredModel(config).save_to(str(tmp_path / "model.nemo"))
        restored = EncDecMaskedTokenPredModel.restore_from(str(tmp_path / "model.nemo"), map_location="cpu")
        (curriculum,) = [callback for callback in restored.configure_callbacks() if hasattr(callback, "ramp")]
        assert [curriculum.ramp.cap(step) for step in (0, 4)] == [10, 50]


def curricula(trainer):
    from nemo.collections.asr.parts.contexts.curriculum import ContextCurriculum

    return [callback for callback in trainer.callbacks if isinstance(callback, ContextCurriculum)]
