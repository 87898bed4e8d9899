# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0


import precision_runs as runs
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from lightning.pytorch.plugins.precision import MixedPrecision

from nemo.collections.asr.models import EncDecMaskedTokenPredModel
from nemo.collections.asr.modules.ssl_modules.masking import RandomBlockMasking

# in a fork, too, where `tests` is NeMo's


DTYPES = {"32": torch.float32, "bf16-mixed": torch.float32, "bf16-true": torch.bfloat16}
NO_DROPOUT = "dropout dropout_pre_encoder dropout_emb dropout_att".split()
EXACT = [f"model.encoder.{name}=0.0" for name in NO_DROPOUT] + ["model.preprocessor.dither=0.0"]


class EveryThirdStep(torch.nn.Module):
    """Masks the same steps of each utterance, whatever batch it is in."""

    def __init__(self, stride):
        super().__init__()
        self.stride = stride

    def forward(self, input_feats, input_lengths):
        frames = torch.arange(input_feats.size(2), device=input_feats.device)
        masked = (frames // self.stride % 3 == 1) & (frames < input_lengths.unsqueeze(1))
        masks = masked.unsqueeze(1).to(input_feats.dtype).expand_as(input_feats)
        return input_feats * (1 - masks), masks


def one_step(nest_config, model_class, position, batches, **options):
    """A model after one step of gradient descent on batches that are accumulated."""

    class Descent(model_class):
        def configure_optimizers(self):
            self._optimizer = torch.optim.SGD(self.parameters(), lr=0.1)
            return self._optimizer

    trainer = runs.make_trainer(accumulate_grad_batches=len(batches), **options)
    model = runs.build(nest_config, Descent, f"model.mask_position={position}", *EXACT, trainer=trainer)
    masking = EveryThirdStep(8 if position == "pre_conv" else 1)
    model.mask_processor = masking
    if model.pre_encoder is not None:
        model.pre_encoder.masking = masking
    trainer.fit(model, torch.utils.data.DataLoader(batches, batch_size=None))
    assert trainer.global_step == 1
    return dict(model.state_dict())


def cut(model_class, batch, parts):
    """A batch as several of as many utterances each."""
    fields = batch if isinstance(batch, tuple) else list(vars(batch).values())
    pieces = zip(*(field.chunk(parts) if field is not None else [None] * parts for field in fields))
    return [piece if isinstance(batch, tuple) else type(batch)(*piece) for piece in pieces]


class TestPrecision:
    @pytest.mark.representative(
        "norm-32-pre_conv-EncDecMaskedTokenPredModel",
        "value-bf16-mixed-pre_conv-EncDecDenoiseMaskedTokenPredModel",
        "norm-bf16-mixed-post_conv-EncDecMaskedTokenPredModel",
        "value-bf16-true-post_conv-EncDecDenoiseMaskedTokenPredModel",
        "norm-bf16-true-pre_conv-EncDecMaskedTokenPredModel",
    )
    @pytest.mark.parametrize("model_class", runs.MODELS)
    @pytest.mark.parametrize("position", runs.POSITIONS)
    @pytest.mark.parametrize("precision", DTYPES)
    @pytest.mark.parametrize("algorithm", ["norm", "value"])
    def test_it_trains(self, nest_config, model_class, position, precision, algorithm):
        clip = dict(gradient_clip_val=0.5, gradient_clip_algorithm=algorithm)
        model, trainer, watch = runs.fit(
            nest_config, model_class, [1, 2], f"model.mask_position={position}", precision=precision, **clip
        )
        assert trainer.callback_metrics["train_skipped_steps"] == 0 and trainer.global_step == 2
        assert next(model.encoder.parameters()).dtype == DTYPES[precision] and runs.all_finite(model.parameters())

    @pytest.mark.parametrize("model_class", runs.MODELS)
    @pytest.mark.parametrize("position", runs.POSITIONS)
    def test_it_trains_in_half_precision_with_a_gradient_scaler(self, nest_config, model_class, position):
        plugin = MixedPrecision("16-mixed", "cpu", scaler=torch.amp.GradScaler("cpu", init_scale=2.0**12))
        before = runs.build(nest_config, model_class, f"model.mask_position={position}").decoder.state_dict()
        model, trainer, watch = runs.fit(
            nest_config, model_class, [1, 2, 3], f"model.mask_position={position}", plugins=[plugin]
        )
        assert torch.tensor(watch.losses).isfinite().all() and plugin.scaler.get_scale() == 2.0**12
        assert any(not torch.equal(x, before[name]) for name, x in model.decoder.state_dict().items())

    @pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
    @pytest.mark.parametrize("model_class", runs.MODELS)
    def test_mixed_precision_has_the_targets_of_float32(self, nest_config, model_class, dtype):
        model = runs.build(nest_config, model_class, "model.num_classes=8192", *EXACT).eval()
        found = []
        for enabled in (False, True):
            with torch.no_grad(), torch.autocast("cpu", dtype, enabled=enabled):
                clean = model._noisy_and_clean(model._signals(runs.make_batch(model_class, 7, seconds=(9, 8))))[1]
                found.append((clean.feats, model._tokens(*clean)))
        assert found[1][0].dtype == torch.float32 and torch.equal(found[0][0], found[1][0])
        assert torch.equal(found[0][1], found[1][1])

    @pytest.mark.representative("True-True-dtype0", "False-False-dtype1", "True-False-dtype0")
    @pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
    @pytest.mark.parametrize("overlap", [True, False])
    @pytest.mark.parametrize("causal", [True, False])
    @given(st.data())
    def test_masks_do_not_depend_on_pytorchs_default(self, dtype, overlap, causal, data):
        lengths = torch.tensor(data.draw(st.lists(st.integers(0, 3000), min_size=1, max_size=4)))
        options = dict(mask_prob=data.draw(st.sampled_from([0.01, 0.02, 0.5])), block_size=40, allow_overlap=overlap)
        options.update(dict(causal=True, left_context_size=70, context_stride=8) if causal else {})
        masking = RandomBlockMasking(feat_in=1, **options)
        feats, masks = torch.zeros(len(lengths), 1, 3000), []
        for default in (torch.float32, dtype):
            torch.manual_seed(0)
            torch.set_default_dtype(default)
            try:
                masks.append(masking(feats, lengths)[1])
            finally:
                torch.set_default_dtype(torch.float32)
        assert torch.equal(*masks)

    @pytest.mark.run_only_on("GPU")
    @pytest.mark.parametrize("model_class", runs.MODELS)
    @pytest.mark.parametrize("position", runs.POSITIONS)
    @pytest.mark.parametrize("precision", ["bf16-mixed", "16-mixed", "bf16-true"])
    def test_on_a_gpu(self, nest_config, model_class, position, precision):
        options = dict(accelerator="gpu", precision=precision, gradient_clip_val=1.0, accumulate_grad_batches=2)
        _, trainer, watch = runs.fit(
            nest_config, model_class, [1, 2, 3, 4], f"model.mask_position={position}", **options
        )
        assert torch.tensor(watch.losses).isfinite().all() and trainer.global_step == 2


class TestAccumulation:
    @pytest.mark.representative("pre_conv-EncDecMaskedTokenPredModel", "post_conv-EncDecDenoiseMaskedTokenPredModel")
    @pytest.mark.parametrize("model_class", runs.MODELS)
    @pytest.mark.parametrize("position", runs.POSITIONS)
    def test_batches_with_as_many_masked_steps_make_the_step_of_all_together(self, nest_config, model_class, position):
        batch = runs.make_batch(model_class, 3, size=6, seconds=[1.2] * 6)
        steps = [one_step(nest_config, model_class, position, cut(model_class, batch, parts)) for parts in (1, 2, 3)]
        for accumulated in steps[1:]:
            torch.testing.assert_close(accumulated, steps[0], rtol=1e-4, atol=1e-5)

    def test_each_batch_has_the_same_weight_whatever_is_masked_in_it(self, nest_config):
        # as in NeMo: the loss is a mean over the masked steps of a batch, and batches are averaged
        batches = [
            runs.make_batch(EncDecMaskedTokenPredModel, i, size=1, seconds=[s]) for i, s in ((1, 3.0), (2, 1.0))
        ]
        position = (nest_config, EncDecMaskedTokenPredModel, "pre_conv")
        together = one_step(*position, batches)
        weight = "decoder.decoder_layers.0.weight"
        before = runs.build(nest_config, EncDecMaskedTokenPredModel, *EXACT).state_dict()[weight]
        alone = [one_step(*position, [batch])[weight] - before for batch in batches]
        torch.testing.assert_close(together[weight] - before, sum(alone) / 2, rtol=1e-4, atol=1e-6)
