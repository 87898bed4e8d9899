# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Fine-tuning runs: what is frozen and for how long, rates of parts, what is shown, and whole runs of the script."""

import os
import signal
from functools import partial
from types import SimpleNamespace

import finetune_streaming_asr
import finetuning_runs
import lightning.pytorch
import numpy as np
import pytest
import resume_runs
import torch
from lightning.pytorch.callbacks import Callback
from omegaconf import OmegaConf

from nemo.collections.asr.models import ASRModel
from nemo.collections.asr.parts.finetuning import BlankShare, FineTuning, FreezeEncoder
from nemo.collections.asr.parts.finetuning.run import ONE_RATE, check_rates
from nemo.collections.asr.parts.streaming import StreamingRecognizer
from nemo.core.optim.lr_scheduler import AVAILABLE_SCHEDULERS

PLAIN = ["model.streaming=false"]
NEMO_SCHEDULERS = sorted(name for name, cls in AVAILABLE_SCHEDULERS.items() if cls.__module__.startswith("nemo."))


@pytest.fixture(scope="module")
def manifests(tmp_path_factory):
    return finetuning_runs.make_data(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def files(nest_config, tmp_path_factory):
    """Pretrained files by name: one with batch norms, one that streams."""
    folder = tmp_path_factory.mktemp("pretrained")
    made = {"plain NeMo": folder / "plain.nemo", "contexts per layer": folder / "layers.nemo"}
    for name, file in made.items():
        finetuning_runs.pretrain(nest_config, name).save_to(str(file))
    return made


@pytest.fixture
def configured(compose_config, manifests, files):
    def get(*overrides, name="contexts per layer", kind="ctc"):
        return finetuning_runs.finetuning_config(compose_config, files[name], manifests, *overrides, kind=kind)

    return get


class Weights(Callback):
    """Encoder and decoder after each optimizer step, the first entry being before any; and the rates."""

    def __init__(self):
        self.encoder, self.decoder, self.rates, self.first = [], [], [], 0

    def _add(self, model):
        for kept, part in ((self.encoder, model.encoder), (self.decoder, model.decoder)):
            kept.append({name: tensor.clone() for name, tensor in part.state_dict().items()})

    def on_train_start(self, trainer, pl_module):
        self.first = trainer.global_step
        self._add(pl_module)

    def on_train_batch_end(self, trainer, pl_module, *_):
        self._add(pl_module)
        self.rates.append([group["lr"] for group in trainer.optimizers[0].param_groups])

    def unchanged(self, step):
        """Whether a step, counted from 0, has left the encoder alone, batch norms included."""
        before, after = self.encoder[step - self.first : step - self.first + 2]
        return all(torch.equal(tensor, before[name]) for name, tensor in after.items())


def fit(cfg, folder, resume=None, callbacks=(), **options):
    """Trains; returns weights after each step and the trainer."""
    weights = Weights()
    trainer = finetuning_runs.trainer_for(cfg, [weights, *callbacks], **options)
    model = finetuning_runs.built(cfg, folder, trainer)
    trainer.fit(model, ckpt_path=resume)
    return weights, trainer


class TestFreezing:
    def test_the_encoder_keeps_weights_and_statistics_until_the_step(self, configured, tmp_path):
        cfg = configured("freeze_encoder_steps=2", "trainer.gradient_clip_val=0.1", *PLAIN, name="plain NeMo")
        weights, trainer = fit(cfg, tmp_path)
        assert [weights.unchanged(step) for step in range(4)] == [True, True, False, False]
        heads = [state["decoder_layers.0.weight"] for state in weights.decoder]
        assert not any(map(torch.equal, heads, heads[1:]))
        # statistics of batch norms move again, and nothing is left in eval mode
        name = "layers.0.conv.batch_norm.running_mean"
        assert not torch.equal(weights.encoder[2][name], weights.encoder[4][name])
        trained = [state for state in trainer.optimizers[0].state.values() if state]
        assert {int(state["step"]) for state in trained} == {2, 4}  # the encoder's moments begin at the thaw

    def test_the_head_learns_what_it_would_with_an_encoder_that_never_moves(self, configured, tmp_path):
        def head(*overrides):
            constant = "~model.optim.sched", "model.encoder.dropout=0", "trainer.gradient_clip_val=0"
            torch.manual_seed(1)
            return fit(configured(*constant, *overrides), tmp_path, max_steps=3)[0].decoder[-1]

        frozen, moving = head("freeze_encoder_steps=3"), head()
        still = head("model.optim_param_groups.encoder.lr=0.0")
        assert all(torch.equal(frozen[name], still[name]) for name in frozen)
        assert not all(torch.equal(frozen[name], moving[name]) for name in frozen)

    def test_a_resumed_run_goes_on_frozen_or_not(self, configured, tmp_path):
        class Save(Callback):
            def on_train_batch_end(self, trainer, *_):
                trainer.save_checkpoint(tmp_path / f"{trainer.global_step}.ckpt")

        cfg = configured("freeze_encoder_steps=2")
        fit(cfg, tmp_path, callbacks=[Save()], max_steps=3, enable_checkpointing=False)
        for start, expected in ((1, [True, False, False]), (3, [False])):
            weights, _ = fit(configured("freeze_encoder_steps=2"), tmp_path, resume=tmp_path / f"{start}.ckpt")
            assert [weights.unchanged(step) for step in range(start, 4)] == expected

    def test_accumulated_batches_count_as_one_step(self, configured, tmp_path):
        cfg = configured("freeze_encoder_steps=1", "trainer.accumulate_grad_batches=2")
        weights, _ = fit(cfg, tmp_path, max_steps=2)
        assert [weights.unchanged(batch) for batch in range(4)] == [True, True, True, False]

    def test_as_many_steps_as_asked_for_leave_the_encoder_alone(self):
        frozen = FreezeEncoder(2)
        steps = [SimpleNamespace(global_step=step) for step in range(4)]
        assert [frozen.is_frozen(trainer) for trainer in steps] == [True, True, False, False]

    def test_a_run_that_trains_no_encoder_is_warned_of(self, configured, tmp_path, nemo_warnings):
        fit(configured("freeze_encoder_steps=9"), tmp_path, max_steps=1)
        assert any("freeze_encoder_steps=9: the encoder is not trained" in line for line in nemo_warnings())

    @pytest.mark.parametrize("steps", [-1, 1.5, True])
    def test_steps_are_whole_numbers(self, steps):
        with pytest.raises(ValueError, match="freeze_encoder_steps"):
            FreezeEncoder(steps)


class TestRates:
    def test_the_encoder_has_its_own_at_every_step(self, configured, tmp_path):
        weights, _ = fit(configured("model.optim.sched.min_lr=0"), tmp_path)
        assert weights.rates[0][0] > 0
        assert all(encoder == pytest.approx(rest / 4) for rest, encoder in weights.rates)

    @pytest.mark.parametrize("name", NEMO_SCHEDULERS)
    def test_schedulers_that_are_not_refused_keep_them_apart(self, name):
        """The list of those that do not is right for the NeMo that is installed."""
        parameters = [torch.nn.Parameter(torch.ones(1)) for _ in range(2)]
        optimizer = torch.optim.SGD([{"params": parameters[:1]}, {"params": parameters[1:], "lr": 0.25}], lr=1.0)
        options = {"constant_steps": 2} if name.startswith("T5") else {"warmup_steps": 2}
        options |= {"d_model": 16} if name == "NoamAnnealing" else {"hold_steps": 2} if "Hold" in name else {}
        cls = AVAILABLE_SCHEDULERS[name]
        scheduler = cls(optimizer, max_steps=20, **options)
        apart = []
        for _ in range(10):
            optimizer.step()
            scheduler.step()
            first, second = (group["lr"] for group in optimizer.param_groups)
            apart.append(second == pytest.approx(first / 4))
        assert all(apart) == (name not in ONE_RATE)

    def config(self, **sched):
        groups = {"encoder": {"lr": 1e-3}}
        return OmegaConf.create({"optim": {"lr": 4e-3, "sched": sched}, "optim_param_groups": groups})

    @pytest.mark.parametrize("name", ONE_RATE)
    def test_schedulers_with_one_rate_are_refused(self, name):
        with pytest.raises(ValueError, match=f"sched.name={name} gives all parts of the model one rate"):
            check_rates(self.config(name=name))

    def test_cosine_with_constant_steps_is_one_of_them(self):
        with pytest.raises(ValueError, match="CosineAnnealing with constant_steps"):
            check_rates(self.config(name="CosineAnnealing", constant_steps=10))
        check_rates(self.config(name="CosineAnnealing", min_lr=1e-6))

    def test_a_rate_below_the_least_is_named(self):
        with pytest.raises(ValueError, match="encoder.lr=0.001: must be at least model.optim.sched.min_lr=0.002"):
            check_rates(self.config(name="CosineAnnealing", min_lr=2e-3))

    def test_without_groups_any_scheduler_will_do(self):
        cfg = self.config(name="WarmupAnnealing")
        cfg.optim_param_groups = None
        check_rates(cfg)


class TestWhatIsShown:
    @pytest.mark.parametrize("kind", ["ctc", "rnnt"])
    def test_the_progress_bar_has_the_error_rate_that_nemo_logs(self, kind, configured, tmp_path):
        _, trainer = fit(configured("model.validation_ds.batch_size=1", kind=kind), tmp_path, max_steps=2)
        shown, logged = trainer.progress_bar_metrics, trainer.callback_metrics
        assert shown["wer"] == pytest.approx(float(logged["val_wer"]))
        assert ("val_blank_share" in logged) == ("val_blank_share" in shown) == (kind == "ctc")

    def test_the_share_of_blanks_is_that_of_the_frames_within_utterances(self, configured, tmp_path):
        cfg = configured("model.validation_ds.batch_size=2")
        trainer = finetuning_runs.trainer_for(cfg)
        model = finetuning_runs.built(cfg, tmp_path, trainer)
        logged = trainer.validate(model, verbose=False)[0]
        model.eval()
        blanks = frames = 0
        with torch.no_grad():
            for audio, lengths, *_ in model.val_dataloader():
                log_probs, encoded_len, best = model(input_signal=audio, input_signal_length=lengths)
                for row, length in zip(best, encoded_len.tolist()):
                    blanks, frames = blanks + int((row[:length] == log_probs.size(2) - 1).sum()), frames + length
        assert 0 < frames and logged["val_blank_share"] == pytest.approx(blanks / frames)

    def test_blanks_of_the_padding_are_not_counted(self):
        encoder, decoder, logged = torch.nn.Identity(), torch.nn.Identity(), {}
        decoder.num_classes_with_blank = 3  # the last one is the blank
        model = SimpleNamespace(
            encoder=encoder, decoder=decoder, log=lambda name, value, **_: logged.update({name: value})
        )
        shares = BlankShare()
        shares.on_validation_start(None, model)
        encoder((None, torch.tensor([2, 4])))
        decoder(torch.nn.functional.one_hot(torch.tensor([[0, 2, 2, 2], [1, 0, 1, 2]])).float())
        shares.on_validation_epoch_end(None, model)
        assert logged == {"val_blank_share": pytest.approx(2 / 6)}

    def test_a_collapse_is_warned_of(self, configured, tmp_path, nemo_warnings):
        cfg = configured()
        trainer = finetuning_runs.trainer_for(cfg)
        model = finetuning_runs.built(cfg, tmp_path, trainer)
        with torch.no_grad():
            model.decoder.decoder_layers[0].bias[-1] += 100.0
        assert trainer.validate(model, verbose=False)[0]["val_blank_share"] == 1.0
        assert any("val_blank_share=1.0000 at step 0: the model writes next to nothing" in w for w in nemo_warnings())
        callback = next(c for c in trainer.callbacks if isinstance(c, BlankShare))
        assert not model.encoder._forward_hooks and not model.decoder._forward_hooks and callback is not None


class TestChecksBeforeTraining:
    def test_audio_that_is_not_there_is_named(self, configured, tmp_path):
        data = finetuning_runs.make_data(tmp_path)
        (tmp_path / "train1.wav").unlink()
        options = [f"model.train_ds.manifest_filepath={data['train']}", "model.on_bad_audio=raise"]
        with pytest.raises(ValueError, match="train1.wav"):
            FineTuning(configured(*options))

    def test_a_text_that_is_not_there_is_named(self, configured, tmp_path):
        data = finetuning_runs.make_data(tmp_path, {"train": ("one", None)})
        with pytest.raises(
            ValueError, match="model.train_ds.manifest_filepath=.*train.json: 1 lines have no `text`: 2"
        ):
            FineTuning(configured(f"model.train_ds.manifest_filepath={data['train']}"))

    def test_a_manifest_that_is_not_there_is_named(self, configured):
        with pytest.raises(ValueError, match="manifest_filepath=nowhere.json: there is no such file"):
            FineTuning(configured("model.validation_ds.manifest_filepath=nowhere.json"))

    def test_whether_contexts_may_be_others_is_true_or_false(self, configured):
        with pytest.raises(ValueError, match="pretrained.other_contexts='perhaps': must be one of True, False, null"):
            FineTuning(configured("pretrained.other_contexts=perhaps"))

    def test_nothing_is_written_before_all_is_checked(self, configured, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        with pytest.raises(ValueError, match="contradicts"):
            FineTuning(configured("+model.encoder.n_layers=3"))
        FineTuning(configured("model.tokenizer.type=bpe", "model.tokenizer.vocab_size=30"))
        assert not list(tmp_path.iterdir())

    def test_a_curriculum_of_contexts_goes_on(self, configured, tmp_path):
        block = "{enabled: true, start_context: 2, end_context: 8, warmup_steps: 4}"
        cfg = configured(f"+model.curriculum_context={block}")
        seen = []

        class See(Callback):
            def on_train_batch_end(self, trainer, pl_module, *_):
                seen.append([context[0] for context in pl_module.encoder.layer_contexts])

        fit(cfg, tmp_path, callbacks=[See()], max_steps=4)
        assert seen[0] == [2, 2] and seen[-1] == [4, 6]


class TestScript:
    @pytest.mark.representative("ctc-char")
    @pytest.mark.parametrize("kind, vocabulary", [("ctc", "char"), ("rnnt", "bpe")])
    def test_ends_with_a_file_that_streams(self, kind, vocabulary, configured, tmp_path):
        options = [f"model.tokenizer.type={vocabulary}", "model.tokenizer.vocab_size=30", "trainer.max_steps=2"]
        options += [f"exp_manager.exp_dir={tmp_path}", "freeze_encoder_steps=1"]
        finetune_streaming_asr.main(configured(*options, kind=kind))
        (file,) = tmp_path.rglob("*.nemo")
        model = ASRModel.restore_from(str(file), map_location="cpu").eval()
        (config,) = map(OmegaConf.load, tmp_path.rglob("config.yaml"))
        assert config.model.encoder.d_model == model.cfg.encoder.d_model, "what comes from the checkpoint is in it"
        assert [list(context) for context in model.encoder.layer_contexts] == [[4, 0], [8, 0]]
        audio = 0.1 * np.random.default_rng(1).standard_normal(24000).astype("float32")
        with StreamingRecognizer(model) as recognizer:
            for piece in np.array_split(audio, 7):
                recognizer.push(piece[None])
            text = recognizer.flush()[0].text
        offline = model.transcribe([audio], verbose=False)
        assert text == getattr(offline[0], "text", offline[0])

    def test_goes_on_with_its_tokenizer_when_it_is_started_again(self, configured, tmp_path):
        def start(steps):
            options = ["model.tokenizer.type=bpe", "model.tokenizer.vocab_size=30", f"trainer.max_steps={steps}"]
            cfg = configured(*options, f"exp_manager.exp_dir={tmp_path}", "+exp_manager.resume_past_end=true")
            finetune_streaming_asr.main(cfg)
            (tokenizer,) = tmp_path.rglob("tokenizer.model")
            return tokenizer.stat().st_mtime_ns

        assert start(2) == start(4)
        assert any("step=4" in file.name for file in tmp_path.rglob("*.ckpt"))
        assert OmegaConf.load(next(tmp_path.rglob("hparams.yaml"))).cfg.tokenizer.type == "bpe"

    def test_a_stop_saves_first_and_leaves_workers_alone(self, configured, tmp_path, monkeypatch):
        before = signal.getsignal(signal.SIGTERM)
        loaders, options = [], [
            "trainer.max_steps=4",
            f"exp_manager.exp_dir={tmp_path}",
            "model.train_ds.num_workers=1",
        ]

        class Trainer(lightning.pytorch.Trainer):
            def fit(self, model):
                loaders.append(model.train_dataloader())
                super().fit(model)

        def start(*callbacks):
            monkeypatch.setattr(lightning.pytorch, "Trainer", partial(Trainer, callbacks=list(callbacks)))
            finetune_streaming_asr.main(configured(*options))

        with pytest.raises(SystemExit) as stop:
            start(resume_runs.Act(lambda: os.kill(os.getpid(), signal.SIGTERM), 2))
        assert stop.value.code is None and signal.getsignal(signal.SIGTERM) == before
        (file,) = tmp_path.rglob("*last.ckpt")
        assert torch.load(file, weights_only=False)["global_step"] == 2
        steps = resume_runs.Act(lambda: None, 3)
        start(steps)
        assert steps._act is None  # the third batch came
        loaders[0].collate_fn = lambda batch: signal.pthread_sigmask(signal.SIG_BLOCK, ())
        assert next(iter(loaders[0])) == {signal.SIGINT, signal.SIGTERM}


def on_two_ranks(children, cfg, folder):
    """The weights of both ranks, before the first step and after each; they start together."""
    OmegaConf.save(OmegaConf.create(OmegaConf.to_container(cfg)), folder / "config.yaml")
    children.ranks("finetuning_ranks.py", folder / "config.yaml", folder)
    return [torch.load(folder / f"rank-{rank}.pt") for rank in range(2)]


class TestTwoRanks:
    def test_thaw_together_under_ddp_with_one_tokenizer(self, configured, tmp_path, children):
        options = ["trainer.strategy=ddp", "trainer.devices=2", "trainer.max_steps=3", "freeze_encoder_steps=1"]
        options += ["model.tokenizer.type=bpe", "model.tokenizer.vocab_size=30", "model.train_ds.batch_size=1"]
        options += [f"exp_manager.exp_dir={tmp_path}", "+exp_manager.seconds_to_sleep=0"]
        found = on_two_ranks(children, configured(*options), tmp_path)
        assert not [error for error in found if isinstance(error, str)]
        for ours, theirs in zip(*found):
            for part in ours:
                assert all(torch.equal(weight, theirs[part][name]) for name, weight in ours[part].items())
        encoders = [step["encoder"] for step in found[0]]
        changed = [any(not torch.equal(b[n], a[n]) for n in a) for a, b in zip(encoders, encoders[1:])]
        assert changed == [False, True, True]
        assert len(list(tmp_path.rglob("tokenizer.model"))) == len(list(tmp_path.rglob("*.nemo"))) == 1
