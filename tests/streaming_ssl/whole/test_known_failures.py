# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""What plain NeMo does wrong, or does not do, shown through its own interface.

Nothing of the patches is imported here, and no argument or attribute of theirs is used; keys of a config that plain
NeMo does not know are ignored by it. `tests/regressions_go_red.py` runs these tests on plain NeMo, where each must
fail as its marker states. Other failures are shown, and marked, where the tests of their module are.
"""

import pytest
import torch
from lightning.pytorch import Callback
from omegaconf import OmegaConf
from small_trainer import small_trainer

from nemo.collections.asr.models import EncDecDenoiseMaskedTokenPredModel, EncDecMaskedTokenPredModel
from nemo.collections.asr.modules import ConformerEncoder, RandomProjectionVectorQuantizer

WINDOW = "model.encoder.att_context_size=[40,0]"
NOT_REFUSED = dict(fails_with=pytest.fail.Exception, match="DID NOT RAISE")
CURRICULUM = {"enabled": True, "start_context": 2, "end_context": 6, "warmup_steps": 4, "every_n_steps": 1}


def conformer(**options):
    """A small causal encoder in eval mode, the same weights each time."""
    torch.manual_seed(0)
    sizes = dict(feat_in=16, n_layers=2, d_model=32, n_heads=4, subsampling_factor=8, subsampling_conv_channels=8)
    causal = dict(causal_downsampling=True, conv_context_size="causal", conv_norm_type="layer_norm")
    encoder = ConformerEncoder(**{**sizes, **causal, "subsampling": "dw_striding", **options}).eval()
    show_positions(encoder)
    return encoder


def show_positions(encoder):
    """NeMo starts the positions' biases at zero, which would hide a part of what they do."""
    for name, parameter in encoder.named_parameters():
        if "pos_bias" in name:
            torch.nn.init.normal_(parameter, std=0.5)


def with_block(cfg, **blocks):
    return OmegaConf.merge(cfg, blocks)


def encoded(model, frames=400):
    """Encoder output of the same noise each time, (1, D, T)."""
    torch.manual_seed(1)
    model.eval()
    with torch.no_grad():
        return model.encoder(audio_signal=torch.randn(1, 80, frames), length=torch.tensor([frames]))[0]


def trainer(folder, **options):
    return small_trainer(default_root_dir=folder, **options)


class TestContextsOfLayers:
    @pytest.mark.fix6(fails_with=AssertionError, match="assert not True")
    @pytest.mark.parametrize("model_class", [EncDecMaskedTokenPredModel, EncDecDenoiseMaskedTokenPredModel])
    @pytest.mark.parametrize("attention", ["rel_pos", "abs_pos"])
    def test_a_schedule_in_the_config_changes_what_the_layers_see(self, nest_config, model_class, attention):
        cfg = nest_config(f"model.encoder.self_attention_model={attention}", WINDOW, like_nemo=True)
        plain = model_class(cfg)
        schedule = {"enabled": True, "interpolation": "step", "schedule": [[0, [2, 0]], [1, [4, 0]]]}
        model = model_class(with_block(cfg, hierarchical_context=schedule))
        model.load_state_dict(plain.state_dict())
        assert not torch.allclose(encoded(model), encoded(plain), atol=1e-4)

    @pytest.mark.limit(fails_with=AssertionError, match="Tensor-likes are not close")
    def test_local_attention_is_full_attention_under_the_same_window(self, nest_config):
        block = {"enabled": True, "interpolation": "step", "schedule": [[0, [40, 0]]]}
        full, local = (
            EncDecMaskedTokenPredModel(
                with_block(
                    nest_config(f"model.encoder.self_attention_model={kind}", WINDOW, like_nemo=True),
                    hierarchical_context=block,
                )
            )
            for kind in ("rel_pos", "rel_pos_local_attn")
        )
        show_positions(full.encoder)
        local.load_state_dict(full.state_dict())
        torch.testing.assert_close(encoded(local, 800), encoded(full, 800), rtol=0, atol=1e-4)

    @pytest.mark.limit(fails_with=ValueError, match="should be equal to one")
    def test_probabilities_that_sum_to_one_but_for_rounding(self):
        sizes = [[4, 0], [8, 0], [12, 0]]
        assert sum([0.7, 0.2, 0.1]) != 1
        assert conformer(att_context_size=sizes, att_context_probs=[0.7, 0.2, 0.1]).att_context_size_all == sizes

    @pytest.mark.limit(fails_with=RuntimeError, match=r"tensor a \(10001\) must match .* tensor b \(5001\)")
    def test_an_unlimited_left_context_with_a_cache(self):
        encoder = conformer(att_context_size=[-1, 0])
        encoder.setup_streaming_params()
        encoder.streaming_cfg.drop_extra_pre_encoded = 0  # a first chunk has no history whose frames are dropped
        channels, times, lengths = encoder.get_initial_cache_state(batch_size=1)
        first = torch.randn(1, 16, 1)  # the feature frame of the first encoder frame
        output = encoder(
            audio_signal=first,
            length=torch.tensor([1]),
            cache_last_channel=channels,
            cache_last_time=times,
            cache_last_channel_len=lengths,
        )[0]
        expected = encoder(audio_signal=first, length=torch.tensor([1]))[0]
        torch.testing.assert_close(output, expected, rtol=0, atol=1e-4)


