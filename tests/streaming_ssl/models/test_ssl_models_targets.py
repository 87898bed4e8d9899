# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0


import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from small_trainer import small_trainer
from torch._subclasses.fake_tensor import FakeTensorMode

from nemo.collections.asr.losses.ssl_losses.mlm import TokenPredictions, read_log_probs, tokens_in_loss
from nemo.collections.asr.metrics.token_predictions import MaskedTokenMetrics
from nemo.collections.asr.models import EncDecDenoiseMaskedTokenPredModel, EncDecMaskedTokenPredModel
from nemo.collections.asr.modules.ssl_modules.quantizers import normalize_per_feature
from nemo.collections.asr.parts.lookahead import probe_causality
from nemo.collections.asr.parts.preprocessing.features import normalize_batch


@pytest.fixture(scope="module")
def speech():
    """About a minute of the demo's speech, (B, samples) and lengths."""
    from demo_speakers import TRAIN_VOICES, BuiltinSpeaker

    speaker = BuiltinSpeaker(0)
    spoken = [speaker.speak(6.0, TRAIN_VOICES[i], np.random.default_rng(i)).samples for i in range(8)]
    lengths = torch.tensor([len(samples) for samples in spoken])
    signal = torch.zeros(len(spoken), int(lengths.max()))
    for row, samples in zip(signal, spoken):
        row[: len(samples)] = 0.1 * torch.from_numpy(samples / np.sqrt(np.mean(samples**2)))
    return signal, lengths


def tokens_of(model, speech):
    signal, lengths = speech
    inputs = {"input_signal": signal, "input_signal_length": lengths}
    if isinstance(model, EncDecDenoiseMaskedTokenPredModel):
        inputs.update(noisy_input_signal=signal, noisy_input_signal_length=lengths)
    with torch.no_grad():
        encoded, encoded_len, _, tokens = model.eval()(**inputs)
    return torch.cat([row[: int(n)].flatten() for row, n in zip(tokens, encoded_len)]), encoded


class TestTargetNormalization:
    @given(st.lists(st.integers(2, 60), min_size=1, max_size=3), st.integers(0, 2**32))
    def test_is_what_the_preprocessor_does(self, lengths, seed):
        torch.manual_seed(seed)
        feats = torch.randn(len(lengths), 5, max(lengths)) * 3 + 7
        lengths = torch.tensor(lengths)
        valid = (torch.arange(feats.size(2)) < lengths.unsqueeze(1)).unsqueeze(1)
        expected = normalize_batch(feats, lengths, "per_feature")[0].where(valid, 0)
        torch.testing.assert_close(normalize_per_feature(feats, lengths), expected, rtol=1e-4, atol=1e-4)

    def test_lengths_of_zero_and_one_and_silence_stay_finite(self):
        feats = torch.full((3, 5, 4), -16.0)
        assert (normalize_per_feature(feats, torch.tensor([0, 1, 4])) == 0).all()

    @pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
    def test_half_precision_is_rounded_once(self, dtype):
        feats = (torch.randn(2, 80, 6000) * 4 - 16).to(dtype)  # their sum and squares are out of float16's range
        lengths = torch.tensor([6000, 4001])
        normalized = normalize_per_feature(feats, lengths)
        assert normalized.dtype == dtype
        assert torch.equal(normalized, normalize_per_feature(feats.float(), lengths).to(dtype))

    def test_nothing_waits_for_the_device(self):
        with FakeTensorMode():
            feats, lengths = torch.empty(2, 5, 9, device="cuda:0"), torch.empty(2, device="cuda:0", dtype=torch.long)
            assert normalize_per_feature(feats, lengths).device == feats.device

    @pytest.mark.parametrize("model_class", [EncDecMaskedTokenPredModel, EncDecDenoiseMaskedTokenPredModel])
    @pytest.mark.parametrize("position", ["pre_conv", "post_conv"])
    def test_cures_the_collapse_and_leaves_the_encoders_input_alone(self, nest_config, speech, model_class, position):
        codes, outputs = {}, {}
        for normalize in ("null", "per_feature"):
            torch.manual_seed(0)
            cfg = nest_config(
                "model.num_classes=8192", f"model.target_normalize={normalize}", f"model.mask_position={position}"
            )
            model = model_class(cfg)
            tokens, outputs[normalize] = tokens_of(model, speech)
            codes[normalize] = len(tokens.unique())
        assert torch.equal(outputs["null"], outputs["per_feature"])
        assert codes["per_feature"] >= 5 * codes["null"], codes

    def test_the_encoder_stays_causal(self, nest_config):
        assert probe_causality(EncDecMaskedTokenPredModel(nest_config("model.target_normalize=per_feature"))).ok

    def test_another_value_is_refused(self, nest_config):
        with pytest.raises(ValueError, match="target_normalize='all_features': must be one of per_feature, null"):
            EncDecMaskedTokenPredModel(nest_config("model.target_normalize=all_features"))


