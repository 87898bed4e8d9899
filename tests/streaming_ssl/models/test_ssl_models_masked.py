# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

import pytest
import torch
from omegaconf import OmegaConf
from small_trainer import save_checkpoint

from nemo.collections.asr.models import (
    EncDecDenoiseMaskedTokenPredModel,
    EncDecMaskedTokenPredModel,
    SpeechEncDecSelfSupervisedModel,
)

MODELS = [EncDecMaskedTokenPredModel, EncDecDenoiseMaskedTokenPredModel]
SECONDS = (3.0, 0.3, 1.0, 1.9)


def audio(model, seconds=SECONDS):
    """Keyword arguments of `forward` for a batch of noise."""
    lengths = torch.tensor([int(16000 * s) for s in seconds])
    signal = torch.randn(len(seconds), int(lengths.max())) * 0.1
    inputs = {"input_signal": signal, "input_signal_length": lengths}
    if isinstance(model, EncDecDenoiseMaskedTokenPredModel):
        noisy = signal + 0.01 * torch.randn_like(signal)
        inputs.update(noisy_input_signal=noisy, noisy_input_signal_length=lengths)
    return inputs


def training_loss(model, inputs):
    log_probs, encoded_len, masks, tokens = model(**inputs, apply_mask=True)
    return model.loss(masks=masks, decoder_outputs=log_probs, targets=tokens, decoder_lengths=encoded_len)


class SpyMasking(torch.nn.Module):
    """Remembers what it was called with, and masks the first half of each utterance."""

    def forward(self, input_feats, input_lengths, current_frame=None, effective_left_context=None):
        self.seen = (current_frame, effective_left_context)
        self.shape = input_feats.shape
        masked = torch.arange(input_feats.size(2)) < input_lengths.unsqueeze(1) // 2
        masks = masked.unsqueeze(1).to(input_feats.dtype).repeat(1, input_feats.size(1), 1)
        return input_feats * (1 - masks), masks


class TestStreamingParametersReachTheMasking:
    @pytest.mark.fix4(fails_with=AssertionError, match=r"assert \(None, None\) == \(None, 40\)")
    @pytest.mark.parametrize("model_class", MODELS)
    def test_the_masking_is_told_the_tightest_left_context(self, nest_config, model_class):
        model = model_class(nest_config("model.encoder.att_context_size=[40,0]", like_nemo=True))
        spy = model.mask_processor = SpyMasking()
        model(**audio(model), apply_mask=True)
        assert spy.seen == (None, 40)

    @pytest.mark.parametrize("model_class", MODELS)
    @pytest.mark.parametrize("position", ["pre_conv", "post_conv"])
    def test_current_frame_and_tightest_left_context(self, nest_config, model_class, position):
        cfg = nest_config(f"model.mask_position={position}", "model.encoder.att_context_size=[40,0]", like_nemo=True)
        model = model_class(cfg)
        spy = model.mask_processor = SpyMasking()
        if model.pre_encoder is not None:
            model.pre_encoder.masking = spy
        for current_frame in (None, 20, torch.tensor([20, 0, 10, 5])):
            _, _, masks, _ = model(**audio(model), apply_mask=True, current_frame=current_frame)
            assert spy.seen[0] is current_frame and spy.seen[1] == 40
            assert masks.shape == spy.shape

    @pytest.mark.parametrize(
        "context, training, expected",
        [
            ("[-1,-1]", True, None),
            ("[-1,0]", True, None),
            ("[40,0]", False, 40),
            ("[[120,0],[40,0],[-1,0]]", True, 40),
            ("[[120,0],[40,0]]", False, 120),
        ],
    )
    def test_the_tightest_context_is_the_smallest_that_the_encoder_may_use(
        self, nest_config, context, training, expected
    ):
        model = EncDecMaskedTokenPredModel(nest_config(f"model.encoder.att_context_size={context}"))
        spy = model.mask_processor = SpyMasking()
        model.train(training)(**audio(model), apply_mask=True)
        assert spy.seen == (None, expected)

    def test_masked_frames_lie_within_the_streaming_window(self, nest_config):
        model = EncDecMaskedTokenPredModel(nest_config("model.encoder.att_context_size=[5,0]"))
        _, _, masks, _ = model(**audio(model), apply_mask=True, current_frame=100)
        mask = masks[0, 0].bool()
        assert mask[60:100].any() and not mask[:60].any() and not mask[100:].any()

    def test_a_masking_module_of_a_fork_that_does_not_know_them_still_works(self, nest_config):
        class ForkMasking(torch.nn.Module):
            def forward(self, input_feats, input_lengths):
                return input_feats, torch.ones_like(input_feats)

        model = EncDecMaskedTokenPredModel(nest_config())
        model.mask_processor = ForkMasking()
        assert training_loss(model, audio(model)).isfinite()

    @pytest.mark.parametrize("position, stride", [("pre_conv", 8), ("post_conv", 1)])
    @pytest.mark.parametrize("like_nemo", [True, False])
    def test_the_context_stride_is_the_encoders(self, nest_config, position, stride, like_nemo):
        model = EncDecMaskedTokenPredModel(nest_config(f"model.mask_position={position}", like_nemo=like_nemo))
        assert model.mask_processor.context_stride == stride