class ContextsSeen(Callback):
    """The encoder's left context while each batch is trained."""

    def __init__(self):
        self.lefts = []

    def on_train_batch_end(self, trainer, pl_module, *_):
        self.lefts.append(pl_module.encoder.att_context_size[0])


class TestCurriculumOfContexts:
    @staticmethod
    def config(nest_config, **options):
        return with_block(
            nest_config(WINDOW, like_nemo=True),
            curriculum_context={**CURRICULUM, **options},
        )

    @pytest.mark.fix5(fails_with=AssertionError, match=r"\[40, 40, 40, 40, 40, 40\] == \[2, 3, 4, 5, 6, 6\]")
    def test_contexts_widen_while_the_model_trains(self, nest_config, tmp_path):
        seen = ContextsSeen()
        model = EncDecMaskedTokenPredModel(self.config(nest_config))
        batch = (torch.randn(2, 16000) * 0.1, torch.tensor([16000, 12000]))
        loader = torch.utils.data.DataLoader([batch] * 6, batch_size=None)
        trainer(tmp_path, max_steps=6, callbacks=[seen]).fit(model, loader)
        assert seen.lefts == [2, 3, 4, 5, 6, 6]

    @pytest.mark.fix5(fails_with=AssertionError, match="assert not True")
    @pytest.mark.parametrize("model_class", [EncDecMaskedTokenPredModel, EncDecDenoiseMaskedTokenPredModel])
    def test_when_training_starts_the_layers_see_less(self, nest_config, model_class, tmp_path):
        model = model_class(self.config(nest_config))
        before = encoded(model)
        at_start = trainer(tmp_path)
        for callback in model.configure_callbacks():
            callback.on_fit_start(at_start, model)
            callback.on_train_start(at_start, model)
        assert not torch.allclose(encoded(model), before, atol=1e-4)

    @pytest.mark.fix5(**NOT_REFUSED)
    @pytest.mark.parametrize(
        "name, value",
        [("start_context", 0), ("end_context", -1), ("warmup_steps", -1), ("start_context", 1.5), ("start_contxt", 4)],
    )
    def test_a_bad_block_is_an_error_before_training(self, nest_config, name, value):
        with pytest.raises(ValueError, match=f"{name}={value}"):
            EncDecDenoiseMaskedTokenPredModel(self.config(nest_config, **{name: value}))


class TestTargets:
    @pytest.mark.limit(fails_with=RuntimeError, match="expected scalar type Double but found Float")
    def test_the_cosine_distance_gives_the_tokens_of_l2(self):
        options = dict(feat_in=5, code_dim=16, num_classes=32, num_books=2, combine_time_steps=8)
        cosine, l2 = (RandomProjectionVectorQuantizer(dist_fn=name, **options) for name in ("cosine", "l2"))
        cosine.load_state_dict(l2.state_dict())
        feats = torch.randn(2, 5, 80)
        assert torch.equal(cosine(input_signal=feats)[1], l2(input_signal=feats)[1])
