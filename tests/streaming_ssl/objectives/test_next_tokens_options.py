# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

import pytest
import torch
from omegaconf import OmegaConf
from small_trainer import small_trainer

from nemo.collections.asr.losses.ssl_losses.mlm import MLMLoss, MultiMLMLoss
from nemo.collections.asr.models import EncDecMaskedTokenPredModel
from nemo.collections.asr.models.objectives import NextTokens, objective_of_config
from nemo.collections.asr.modules.ssl_modules.multi_softmax_decoder import MultiSoftmaxDecoder

HEARS = "model.objective=next_tokens: the model hears what it would predict"


class TestOptions:
    @pytest.mark.parametrize(
        "changes, message",
        [
            ({"objective": "next"}, "model.objective='next': must be one of masked_tokens, next_tokens"),
            ({"next_tokens": {"step": 2}}, "model.next_tokens.step=2: unknown option; allowed are steps, first"),
            ({"next_tokens": {"steps": 0}}, "model.next_tokens.steps=0: must be an integer >= 1"),
            ({"next_tokens": {"steps": True}}, "model.next_tokens.steps=True: must be an integer >= 1"),
            ({"next_tokens": {"steps": "4"}}, "model.next_tokens.steps='4': must be an integer >= 1"),
            ({"next_tokens": {"first": -1}}, "model.next_tokens.first=-1: must be an integer >= 0"),
            ({"next_token": {"steps": 2}}, "next_token.*next_tokens"),
            ({"mask_position": "post_conv"}, "model.mask_position=post_conv: must be pre_conv"),
            ({"decoder": {"num_decoders": 4}}, "model.decoder.num_decoders=4: must be model.num_books=1"),
            ({"quantizer": {"num_books": 2}}, "model.decoder.num_decoders=1: must be model.num_books=2"),
            ({"encoder": {"att_context_size": [40, 1]}}, HEARS),
            ({"encoder": {"att_context_size": [[40, 0], [40, 1]]}}, HEARS),
            ({"encoder": {"att_context_size": [42, 6], "att_context_style": "chunked_limited"}}, HEARS),
            ({"preprocessor": {"normalize": "per_feature"}}, HEARS),
            (
                {"encoder": {"self_attention_model": "rel_pos_local_attn", "global_tokens": 2}},
                HEARS + ":\n  - attention: encoder.global_tokens=2 see everything",
            ),
            (
                {"encoder": {"conv_norm_type": "batch_norm"}},
                HEARS + ":\n  - batch statistics: encoder.conv_norm_type=batch_norm mixes all frames",
            ),
            (
                {"hierarchical_context": {"schedule": [[0, [8, 1]], [1, [16, 0]]]}},
                HEARS + ":\n  - attention: right context of a layer: 1 encoder frame",
            ),
            (
                {
                    "encoder": {"att_context_style": "chunked_limited"},
                    "hierarchical_context": {"schedule": [[0, [8, 3]], [1, [16, 3]]]},
                },
                HEARS + ":\n  - attention: right context of a chunk, which all layers share: 3 encoder frames",
            ),
            (
                {"encoder": {"causal_downsampling": False}, "next_tokens": {"first": 0}},
                "model.next_tokens.first=0: encoder step t has heard all of token t \\+ 0; must be 1 or more, or null",
            ),
        ],
    )
    def test_a_value_that_cannot_be_is_refused_by_name(self, next_config, changes, message):
        cfg = OmegaConf.merge(next_config(), OmegaConf.create(changes))
        with pytest.raises(ValueError, match=message):
            EncDecMaskedTokenPredModel(cfg)

    def test_a_block_must_be_one(self, next_config):
        cfg = next_config()
        cfg.next_tokens = 4
        with pytest.raises(ValueError, match="model.next_tokens=4: must have the keys steps and first"):
            EncDecMaskedTokenPredModel(cfg)

    def test_values_may_be_interpolated(self, next_config):
        cfg = next_config(horizon=3)
        cfg.next_tokens.steps = "${..horizon}"
        assert objective_of_config(cfg).offsets == range(0, 3)
        assert EncDecMaskedTokenPredModel(cfg).decoder.num_decoders == 3

    def test_a_missing_block_has_defaults(self, next_config):
        cfg = next_config()
        del cfg.next_tokens
        objective = objective_of_config(cfg)
        assert isinstance(objective, NextTokens) and objective.offsets == range(0, 4)

    @pytest.mark.parametrize("contexts", [[[8, 1], [16, 0]], [[8, 0], [16, -1]]])
    def test_a_look_ahead_that_is_set_later_is_refused_before_the_first_step(self, next_config, contexts, tmp_path):
        model, trained = EncDecMaskedTokenPredModel(next_config()), []
        model.encoder.set_layer_contexts(contexts)
        model.training_step = lambda *_: trained.append(1)
        trainer = small_trainer(default_root_dir=tmp_path)
        data = torch.utils.data.DataLoader([(torch.zeros(1, 8000), torch.tensor([8000]))], batch_size=None)
        with pytest.raises(ValueError, match=HEARS):
            trainer.fit(model, data)
        assert not trained


class OwnLoss(MLMLoss):
    def forward(self, *args, **kwargs):
        return 2 * super().forward(*args, **kwargs)


class OwnMultiLoss(MultiMLMLoss):
    def forward(self, *args, **kwargs):
        return 2 * super().forward(*args, **kwargs)


class OtherDefaults(MultiMLMLoss):
    def __init__(self, num_decoders=2):
        super().__init__(num_decoders=num_decoders)


class TestWhatAForkPutsInItsPlace:
    @staticmethod
    def decoder_for(loss, decoder=None):
        decoder = decoder or MultiSoftmaxDecoder(8, 4, 2)
        target = "nemo.collections.asr.modules.MultiSoftmaxDecoder"
        cfg = OmegaConf.create({"_target_": target, "feat_in": 8, "num_classes": 4, "num_decoders": 2})
        return NextTokens(3, 0).decoder(decoder, loss, cfg)

    def test_a_decoder_of_another_class_is_refused(self):
        with pytest.raises(ValueError, match="model.decoder=Linear: must be a MultiSoftmaxDecoder"):
            self.decoder_for(MLMLoss(), torch.nn.Linear(2, 2))

    @pytest.mark.parametrize("loss", [torch.nn.NLLLoss(), OwnLoss(), OwnMultiLoss()])
    def test_a_loss_that_would_not_be_computed_is_refused(self, loss):
        message = f"model.loss={type(loss).__name__}: must be MLMLoss or MultiMLMLoss, with their `forward`"
        with pytest.raises(ValueError, match=message):
            self.decoder_for(loss)

    @pytest.mark.parametrize("loss", [MLMLoss(), MultiMLMLoss(), OtherDefaults()])
    def test_a_loss_with_our_forward_is_as_good_as_ours(self, loss):
        assert self.decoder_for(loss).num_decoders == 6
