# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

import pytest
import torch
from omegaconf import OmegaConf

from nemo.collections.asr.models import EncDecDenoiseMaskedTokenPredModel, EncDecMaskedTokenPredModel
from nemo.collections.asr.modules import ConformerEncoder

# plain NeMo does not know the block: it builds the model, without a word
IGNORED = dict(fails_with=pytest.fail.Exception, match="DID NOT RAISE")
# schedule or interpolation that design 7 forbids, for the two layers of the tests' model: YAML as on the command line
BAD_SCHEDULES = [
    ("[]", "must have at least one"),
    ("null", "must have at least one"),
    ("[[0,40]]", r"schedule\[0\]=\[0, 40\]: must be \[layer_idx, \[left, right\]\]"),
    ("[[0,[40,0],1]]", r"schedule\[0\]=\[0, \[40, 0\], 1\]: must be"),
    ("[[0,[40]]]", r"schedule\[0\]=\[0, \[40\]\]=\[40\]: must be \[left, right\]"),
    ("[[true,[40,0]]]", r"layer index of schedule\[0\].*=True: must be an integer >= 0"),
    ("[[0.5,[40,0]]]", r"layer index of schedule\[0\].*=0.5: must be an integer >= 0"),
    ("[[-1,[40,0]]]", r"layer index of schedule\[0\].*=-1: must be an integer >= 0"),
    ("[[1,[40,0]]]", r"schedule\[0\]=\[1, \[40, 0\]\]: the first layer index must be 0"),
    ("[[0,[40,0]],[0,[80,0]]]", r"schedule\[1\]=\[0, \[80, 0\]\]: layer index must be above 0"),
    ("[[0,[40,0]],[2,[80,0]]]", r"schedule\[1\]=\[2, \[80, 0\]\]: layer index must be at most 1, the last of 2"),
    ("[[0,[-2,0]]]", r"left context of schedule\[0\].*=-2: must be an integer >= -1"),
    ("[[0,[40,-2]]]", r"right context of schedule\[0\].*=-2: must be an integer >= -1"),
    ("[[0,[4.5,0]]]", r"left context of schedule\[0\].*=4.5: must be an integer"),
    ("[[0,[40,'0']]]", r"right context of schedule\[0\].*='0': must be an integer"),
]
BAD_CHUNKS = [
    ("[[0,[41,1]]]", "layer 0=.41, 1.: the left context must be a multiple of right . 1 = 2"),
    ("[[0,[40,1]],[1,[40,0]]]", "layer 1=.40, 0.: the right context must be 1 as in layer 0"),
    ("[[0,[40,-1]]]", "layer 0=.40, -1.: the right context must be limited"),
]


def overrides(schedule="[[0,[4,0]],[1,[8,0]]]", style="regular", interpolation="step"):
    return [
        f"+model.hierarchical_context={{enabled:true,interpolation:{interpolation},schedule:{schedule}}}",
        f"model.encoder.att_context_style={style}",
        "model.encoder.att_context_size=[40,1]",
    ]


