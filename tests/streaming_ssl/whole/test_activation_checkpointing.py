# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

from functools import partial

import precision_runs as runs
import pytest
import torch
from torch.distributed.algorithms._checkpoint.checkpoint_wrapper import (
    CheckpointImpl,
    apply_activation_checkpointing,
    checkpoint_wrapper,
)

from nemo.collections.asr.models import EncDecMaskedTokenPredModel
from nemo.collections.asr.parts.submodules.conformer_modules import ConformerLayer
from nemo.collections.asr.parts.submodules.subsampling import ConvSubsampling

# in a fork, too, where `tests` is NeMo's


# attention through a mask, and in blocks
ATTENTION = {"mask": ["model.encoder.att_context_size=[70,0]"]}
ATTENTION["blocks"] = ["model.encoder.att_context_size=[5,0]", "model.encoder.banded_attention=always"]
DROPOUT = [
    "model.encoder.dropout=0.2",
    "model.encoder.dropout_att=0.2",
    "model.encoder.stochastic_depth_drop_prob=0.3",
]


def checkpoint(model, kinds, impl=CheckpointImpl.NO_REENTRANT):
    wrap = partial(checkpoint_wrapper, checkpoint_impl=impl)
    apply_activation_checkpointing(model, checkpoint_wrapper_fn=wrap, check_fn=lambda part: isinstance(part, kinds))
    return model


def gradients(model, precision=None):
    """Loss and gradients of a step; what is kept for its backward pass, in bytes."""
    kept, batch = [], runs.make_batch(type(model), 3)  # a new one: NeMo's dither is added to a batch in place
    torch.manual_seed(1)
    with torch.autograd.graph.saved_tensors_hooks(lambda x: kept.append(x.nbytes) or x, lambda x: x):
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16-mixed"):
            loss = model._loss_of(batch, True, model.train_metrics)
    loss.backward()
    names = {name.replace("_checkpoint_wrapped_module.", ""): p for name, p in model.named_parameters()}
    return loss.detach(), {name: p.grad for name, p in names.items() if p.grad is not None}, sum(kept)


class TestActivationCheckpointing:
    @pytest.mark.representative(
        "layers-32-blocks-pre_conv-EncDecDenoiseMaskedTokenPredModel",
        "all-bf16-mixed-mask-post_conv-EncDecMaskedTokenPredModel",
    )
    @pytest.mark.parametrize("model_class", runs.MODELS)
    @pytest.mark.parametrize("position", runs.POSITIONS)
    @pytest.mark.parametrize("attention", ATTENTION)
    @pytest.mark.parametrize("precision", ["32", "bf16-mixed"])
    @pytest.mark.parametrize("kinds", [ConformerLayer, (ConformerLayer, ConvSubsampling)], ids=["layers", "all"])
    def test_gradients_masks_and_dropout_are_the_same(
        self, nest_config, model_class, position, attention, precision, kinds
    ):
        options = [f"model.mask_position={position}", *ATTENTION[attention], *DROPOUT]
        models = []
        for kind in ((), kinds):
            models.append(checkpoint(runs.build(nest_config, model_class, *options).train(), kind))
        (plain, expected, most), (loss, found, kept) = (gradients(model, precision) for model in models)
        assert loss == plain and found.keys() == expected.keys()
        torch.testing.assert_close(found, expected, rtol=0, atol=0)
        assert kept < 0.7 * most

    def test_reentrant_layers_too_where_their_input_has_a_gradient(self, nest_config):
        models = []
        for kind in ((), ConformerLayer):
            model = runs.build(nest_config, EncDecMaskedTokenPredModel, *DROPOUT).train()
            models.append(checkpoint(model, kind, CheckpointImpl.REENTRANT))
        (plain, expected, _), (loss, found, _) = (gradients(model) for model in models)
        assert loss == plain
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)

    def test_contexts_curriculum_and_files_know_the_layers(self, nest_config, tmp_path):
        options = ["model.encoder.att_context_size=[40,0]", "model.on_nonfinite=raise"]
        curriculum = ["enabled=true", "start_context=2", "end_context=20", "warmup_steps=2"]
        options += [f"++model.curriculum_context.{option}" for option in curriculum]
        trainer = runs.make_trainer(gradient_clip_val=1.0)
        model = checkpoint(runs.build(nest_config, runs.MODELS[1], *options, trainer=trainer), ConformerLayer)
        trainer.fit(model, runs.make_loader(runs.MODELS[1], [1, 2, 3]))
        assert model.mask_processor.left_context_size == 20  # the cap after two steps
        model.save_to(str(tmp_path / "model.nemo"))
        restored = runs.MODELS[1].restore_from(str(tmp_path / "model.nemo"), map_location="cpu")
        torch.testing.assert_close(dict(restored.state_dict()), dict(model.state_dict()), rtol=0, atol=0)