class TestTrainingSteps:
    @pytest.mark.representative(
        "fp32-16-pre_conv-EncDecMaskedTokenPredModel",
        "fp32-0-pre_conv-EncDecDenoiseMaskedTokenPredModel",
        "fp32-16-post_conv-EncDecDenoiseMaskedTokenPredModel",
        "bf16-mixed-0-pre_conv-EncDecMaskedTokenPredModel",
        "bf16-mixed-16-post_conv-EncDecMaskedTokenPredModel",
        "bf16-mixed-0-post_conv-EncDecDenoiseMaskedTokenPredModel",
    )
    @pytest.mark.parametrize("model_class", MODELS)
    @pytest.mark.parametrize("position", ["pre_conv", "post_conv"])
    @pytest.mark.parametrize("pad_to", [16, 0])
    @pytest.mark.parametrize("precision", ["fp32", "bf16-mixed"])
    def test_causal_encoders_train_on_short_and_long_utterances(
        self, nest_config, model_class, position, pad_to, precision
    ):
        cfg = nest_config(f"model.mask_position={position}", f"model.preprocessor.pad_to={pad_to}")
        model = model_class(cfg).train()
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16-mixed"):
            loss = training_loss(model, audio(model))
        loss.backward()
        gradients = [p.grad for p in model.encoder.layers.parameters() if p.requires_grad]
        assert loss.isfinite() and loss > 0
        assert all(g is not None and g.isfinite().all() for g in gradients) and any(g.any() for g in gradients)

    @pytest.mark.fix1(fails_with=IndexError, match=r"shape of the mask .* at index 1 does not match")
    @pytest.mark.parametrize("model_class", MODELS)
    def test_causal_downsampling_makes_one_step_more_than_the_mask(self, nest_config, model_class):
        model = model_class(nest_config("model.encoder.causal_downsampling=true", like_nemo=True))
        assert training_loss(model, audio(model, [3.0, 2.0])).isfinite()

    @pytest.mark.fix4(fails_with=RuntimeError, match=r"shape '\[.*\]' is invalid for input of size")
    @pytest.mark.parametrize("model_class", MODELS)
    def test_an_unpadded_preprocessor(self, nest_config, model_class):
        model = model_class(nest_config("model.preprocessor.pad_to=0", like_nemo=True))
        assert training_loss(model, audio(model, [3.0, 2.0])).isfinite()

    @pytest.mark.fix4(fails_with=RuntimeError, match="mat1 and mat2 shapes cannot be multiplied")
    def test_denoising_model_masks_after_the_subsampling(self, nest_config):
        model = EncDecDenoiseMaskedTokenPredModel(nest_config("model.mask_position=post_conv", like_nemo=True))
        inputs = audio(model, [3.0, 2.0])
        log_probs, _, masks, tokens = model(**inputs, apply_mask=True)
        assert log_probs.shape[:2] == tokens.shape[:2] == (2, masks.size(2))

    @pytest.mark.parametrize("position", ["pre_conv", "post_conv"])
    def test_targets_are_of_the_clean_audio(self, nest_config, position):
        options = [f"model.mask_position={position}", "model.target_normalize=per_feature"]  # or they hardly differ
        model = EncDecDenoiseMaskedTokenPredModel(nest_config(*options)).eval()
        inputs = audio(model, [3.0, 2.0])
        other, targets = torch.randn_like(inputs["input_signal"]), model(**inputs)[3]
        assert torch.equal(model(**dict(inputs, noisy_input_signal=other))[3], targets)
        assert (model(**dict(inputs, input_signal=other))[3] != targets).float().mean() > 0.5

    @pytest.mark.run_only_on("GPU")
    @pytest.mark.parametrize("model_class", MODELS)
    @pytest.mark.parametrize("position", ["pre_conv", "post_conv"])
    @pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
    def test_on_a_gpu_in_mixed_precision(self, nest_config, model_class, position, dtype):
        model = model_class(nest_config(f"model.mask_position={position}", "model.preprocessor.pad_to=0")).cuda()
        inputs = {name: value.cuda() for name, value in audio(model).items()}
        with torch.autocast("cuda", dtype, enabled=dtype != torch.float32):
            loss = training_loss(model, inputs)
            streamed = model(**inputs, apply_mask=True, current_frame=inputs["input_signal_length"] // 320)
        loss.backward()
        assert loss.isfinite() and streamed[2].any()

    def test_processed_signals_are_taken_too(self, nest_config):
        model = EncDecDenoiseMaskedTokenPredModel(nest_config()).eval()
        inputs = audio(model)
        feats = {}
        for name, processed in (("input_signal", "signal"), ("noisy_input_signal", "noisy_input_signal")):
            signal, lengths = model.preprocessor(input_signal=inputs[name], length=inputs[f"{name}_length"])
            feats.update({f"processed_{processed}": signal, f"processed_{processed}_length": lengths})
        for from_feats, from_audio in zip(model(**feats), model(**inputs)):
            assert torch.equal(from_feats, from_audio)
        with pytest.raises(ValueError, match="either input_signal or its processed features"):
            model(**inputs, **feats)
        with pytest.raises(ValueError, match="either noisy_input_signal or its processed features"):
            model(input_signal=inputs["input_signal"], input_signal_length=inputs["input_signal_length"])


class TestValidation:
    def test_val_loss_is_the_mean_over_ranks(self, nest_config):
        model, logged = EncDecMaskedTokenPredModel(nest_config("model.encoder.n_layers=1")), []
        model.log_dict = lambda values, **options: logged.append((values["val_loss"], options["sync_dist"]))
        model.validation_step_outputs = [{"val_loss": torch.tensor(loss)} for loss in (1.0, 2.0)]
        model.on_validation_epoch_end()
        assert logged == [(1.5, True)]


class TestIdentityWithNeMo:
    def test_isinstance_relations_and_saved_targets_are_nemos(self, nest_config):
        model = EncDecDenoiseMaskedTokenPredModel(nest_config())
        assert isinstance(model, EncDecMaskedTokenPredModel) and isinstance(model, SpeechEncDecSelfSupervisedModel)
        assert model.cfg.target == "nemo.collections.asr.models.ssl_models.EncDecDenoiseMaskedTokenPredModel"
        assert {type(model.mask_processor).__module__, type(model.loss).__module__} == {
            "nemo.collections.asr.modules.ssl_modules.masking",
            "nemo.collections.asr.losses.ssl_losses.mlm",
        }
        base = "nemo.collections.asr.models.ssl_models.SpeechEncDecSelfSupervisedModel"
        assert f"{SpeechEncDecSelfSupervisedModel.__module__}.{SpeechEncDecSelfSupervisedModel.__name__}" == base

    @pytest.mark.parametrize("name", ["EncDecMaskedTokenPredModel", "EncDecDenoiseMaskedTokenPredModel"])
    @pytest.mark.parametrize("books", [1, 2])
    def test_same_weights_and_masks_give_nemos_outputs_and_loss(self, nest_config, name, books):
        from nemo.collections.asr.losses.ssl_losses import _mlm_base
        from nemo.collections.asr.models import _ssl_models_base, ssl_models
        from nemo.collections.asr.modules.ssl_modules import _quantizers_base

        cfg = nest_config(f"model.num_books={books}", like_nemo=True)
        cfg = OmegaConf.merge(cfg, {"quantizer": {"num_books": books}, "decoder": {"num_decoders": books}})
        ours = getattr(ssl_models, name)(cfg).eval()
        plain = getattr(_ssl_models_base, name)(cfg).eval()
        plain.quantizer = _quantizers_base.RandomProjectionVectorQuantizer(
            **{k: v for k, v in cfg.quantizer.items() if k != "_target_"}
        )
        plain.loss = _mlm_base.MultiMLMLoss(**{k: v for k, v in cfg.loss.items() if k != "_target_"})
        plain.load_state_dict(ours.state_dict())
        ours.mask_processor = plain.mask_processor = SpyMasking()
        inputs = audio(ours)
        results = [model(**inputs, apply_mask=True) for model in (ours, plain)]
        for mine, nemos in zip(*results):
            assert torch.equal(mine, nemos)
        losses = [
            model.loss(masks=masks, decoder_outputs=log_probs, targets=tokens, decoder_lengths=encoded_len)
            for model, (log_probs, encoded_len, masks, tokens) in zip((ours, plain), results)
        ]
        torch.testing.assert_close(*losses)


class TestCheckpoints:
    @pytest.mark.parametrize("position", ["pre_conv", "post_conv"])
    def test_saving_and_restoring_twice_keeps_config_and_weights(self, nest_config, position, tmp_path):
        model = EncDecDenoiseMaskedTokenPredModel(nest_config(f"model.mask_position={position}"))
        inputs = audio(model)
        for i in range(2):
            model.save_to(str(tmp_path / f"{i}.nemo"))
            restored = EncDecMaskedTokenPredModel.restore_from(str(tmp_path / f"{i}.nemo"))
            assert type(restored) is EncDecDenoiseMaskedTokenPredModel
            expected = OmegaConf.to_container(model.cfg)
            expected.pop("masked_only_decoding", None)  # true, its default, which changes the speed only
            assert OmegaConf.to_container(restored.cfg) == expected
            assert restored.mask_processor.block_size == (40 if position == "pre_conv" else 5)
            assert torch.equal(restored.eval()(**inputs)[0], model.eval()(**inputs)[0])
            model = restored


class TestMaskingAfterTheSubsampling:
    """`post_conv`: NeMo divides `block_size` by the subsampling factor, and saves the quotient."""

    D_MODEL = "model.masking.feat_in=32"

    @staticmethod
    def reopened(model, path, how):
        """A model from a file, through `.nemo` or Lightning's checkpoint."""
        if how == "nemo":
            model.save_to(str(path))
            return EncDecMaskedTokenPredModel.restore_from(str(path), map_location="cpu")
        save_checkpoint(model, path)
        return EncDecMaskedTokenPredModel.load_from_checkpoint(str(path), map_location="cpu")

    @pytest.mark.parametrize("like_nemo", [True, False])
    @pytest.mark.parametrize("model_class", MODELS)
    def test_a_config_may_say_that_encoder_frames_are_masked(self, nest_config, model_class, like_nemo):
        cfg = nest_config("model.mask_position=post_conv", self.D_MODEL, like_nemo=like_nemo)
        cfg = OmegaConf.merge(cfg, {"quantizer": {"feat_in": 32}, "loss": {"combine_time_steps": 1}})
        model = model_class(cfg)
        assert model.mask_processor.block_size == 5 and model.mask_processor.mask_embedding.shape == (32,)
        assert training_loss(model, audio(model)).isfinite()

    @pytest.mark.representative("32-80-nemo", "80-32-ckpt", "80-80-nemo")
    @pytest.mark.parametrize("how", ["nemo", "ckpt"])
    @pytest.mark.parametrize("feat_in", [32, 80])
    @pytest.mark.parametrize("d_model", [32, 80])
    def test_a_file_of_ours_keeps_its_blocks(self, nest_config, tmp_path, how, feat_in, d_model):
        overrides = [f"model.masking.feat_in={feat_in}", f"model.encoder.d_model={d_model}"]
        overrides.append(f"model.decoder.feat_in={d_model}")
        model = EncDecMaskedTokenPredModel(nest_config("model.mask_position=post_conv", *overrides, like_nemo=True))
        for i in range(2):
            opened = self.reopened(model, tmp_path / f"{i}.{how}", how)
            assert opened.mask_processor.block_size == 5 and opened.cfg.masking.block_size == 40
            assert opened.quantizer.combine_time_steps == 1
            assert OmegaConf.to_container(opened.cfg) == OmegaConf.to_container(model.cfg)
            model = opened

    @pytest.mark.representative("32-nemo", "80-ckpt")
    @pytest.mark.parametrize("how", ["nemo", "ckpt"])
    @pytest.mark.parametrize("d_model", [32, 80])
    def test_a_file_of_nemos_keeps_its_blocks_and_shapes(self, nest_config, tmp_path, how, d_model):
        from nemo.collections.asr.models import _ssl_models_base

        overrides = (f"model.encoder.d_model={d_model}", f"model.decoder.feat_in={d_model}")
        cfg = nest_config("model.mask_position=post_conv", *overrides, like_nemo=True)
        model = plain = _ssl_models_base.EncDecMaskedTokenPredModel(cfg)
        assert plain.cfg.masking.block_size == 5  # and a quantizer that combines 8 encoder frames
        for i in range(3):
            opened = self.reopened(model, tmp_path / f"{i}.{how}", how)
            assert opened.mask_processor.block_size == 5
            assert torch.equal(opened.quantizer.proj.weight, plain.quantizer.proj.weight)
            model = opened

    def test_plain_nemo_opens_a_file_that_went_through_ours(self, nest_config, tmp_path):
        from nemo.collections.asr.models import _ssl_models_base

        cfg = nest_config("model.mask_position=post_conv", like_nemo=True)
        model = self.reopened(_ssl_models_base.EncDecMaskedTokenPredModel(cfg), tmp_path / "a.nemo", "nemo")
        plain = _ssl_models_base.EncDecMaskedTokenPredModel(model.cfg)
        plain.load_state_dict(model.state_dict())
        assert plain.mask_processor.block_size == 5


class TestBadConfigs:
    @pytest.mark.parametrize(
        "override, message",
        [
            ("+model.masking.colour=red", "masking.colour='red': unknown option; allowed are feat_in, mask_prob"),
            ("model.masking.block_size=0", "block_size=0: must be an integer >= 1"),
            ("model.masking.block_size=2.5", "block_size=2.5: must be an integer >= 1"),
            ("model.masking.mask_prob=1.5", "mask_prob=1.5: must be a number from 0 to 1"),
        ],
    )
    def test_an_option_of_the_masking_is_refused_by_name(self, nest_config, override, message):
        with pytest.raises(ValueError, match=message):
            EncDecMaskedTokenPredModel(nest_config(override))

    def test_a_block_shorter_than_an_encoder_frame_after_subsampling(self, nest_config):
        cfg = nest_config("model.mask_position=post_conv", "model.masking.block_size=7")
        with pytest.raises(ValueError, match="masking.block_size=7: must be at least one encoder frame, 8 feature"):
            EncDecMaskedTokenPredModel(cfg)

    def test_the_callers_config_is_not_changed(self, nest_config):
        cfg = nest_config("model.mask_position=post_conv")
        before = OmegaConf.to_container(cfg)
        EncDecMaskedTokenPredModel(cfg)
        assert OmegaConf.to_container(cfg) == before