class TestHierarchicalContext:
    @pytest.mark.fix7(**IGNORED)
    @pytest.mark.parametrize("schedule, message", BAD_SCHEDULES)
    def test_a_bad_schedule_through_hydra_is_an_error_before_training(self, nest_config, schedule, message):
        with pytest.raises(ValueError, match=message):
            EncDecMaskedTokenPredModel(nest_config(*overrides(schedule), like_nemo=True))

    @pytest.mark.fix6(**IGNORED)
    @pytest.mark.parametrize("schedule, message", BAD_CHUNKS)
    def test_contexts_that_do_not_fit_chunks_are_an_error_before_training(self, nest_config, schedule, message):
        with pytest.raises(ValueError, match=message):
            EncDecMaskedTokenPredModel(nest_config(*overrides(schedule, "chunked_limited"), like_nemo=True))

    @pytest.mark.parametrize("schedule, message", BAD_SCHEDULES)
    def test_the_same_as_python_lists_and_as_listconfigs(self, nest_config, schedule, message):
        encoder = nest_config().encoder
        options = {key: value for key, value in encoder.items() if key != "_target_"}
        as_config = OmegaConf.create(f"schedule: {schedule}")
        for block in (OmegaConf.to_container(as_config), as_config):
            with pytest.raises(ValueError, match=message):
                ConformerEncoder(**options, hierarchical_context=block)

    @pytest.mark.fix7(**IGNORED)
    def test_an_unknown_interpolation(self, nest_config):
        with pytest.raises(ValueError, match="interpolation='cubic': must be one of step, linear"):
            EncDecMaskedTokenPredModel(nest_config(*overrides(interpolation="cubic"), like_nemo=True))

    @pytest.mark.parametrize("model_class", [EncDecMaskedTokenPredModel, EncDecDenoiseMaskedTokenPredModel])
    @pytest.mark.parametrize("position", ["pre_conv", "post_conv"])
    def test_a_schedule_through_hydra_is_in_force(self, nest_config, model_class, position):
        cfg = nest_config(*overrides(), f"model.mask_position={position}", like_nemo=True)
        model = model_class(cfg)
        assert [layer.self_attention.att_context_size for layer in model.encoder.layers] == [[4, 0], [8, 0]]
        assert model.encoder.att_context_size == [8, 0]

    @pytest.mark.fix6(fails_with=AssertionError, match=r"assert tensor\(0\..* > 0.0001")
    @pytest.mark.parametrize("attention", ["rel_pos", "abs_pos"])
    def test_contexts_set_by_hand_change_the_output(self, nest_config, attention):
        cfg = nest_config(f"model.encoder.self_attention_model={attention}", like_nemo=True)
        encoder = EncDecMaskedTokenPredModel(cfg).encoder.eval()
        inputs = {"audio_signal": torch.randn(1, 80, 400), "length": torch.tensor([400])}
        before = encoder(**inputs)[0]
        encoder.layers[1].self_attn.att_context_size = [2, 0]
        assert (before - encoder(**inputs)[0]).abs().max() > 1e-4

    def test_streaming_parameters_are_the_same_for_both_mask_positions(self, nest_config):
        configs = []
        for position in ("pre_conv", "post_conv"):
            model = EncDecMaskedTokenPredModel(nest_config(*overrides(), f"model.mask_position={position}"))
            model.encoder.setup_streaming_params()
            configs.append(model.encoder.streaming_cfg)
        assert configs[0] == configs[1] and configs[0].chunk_size

    def test_an_encoder_that_cannot_have_layer_contexts(self, nest_config):
        cfg = nest_config(*overrides(), like_nemo=True)
        cfg.encoder._target_ = "nemo.collections.asr.modules.ConvASREncoder"
        with pytest.raises(ValueError, match="ConvASREncoder: hierarchical_context needs a ConformerEncoder"):
            EncDecMaskedTokenPredModel(cfg)

    def test_the_tightest_context_reaches_the_masking(self, nest_config):
        model = EncDecMaskedTokenPredModel(nest_config(*overrides()))
        feats = torch.randn(1, 80, 400)
        inputs = {"processed_signal": feats, "processed_signal_length": torch.tensor([400])}
        masks = model(**inputs, apply_mask=True, current_frame=300)[2][0, 0].bool()
        assert masks[268:300].any() and not masks[:268].any() and not masks[300:].any()

    def test_contexts_survive_saving_loading_and_a_new_trainer(self, nest_config, tmp_path):
        import lightning.pytorch as pl

        model = EncDecMaskedTokenPredModel(nest_config(*overrides()))
        model.save_to(str(tmp_path / "model.nemo"))
        trainer = pl.Trainer(accelerator="cpu", devices=1, logger=False, enable_checkpointing=False)
        restored = EncDecMaskedTokenPredModel.restore_from(str(tmp_path / "model.nemo"), trainer=trainer)
        trainer.strategy.connect(restored)
        trainer.save_checkpoint(tmp_path / "model.ckpt")
        loaded = EncDecMaskedTokenPredModel.load_from_checkpoint(str(tmp_path / "model.ckpt"))
        fresh = EncDecMaskedTokenPredModel(nest_config(*overrides()))
        fresh.maybe_init_from_pretrained_checkpoint(
            OmegaConf.create({"init_from_nemo_model": str(tmp_path / "model.nemo")})
        )
        inputs = {
            "processed_signal": torch.randn(1, 80, 400),
            "processed_signal_length": torch.tensor([400]),
        }
        expected = model.eval()(**inputs)[0]
        for other in (restored, loaded, fresh):
            assert other.encoder.layer_contexts == [[4, 0], [8, 0]]
            assert torch.equal(other.eval()(**inputs)[0], expected)

    def test_a_ctc_model_can_have_them_too(self, nest_config):
        from nemo.collections.asr.models import EncDecCTCModel

        cfg = nest_config(*overrides())
        encoder = OmegaConf.merge(cfg.encoder, {"hierarchical_context": cfg.hierarchical_context})
        decoder = {"_target_": "nemo.collections.asr.modules.ConvASRDecoder", "feat_in": 32, "num_classes": 2}
        decoder["vocabulary"] = ["a", "b"]
        ctc = OmegaConf.create({"preprocessor": cfg.preprocessor, "encoder": encoder, "decoder": decoder})
        ctc.sample_rate = 16000
        model = EncDecCTCModel(ctc)
        assert model.encoder.layer_contexts == [[4, 0], [8, 0]]


