# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Checkpoints in both directions: plain NeMo's open here and go on, ours open in plain NeMo, and stripped ones too.

One process without the patches writes plain NeMo's files and opens ours, see `plain_checkpoints.py`.
"""

from pathlib import Path

import plain_checkpoints as checkpoints
import pytest
import torch
from omegaconf import OmegaConf

from nemo.collections.asr.models import EncDecMaskedTokenPredModel
from nemo_streaming_ssl.strip import strip

SCRIPT = Path(__file__).with_name("plain_checkpoints.py")

# how a file of ours with contexts comes about: case, arguments of the encoder, contexts, what plain NeMo then has
STRIPPED = {
    "one context": ("masked, pre_conv", {}, [[3, 0], [3, 0]], [3, 0]),
    "after the subsampling": ("masked, post_conv", {}, [[3, 0], [3, 0]], [3, 0]),
    "noisy audio": ("denoise, pre_conv", {"att_context_size": [3, 1]}, None, [3, 1]),
    "chunks": (
        "masked, pre_conv",
        {"att_context_style": "chunked_limited", "att_context_size": [8, 1]},
        [[4, 1], [4, 1]],
        [4, 1],
    ),
    "local": (
        "masked, pre_conv",
        {"self_attention_model": "rel_pos_local_attn", "att_context_size": [5, 5]},
        [[3, 0], [3, 0]],
        [3, 0],
    ),
    "several": ("masked, pre_conv", {}, [[2, 0], [6, 0]], [6, 0]),
}


def with_our_options(case, encoder, contexts):
    """A model with options that plain NeMo does not know."""
    model = checkpoints.build(case, n_layers=2, banded_attention="auto", **encoder)
    OmegaConf.set_struct(model.cfg, False)
    model.cfg.update(streaming=False, target_normalize=None, curriculum_context={"enabled": False})
    model.cfg.masking.update(causal=True, left_context_size=-1)
    if contexts is not None:
        model.cfg.hierarchical_context = {"enabled": True, "schedule": [[0, [1, 0]]]}
        model.encoder.set_layer_contexts(contexts)
    return model


def next_token_model():
    """A model that predicts three tokens of two codebooks at each step.

    Its downsampling is not causal: plain NeMo cannot train one that is.
    """
    causal = dict(att_context_size=[3, 0], conv_context_size="causal")
    config = OmegaConf.create(checkpoints.plain_models.nest_config("pre_conv"))
    config.update(objective="next_tokens", next_tokens={"steps": 3})
    config.encoder.update(**causal, conv_norm_type="layer_norm")
    config.preprocessor.normalize, config.quantizer.num_books = "NA", 2
    config.decoder.num_decoders = config.loss.num_decoders = 2
    torch.manual_seed(0)
    return EncDecMaskedTokenPredModel(config)


@pytest.fixture(scope="module")
def folder(tmp_path_factory, plain_children):
    """Files of ours in `ours`, and what plain NeMo made of it, in `plain` and `answers.pt`."""
    folder = tmp_path_factory.mktemp("checkpoints")
    (folder / "ours").mkdir()
    (folder / "unstripped").mkdir()
    for case in (*checkpoints.CASES, *checkpoints.UNTRAINED):
        model = checkpoints.build(case)
        checkpoints.train(model, checkpoints.STEPS, save=folder / "ours" / f"{case}.ckpt")
        model.save_to(str(folder / "ours" / f"{case}.nemo"))
    for name, (case, encoder, contexts, _) in STRIPPED.items():
        file = folder / "unstripped" / f"{name}.nemo"
        with_our_options(case, encoder, contexts).save_to(str(file))
        strip(file, folder / "ours" / f"{name}.nemo")
    next_token_model().save_to(str(folder / "unstripped" / "next tokens.nemo"))
    strip(folder / "unstripped" / "next tokens.nemo", folder / "ours" / "next tokens.nemo")
    plain_children.run(SCRIPT, folder)
    return folder


@pytest.fixture(scope="module")
def plain(folder):
    """What plain NeMo says."""
    answers = torch.load(folder / "answers.pt")
    assert not answers["patched"]
    return answers


class TestPlainNeMosFiles:
    def test_give_the_same_outputs(self, folder, plain):
        for case, expected in plain["written"].items():
            for suffix in ("nemo", "ckpt"):
                model = checkpoints.opened(folder / "plain" / f"{case}.{suffix}")
                assert torch.equal(checkpoints.encoded(model), expected["encoded"]), f"{case}.{suffix}"

    @pytest.mark.parametrize("how", ["a new model", "load_from_checkpoint"])
    def test_go_on_with_optimizer_and_scheduler(self, folder, plain, how):
        for case in checkpoints.CASES:
            if "few targets" in case:
                continue
            file = folder / "plain" / f"{case}.ckpt"
            model = checkpoints.build(case)
            if how == "load_from_checkpoint":
                model = checkpoints.with_even_masks(checkpoints.opened(file))
            found = checkpoints.train(model, 2 * checkpoints.STEPS, resume=file)
            expected = plain["written"][case]["goes on"]
            assert found["rates"] == expected["rates"] and len(found["rates"]) == checkpoints.STEPS
            # that of the second step depends on the optimizer's state
            torch.testing.assert_close(found["losses"], expected["losses"], rtol=1e-5, atol=1e-6)

    def test_with_few_targets_go_on_with_all_of_them(self, folder, plain):
        case = "masked, post_conv, few targets"
        file, model = folder / "plain" / f"{case}.ckpt", checkpoints.build(case)
        projection = model.quantizer.proj.weight.clone()
        found = checkpoints.train(model, 2 * checkpoints.STEPS, resume=file)
        assert found["rates"] == plain["written"][case]["goes on"]["rates"]
        assert torch.equal(model.quantizer.proj.weight, projection) and model.cfg.quantizer.combine_time_steps == 1

    def test_start_a_new_training_with_the_same_loss(self, folder, plain):
        for case in checkpoints.CASES:
            if "few targets" not in case:
                model = checkpoints.with_even_masks(checkpoints.opened(folder / "plain" / f"{case}.nemo"))
                found = checkpoints.train(model, 1)["losses"]
                torch.testing.assert_close(found, plain["written"][case]["next"], rtol=1e-5, atol=1e-6)

    @pytest.mark.parametrize("where, expected", [("plain", (1, 8)), ("ours", (1, 1))])
    def test_open_with_a_config_of_ones_own(self, folder, where, expected):
        """Of another number of encoder frames per token than the weights; the file has eight, or one."""
        file = folder / where / "masked, post_conv, few targets.nemo"
        for time_steps, then in zip((1, 8), expected):
            config = OmegaConf.create(checkpoints.plain_models.nest_config("post_conv"))
            config.quantizer.combine_time_steps = time_steps
            restore = EncDecMaskedTokenPredModel.restore_from
            model = restore(str(file), override_config_path=config, map_location="cpu")
            assert model.quantizer.combine_time_steps == model.cfg.quantizer.combine_time_steps == then
            if then == 1:
                assert checkpoints.train(checkpoints.with_even_masks(model), 1)["losses"][0] > 0


class TestOurFiles:
    def test_are_the_same_in_plain_nemo(self, folder, plain):
        for case in (*checkpoints.CASES, *checkpoints.UNTRAINED):
            for suffix in ("nemo", "ckpt"):
                name = f"{case}.{suffix}"
                found, expected = plain["opened"][name], checkpoints.facts_of(folder / "ours" / name)
                assert torch.equal(found["encoded"], expected["encoded"]), name
                assert found["block_size"] == expected["block_size"], name
                if case in checkpoints.CASES:
                    torch.testing.assert_close(found["next"], expected["next"], rtol=1e-5, atol=1e-6)


class TestStrippedFiles:
    @pytest.mark.parametrize("name", STRIPPED)
    def test_open_in_plain_nemo_with_equal_outputs_where_all_layers_see_the_same(self, folder, plain, name):
        found, same = plain["opened"][f"{name}.nemo"], name != "several"
        ours = checkpoints.facts_of(folder / "unstripped" / f"{name}.nemo")
        assert found["context"] == STRIPPED[name][-1] and found["block_size"] == ours["block_size"]
        assert torch.allclose(found["encoded"], ours["encoded"], atol=1e-5) is same
        if same:
            torch.testing.assert_close(found["next"], ours["next"], rtol=1e-5, atol=1e-6)

    @pytest.mark.parametrize("name", STRIPPED)
    def test_are_the_same_here_and_there(self, folder, plain, name):
        model = checkpoints.opened(folder / "ours" / f"{name}.nemo")
        assert not model.encoder.has_layer_contexts
        assert torch.equal(checkpoints.encoded(model), plain["opened"][f"{name}.nemo"]["encoded"])

    def test_of_next_tokens_predict_masked_ones(self, folder, plain):
        """With the heads of the first token, one for each codebook."""
        ours = checkpoints.opened(folder / "unstripped" / "next tokens.nemo")
        found, model = plain["opened"]["next tokens.nemo"], checkpoints.opened(folder / "ours" / "next tokens.nemo")
        encoded = checkpoints.encoded(ours)
        assert torch.equal(found["encoded"], encoded) and model.objective.name == "masked_tokens"
        log_probs = [each.decoder(encoder_output=encoded) for each in (ours, model)]
        assert log_probs[0].shape[3] == 6 and torch.equal(log_probs[0][..., :2], log_probs[1])
        expected = checkpoints.facts_of(folder / "ours" / "next tokens.nemo")["next"]
        torch.testing.assert_close(found["next"], expected, rtol=1e-5, atol=1e-6)