class TestMaskedTokenMetrics:
    @pytest.mark.parametrize("books", [1, 2])
    def test_counts_by_hand_over_batches(self, books):
        metrics = MaskedTokenMetrics(num_classes=4, num_books=books)
        rows, right, nats, masked_steps, valid_steps = [[] for _ in range(books)], 0, 0.0, 0, 0
        for seed in range(3):
            torch.manual_seed(seed)
            log_probs = torch.randn(2, 7, 4, books).log_softmax(dim=2)
            tokens, masked = torch.randint(4, (2, 6, books)), torch.rand(2, 8) < 0.5
            lengths = torch.tensor([6, 3])
            in_loss = tokens_in_loss(log_probs, tokens, masked, lengths, ignore_index=-100)
            metrics.update(read_log_probs(log_probs, tokens, in_loss), tokens, lengths)
            for b, t in [(row, step) for row in range(2) for step in range(int(lengths[row]))]:
                valid_steps += 1
                masked_steps += int(masked[b, t])
                for book in range(books):
                    rows[book].append(int(tokens[b, t, book]))
                    if masked[b, t]:
                        right += int(log_probs[b, t, :, book].argmax() == tokens[b, t, book])
                        nats -= float(log_probs[b, t, tokens[b, t, book], book])
        values = metrics.compute()
        counts = [np.bincount(row, minlength=4) for row in rows]
        entropies = [-sum(c / c0.sum() * np.log2(c / c0.sum()) for c in c0 if c) for c0 in counts]
        expected = {
            "masked_share": masked_steps / valid_steps,
            "accuracy": right / masked_steps / books,
            "loss_bits": nats / masked_steps / books / np.log(2),
            "target_entropy_bits": np.mean(entropies),
            "codes_used": np.mean([(c > 0).sum() for c in counts]),
            "perplexity": np.mean([2**entropy for entropy in entropies]),
        }
        assert {name: float(value) for name, value in values.items()} == pytest.approx(expected, rel=1e-5)

    def test_without_a_masked_step_everything_is_finite_and_no_state_is_saved(self):
        metrics = MaskedTokenMetrics(num_classes=4)
        log_probs = torch.randn(1, 3, 4).log_softmax(dim=2)
        tokens, in_loss = torch.zeros(1, 3, 1, dtype=torch.long), torch.zeros(1, 3, 1) > 0
        metrics.update(read_log_probs(log_probs, tokens, in_loss), tokens, torch.tensor([0]))
        assert all(value.isfinite() for value in metrics.compute().values()) and not metrics.state_dict()


def one_step(right=1, nats=0.0):
    """Arguments of `update` for a batch of one utterance with one step, which is in the loss."""
    in_loss, token = torch.ones(1, 1, 1, dtype=torch.bool), torch.zeros(1, 1, 1, dtype=torch.long)
    sums = torch.tensor(nats), torch.tensor([nats]), torch.tensor([right])
    return TokenPredictions(*sums, in_loss), token, torch.tensor([1])


CONVERSIONS = {
    "half": lambda model: model.half(),
    "bfloat16": lambda model: model.bfloat16(),
    "to": lambda model: model.to(torch.bfloat16),
    "to like": lambda model: model.to("cpu", torch.float16),
    "double": lambda model: model.double(),
    "set_dtype": lambda model: model.metrics.set_dtype(torch.half),
}