@pytest.fixture
def read():
    """Reads a config's contexts; plain NeMo, on which the regressions of this file are run, has no such class."""
    from nemo.collections.asr.parts.contexts import ConfiguredContexts

    return ConfiguredContexts.from_config


class TestConfiguredContexts:
    """What a config says is what an encoder makes of it."""

    @pytest.mark.parametrize("style", ["regular", "chunked_limited"])
    @pytest.mark.parametrize("cap", [{}, {"context_cap": [6, -1]}, {"context_cap": [-1, 1]}], ids=str)
    @pytest.mark.parametrize("points", [None, [[0, [4, 1]], [1, [8, 1]]], [[0, [8, 1]], [1, [-1, 1]]]], ids=str)
    @pytest.mark.parametrize("size", [None, [8, 1], [[8, 1], [4, 1]], [[4, 1], [8, 1]]], ids=str)
    def test_are_those_of_the_encoder(self, read, nest_config, style, cap, points, size):
        if style == "chunked_limited" and size is None:
            size = [6, 1]  # an unlimited right context is none of chunks
        section = nest_config().encoder
        section.update({"att_context_style": style, "att_context_size": size, **cap})
        section.hierarchical_context = {"enabled": points is not None, "schedule": points}
        encoder = ConformerEncoder(**{key: value for key, value in section.items() if key != "_target_"}).eval()
        configured = read(section)
        assert [context.as_list() for context in configured.seen()] == encoder.layer_contexts
        assert (configured.own() is not None) is encoder.has_layer_contexts
        if encoder.has_layer_contexts:
            assert [context.as_list() for context in configured.own()] == encoder.own_layer_contexts

    def test_a_block_of_the_model_goes_before_the_encoders(self, read):
        blocks = [{"schedule": [[0, [left, 0]]]} for left in (4, 8)]
        section = {"n_layers": 1, "hierarchical_context": blocks[0]}
        off = {**blocks[1], "enabled": False}
        for block, left in ((None, 4), (blocks[1], 8), (off, 4)):
            assert [context.as_list() for context in read(section, block).seen()] == [[left, 0]]

    @pytest.mark.parametrize(
        "section, message",
        [
            ({"n_layers": 0}, "encoder.n_layers=0: must be an integer >= 1"),
            ({"att_context_style": "sliding"}, "encoder.att_context_style='sliding': must be one of regular, chunked"),
            ({"context_cap": 40}, r"encoder.context_cap=40: must be \[left, right\]"),
            ({"att_context_size": "wide"}, "att_context_size='wide': must be"),
            ({"att_context_size": [[8, 0], [None, 0]]}, "left context of att_context_size=None: must be an integer"),
        ],
    )
    def test_errors_name_the_option(self, read, section, message):
        with pytest.raises(ValueError, match=message):
            read({"n_layers": 2, **section}).seen()
