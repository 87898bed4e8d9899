# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""What is in force is what is saved: contexts that were given to a running model are in its files."""

import copy

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from lightning.pytorch import Trainer
from omegaconf import OmegaConf

from nemo.collections.asr import models
from nemo.collections.asr.models import ASRModel, EncDecCTCModel, EncDecMaskedTokenPredModel
from nemo.collections.asr.parts.contexts import ConfiguredContexts, SavesContexts, set_dynamic_context
from nemo.collections.asr.parts.contexts.saved import write_contexts
from nemo.core.classes.common import Serialization

N_LAYERS = 3
TINY = {
    "_target_": "nemo.collections.asr.modules.ConformerEncoder",
    **{"feat_in": 8, "n_layers": N_LAYERS, "d_model": 8, "n_heads": 2, "conv_kernel_size": 3, "dropout": 0.0},
    **{"subsampling_factor": 2, "subsampling_conv_channels": 4, "pos_emb_max_len": 64, "dropout_emb": 0.0},
}
SCHEDULE = {"enabled": True, "interpolation": "step", "schedule": [[0, [2, 0]], [2, [6, 0]]]}
# contexts that go together in both styles: chunks of two frames
LEFTS, RIGHT = st.sampled_from([0, 2, 4, 6, -1]), 1
CONTEXT = LEFTS.map(lambda left: [left, RIGHT])
STEPS = st.one_of(
    st.tuples(st.just("layers"), st.lists(CONTEXT, min_size=N_LAYERS, max_size=N_LAYERS)),
    st.tuples(st.just("hand"), st.tuples(st.integers(0, N_LAYERS - 1), CONTEXT)),
    st.tuples(st.just("cap"), st.sampled_from([[2, -1], [4, 1], [-1, -1]])),
    st.tuples(st.just("dynamic"), st.one_of(CONTEXT, st.sampled_from(["very_low", "unlimited"]))),
    st.tuples(st.just("none"), st.none()),
)


class Holder:
    """All that `set_dynamic_context` needs of a model."""

    def __init__(self, encoder):
        self.encoder = encoder


def build(section):
    torch.manual_seed(0)
    return Serialization.from_config_dict(section).eval()


def take(encoder, step, value):
    """One of the ways to give an encoder contexts."""
    if step == "layers":
        encoder.set_layer_contexts(value)
    elif step == "hand":
        encoder.layers[value[0]].self_attn.att_context_size = value[1]
    elif step == "cap":
        encoder.context_cap = value
    elif step == "dynamic":
        set_dynamic_context(Holder(encoder), value, sync_masking=False)
    else:
        encoder.set_layer_contexts(None)


def contexts(encoder):
    own = encoder.own_layer_contexts if encoder.has_layer_contexts else None
    return own, encoder.context_cap, encoder.layer_contexts, encoder.att_context_size, encoder.att_context_size_all