class TestLongCounts:
    """Steps are counted one by one, however many there are: an epoch of 1000 h has 45 million."""

    @given(start=st.integers(2**24, 2**50), steps=st.lists(st.integers(0, 1), min_size=1, max_size=5))
    def test_every_step_counts(self, start, steps):
        metrics = MaskedTokenMetrics(num_classes=2)
        for name in ("codes", "in_loss", "num_correct"):
            getattr(metrics, name).fill_(start)
        for right in steps:
            metrics.update(*one_step(right))
        counted = [int(value) for value in (metrics.in_loss, metrics.num_correct, *metrics.codes[0])]
        assert counted == [start + len(steps), start + sum(steps), start + len(steps), start]

    def test_small_losses_add_up_beside_a_large_one(self):
        metrics = MaskedTokenMetrics(num_classes=2)
        metrics.update(*one_step(nats=2.0**24))
        for _ in range(500):
            metrics.update(*one_step(nats=0.5))
        expected = (2.0**24 + 250) / 501 / np.log(2)
        assert float(metrics.compute()["loss_bits"]) == pytest.approx(expected, rel=1e-6)

    @pytest.mark.parametrize("name", CONVERSIONS)
    def test_converting_the_model_leaves_them(self, name):
        model = torch.nn.Module()
        model.metrics, model.weight = MaskedTokenMetrics(num_classes=2), torch.nn.Parameter(torch.ones(1))
        for _ in range(300):  # bfloat16 counts to 256
            model.metrics.update(*one_step(nats=0.1))
        CONVERSIONS[name](model)
        for _ in range(300):
            model.metrics.update(*one_step(right=0, nats=0.1))
        values = model.metrics.compute()
        assert int(model.metrics.in_loss) == 600 and float(values["accuracy"]) == 0.5
        assert float(values["loss_bits"]) == pytest.approx(0.1 / np.log(2), rel=1e-6)
        model.metrics.reset()
        assert model.metrics.in_loss.dtype == torch.long and model.metrics.nats.dtype == torch.float32

    def test_ranks_are_added_up(self):
        metrics = MaskedTokenMetrics(num_classes=2)
        metrics.update(*one_step(right=1, nats=2.0**24))
        metrics.update(*one_step(right=0, nats=1.0))
        alone = metrics.compute()
        twice = {"dist_sync_fn": lambda value, group: [value, value], "distributed_available": lambda: True}
        with metrics.sync_context(**twice):
            assert int(metrics.in_loss) == 4 and int(metrics.num_correct) == 2 and int(metrics.codes[0, 0]) == 4
        metrics.distributed_available_fn, metrics.dist_sync_fn = twice["distributed_available"], twice["dist_sync_fn"]
        assert {name: float(value) for name, value in metrics.compute().items()} == pytest.approx(
            {name: float(value) for name, value in alone.items()}
        )


class TestWhatAUserSees:
    @staticmethod
    def fit(model, speech, steps, folder):
        from lightning.pytorch.loggers import CSVLogger

        signal, lengths = speech
        batch = (signal[:2, :32000], lengths[:2].clamp(max=32000))
        data = torch.utils.data.DataLoader([0] * steps, batch_size=1, collate_fn=lambda _: batch)
        model.configure_optimizers = lambda: torch.optim.SGD(model.parameters(), lr=0.0)
        model._optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
        logger = CSVLogger(folder)
        trainer = small_trainer(max_epochs=1, logger=logger, log_every_n_steps=1)
        trainer.fit(model, data, data)
        return trainer.logged_metrics, trainer.progress_bar_metrics

    def test_counts_are_logged_and_shown(self, nest_config, speech, tmp_path):
        logged, shown = self.fit(EncDecMaskedTokenPredModel(nest_config()), speech, 3, tmp_path)
        names = "masked_share accuracy loss_bits target_entropy_bits codes_used perplexity".split()
        assert {f"{mode}_{name}" for mode in ("train", "val") for name in names} <= set(logged)
        assert {"train_loss", "val_loss"} <= set(logged) and {"bits", "acc"} <= set(shown)
        assert 0 < logged["train_masked_share"] < 0.81 and logged["train_codes_used"] > 1

    @pytest.mark.parametrize("normalize, warns", [("null", True), ("per_feature", False)])
    def test_a_collapse_is_told_once_with_its_cause(
        self, nest_config, speech, tmp_path, monkeypatch, normalize, warns
    ):
        from nemo.collections.asr.metrics import token_predictions

        told = []
        monkeypatch.setattr(token_predictions, "COLLAPSE_STEPS", 2)
        monkeypatch.setattr(token_predictions.logging, "warning", lambda text, *args, **kwargs: told.append(text))
        cfg = nest_config("model.num_classes=2048", f"model.target_normalize={normalize}")
        self.fit(EncDecMaskedTokenPredModel(cfg), speech, 4, tmp_path)
        collapsed = [text for text in told if "collapsed" in text]
        assert len(collapsed) == int(warns)
        assert not warns or "set model.target_normalize=per_feature" in collapsed[0]