def encoded(encoder):
    feats = torch.randn(2, 8, 40, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        return encoder(audio_signal=feats, length=torch.tensor([40, 31]))[0]


def config(style="regular", **more):
    return OmegaConf.create({"encoder": {**TINY, "att_context_style": style, "att_context_size": [8, 1], **more}})


def written(cfg, encoder):
    """The config as it is saved."""
    saved = copy.deepcopy(cfg)
    write_contexts(saved, encoder)
    return saved


class TestWhatIsWritten:
    @settings(max_examples=60)
    @given(st.sampled_from(["regular", "chunked_limited"]), st.booleans(), st.lists(STEPS, min_size=1, max_size=4))
    @example("regular", False, [("dynamic", [4, 1]), ("layers", [[2, 1], [4, 1], [6, 1]]), ("none", None)])
    @example("regular", True, [("cap", [2, -1]), ("hand", (1, [4, 1]))])
    def test_builds_the_encoder_that_is_in_force(self, style, has_schedule, steps):
        schedule = {"enabled": True, "schedule": [[0, [2, 1]], [1, [4, 1]]]}
        cfg = config(style, **({"hierarchical_context": schedule} if has_schedule else {}))
        encoder = build(cfg.encoder)
        for step in steps:
            take(encoder, *step)
        saved = written(cfg, encoder)
        rebuilt = build(saved.encoder)
        assert torch.equal(encoded(rebuilt), encoded(encoder))
        assert contexts(rebuilt) == contexts(encoder)
        seen = ConfiguredContexts.from_config(saved.encoder).seen()
        assert [context.as_list() for context in seen] == encoder.layer_contexts
        assert written(saved, rebuilt) == saved

    @pytest.mark.parametrize(
        "section",
        [
            {},
            {"att_context_size": [[8, 1], [4, 1]], "att_context_probs": [0.25, 0.75]},
            {"att_context_size": None},
            {"hierarchical_context": SCHEDULE},
            {"hierarchical_context": {**SCHEDULE, "interpolation": "linear"}, "context_cap": [4, -1]},
            {"hierarchical_context": {**SCHEDULE, "enabled": False}},
            {"banded_attention": "auto"},
            {"context_cap": [4, 0]},
            {"self_attention_model": "rel_pos_local_attn"},
        ],
        ids=str,
    )
    def test_is_nothing_new_where_nothing_was_changed(self, section):
        cfg = config(**section)
        encoder = build(cfg.encoder)
        encoded(encoder)
        assert written(cfg, encoder) == cfg and written(cfg, copy.deepcopy(encoder)) == cfg

    def test_leaves_out_what_is_at_its_default(self):
        cfg = config(banded_attention=None, hierarchical_context=SCHEDULE, context_cap=[4, -1])
        encoder = build(cfg.encoder)
        encoder.set_layer_contexts(None)
        assert written(cfg, encoder) == config()

    def test_has_one_point_for_each_layer_and_no_other_schedule_of_the_model(self):
        cfg = config(hierarchical_context=SCHEDULE)
        cfg.hierarchical_context = SCHEDULE
        encoder = build(cfg.encoder)
        encoder.set_layer_contexts([[2, 0], [4, 0], [4, 0]])
        encoder.banded_attention = "always"
        saved = written(cfg, encoder)
        points = [[0, [2, 0]], [1, [4, 0]], [2, [4, 0]]]
        expected = {"enabled": True, "interpolation": "step", "schedule": points}
        assert saved.encoder.hierarchical_context == saved.hierarchical_context == expected
        assert saved.encoder.banded_attention == "always" and "context_cap" not in saved.encoder
        encoder.set_layer_contexts(None)
        assert "hierarchical_context" not in written(saved, encoder)

    def test_is_what_nemo_writes_after_nemos_own_calls(self):
        cfg = config()
        encoder = build(cfg.encoder)
        encoder.set_default_att_context_size([4, 1])
        assert written(cfg, encoder) == cfg
        cfg.encoder.att_context_size = [2, 1]  # a config that is edited before it is saved
        assert written(cfg, encoder).encoder.att_context_size == [2, 1]

    def test_is_what_is_in_force_where_layers_were_taken_away(self):
        cfg = config(hierarchical_context=SCHEDULE)
        encoder = build(cfg.encoder)
        encoder.layers = encoder.layers[:2]
        assert written(cfg, encoder).encoder.hierarchical_context.schedule == [[0, [2, 0]], [1, [2, 0]]]

    def test_a_context_by_hand_that_is_none_is_an_error(self):
        cfg = config()
        encoder = build(cfg.encoder)
        encoder.layers[1].self_attn.att_context_size = [2]
        with pytest.raises(ValueError, match="context of layer 1=.2.: must be"):
            written(cfg, encoder)


def save(model, path):
    """Writes a `.nemo` file, or Lightning's checkpoint."""
    if path.suffix == ".nemo":
        model.save_to(str(path))
        return
    trainer = Trainer(accelerator="cpu", logger=False, enable_checkpointing=False)
    trainer.strategy.connect(model)
    trainer.save_checkpoint(path)


def opened(path, model_class):
    if path.suffix == ".nemo":
        return ASRModel.restore_from(str(path), map_location="cpu")
    return model_class.load_from_checkpoint(str(path), map_location="cpu")


@pytest.mark.parametrize("suffix", ["nemo", "ckpt"])
class TestFiles:
    """Also of models that have nothing to do with self-supervised learning."""

    @pytest.fixture(params=["CTC", "pre_conv", "post_conv"])
    def model(self, request, plain_models):
        if request.param == "CTC":
            return plain_models.build_ctc_model()
        cfg = OmegaConf.create(plain_models.nest_config(request.param))
        cfg.encoder.n_layers = 2
        return EncDecMaskedTokenPredModel(cfg)

    @staticmethod
    def outputs(model):
        signal = torch.randn(1, 16000, generator=torch.Generator().manual_seed(1))
        return model.eval()(input_signal=signal, input_signal_length=torch.tensor([16000]))[0]

    def test_give_back_contexts_and_outputs(self, model, tmp_path, suffix):
        path = tmp_path / f"model.{suffix}"
        before = copy.deepcopy(model.cfg)
        model.encoder.set_layer_contexts([[3, 0], [5, 0]])
        model.encoder.layers[1].self_attn.att_context_size = [4, 0]
        model.encoder.context_cap = [3, -1]
        save(model, path)
        assert model.cfg == before
        again = opened(path, type(model))
        assert torch.equal(self.outputs(again), self.outputs(model))
        assert again.encoder.own_layer_contexts == [[3, 0], [4, 0]] and again.encoder.context_cap == [3, -1]
        again.encoder.set_layer_contexts(None)
        save(again, path)
        plain = opened(path, type(model))
        assert not plain.encoder.has_layer_contexts
        assert torch.equal(self.outputs(plain), self.outputs(again))

    def test_have_the_config_of_a_model_that_was_not_changed(self, model, tmp_path, suffix):
        path = tmp_path / f"model.{suffix}"
        save(model, path)
        assert opened(path, type(model)).cfg == model.cfg

    def test_have_the_one_context_of_all_layers(self, model, tmp_path, suffix):
        path = tmp_path / f"model.{suffix}"
        set_dynamic_context(model, [4, 0], sync_masking=False)
        save(model, path)
        again = opened(path, type(model))
        assert again.cfg.encoder.att_context_size == [4, 0] and not again.encoder.has_layer_contexts
        assert torch.equal(self.outputs(again), self.outputs(model))


def test_all_models_with_text_and_all_that_learn_without_save_what_is_in_force():
    names = "EncDecCTCModelBPE EncDecRNNTBPEModel EncDecHybridRNNTCTCBPEModel EncDecMultiTaskModel"
    names += " EncDecFrameClassificationModel SpeechEncDecSelfSupervisedModel EncDecDenoiseMaskedTokenPredModel"
    assert all(issubclass(getattr(models, name), SavesContexts) for name in names.split())


def test_an_encoder_of_another_model_is_saved_with_its_contexts(plain_models, tmp_path):
    pretrained, model = plain_models.build_ctc_model(), plain_models.build_ctc_model()
    pretrained.encoder.set_layer_contexts([[3, 0], [5, 0]])
    model.encoder = pretrained.encoder
    save(model, tmp_path / "model.nemo")
    assert opened(tmp_path / "model.nemo", EncDecCTCModel).encoder.own_layer_contexts == [[3, 0], [5, 0]]


def test_decoding_of_all_frames_is_saved(plain_models, tmp_path):
    model = EncDecMaskedTokenPredModel(OmegaConf.create(plain_models.nest_config("pre_conv")))
    model.masked_only_decoding = False
    save(model, tmp_path / "model.nemo")
    model = opened(tmp_path / "model.nemo", EncDecMaskedTokenPredModel)
    assert model.cfg.masked_only_decoding is False and model.masked_only_decoding is False
    model.masked_only_decoding = True
    save(model, tmp_path / "model.nemo")
    assert "masked_only_decoding" not in opened(tmp_path / "model.nemo", EncDecMaskedTokenPredModel).cfg


def test_a_model_from_the_middle_of_a_curriculum_has_its_cap_until_it_is_trained(nest_config, tmp_path):
    cfg = nest_config(like_nemo=True)
    cfg.curriculum_context = {"start_context": 2, "end_context": 10, "warmup_steps": 8}
    trainer = Trainer(max_steps=2, accelerator="cpu", logger=False, enable_checkpointing=False)
    model = EncDecMaskedTokenPredModel(cfg, trainer=trainer)
    batch = (torch.randn(2, 8000), torch.tensor([8000, 6400]))
    batches = torch.utils.data.DataLoader([batch] * 3, batch_size=None)
    trainer.fit(model, batches)
    assert model.encoder.context_cap == [3, -1]  # of the last step that was taken
    trainer.save_checkpoint(tmp_path / "model.ckpt")
    save(model, tmp_path / "model.nemo")
    for path in (tmp_path / "model.nemo", tmp_path / "model.ckpt"):
        again = opened(path, EncDecMaskedTokenPredModel)
        assert again.encoder.context_cap == [3, -1]
        assert torch.equal(TestFiles.outputs(again), TestFiles.outputs(model))
    again.train()
    trainer = Trainer(max_steps=5, accelerator="cpu", logger=False, enable_checkpointing=False)
    again.set_trainer(trainer)
    trainer.fit(again, batches, ckpt_path=str(tmp_path / "model.ckpt"))
    assert again.encoder.context_cap == [6, -1]  # by the step alone
