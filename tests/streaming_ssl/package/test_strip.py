# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""`nemo-streaming-ssl strip`: what it takes out of a config, what it says, and that no file is lost."""

import importlib
import inspect
import os
import subprocess
import sys

import pytest
import yaml
from nemo_archives import read, write

from nemo.utils.options import ARGUMENTS, OPTIONS
from nemo_streaming_ssl.cli import main
from nemo_streaming_ssl.strip import CONTEXTS, strip_config

WEIGHTS = bytes(range(256)) * 100
ENCODER = {
    "_target_": "nemo.collections.asr.modules.ConformerEncoder",
    "n_layers": 4,
    "att_context_size": [320, 0],
    "att_context_style": "regular",
}
# sections of the config and modules of the classes that have arguments of ours
MODULES = {
    "ConformerEncoder": "nemo.collections.asr.modules.conformer_encoder",
    "RandomBlockMasking": "nemo.collections.asr.modules.ssl_modules.masking",
    "RandomProjectionVectorQuantizer": "nemo.collections.asr.modules.ssl_modules.quantizers",
    "MLMLoss": "nemo.collections.asr.losses.ssl_losses.mlm",
    "MultiMLMLoss": "nemo.collections.asr.losses.ssl_losses.mlm",
    "ContrastiveLoss": "nemo.collections.asr.losses.ssl_losses.contrastive",
}


def with_contexts(*contexts, **more):
    """A model's config with a context for each of its four layers."""
    points = [[layer, list(context)] for layer, context in enumerate(contexts)]
    return {"encoder": {**ENCODER, "hierarchical_context": {"enabled": True, "schedule": points}, **more}}


@pytest.fixture
def model(tmp_path):
    """A `.nemo` file with two options of ours."""
    config = {**with_contexts([40, 0], [40, 0], [40, 0], [40, 0]), "masking": {}, "streaming": True, "lr": 0.001}
    files = {"./model_config.yaml": yaml.safe_dump(config).encode(), "./model_weights.ckpt": WEIGHTS}
    return write(tmp_path / "model.nemo", {**files, "./0a_tokenizer.model": b"words"})


class TestOptions:
    def test_are_all_that_plain_nemo_does_not_know(self):
        for name, module in MODULES.items():
            ours = importlib.import_module(module)
            package, _, last = module.rpartition(".")
            plain = importlib.import_module(f"{package}._{last}_base")
            new = _arguments(getattr(ours, name)) - _arguments(getattr(plain, name))
            assert new == (OPTIONS[ARGUMENTS[name]].keys() if name in ARGUMENTS else set()), name
        assert ARGUMENTS.keys() <= MODULES.keys()

    def test_are_there_while_the_patches_are_switched_off(self, model, tmp_path):
        config = read(model)["./model_config.yaml"].replace(b"hierarchical_context", b"other")
        write(model, {**read(model), "./model_config.yaml": config})
        environment = {**os.environ, "NEMO_STREAMING_SSL": "off"}
        command = [
            sys.executable,
            "-X",
            "importtime",
            "-m",
            "nemo_streaming_ssl",
            "strip",
            model,
            tmp_path / "out.nemo",
        ]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        assert "streaming=true: plain NeMo does not check it" in done.stdout
        assert not {"nemo", "torch"} & {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}

    def test_are_taken_out_wherever_they_are(self):
        masking = {"_target_": "nemo.collections.asr.modules.RandomBlockMasking", "block_size": 40}
        loss = {"_target_": "nemo.collections.asr.losses.ContrastiveLoss", "num_negatives": 2}
        plain = {"masking": masking, "loss_list": {"a": {"loss": loss}}, "train_ds": {"batch_size": 2}, "b": [1, None]}
        config = {**plain, "streaming": True, "target_normalize": "per_feature", "allow_lookahead": False}
        config["masking"] = {**masking, "causal": True, "left_context_size": 7, "context_stride": 8}
        config["loss_list"] = {"a": {"loss": {**loss, "length_aware_negatives": True}}}
        config["train_ds"] = {"batch_size": 2, "check_audio_files": 3}
        lost = strip_config(config)
        assert config == plain
        begins = ["streaming=true", "target_normalize=per_feature", "masking.causal=true", "loss_list.a.loss.length_"]
        assert [line for line in lost if not line.startswith(tuple(begins))] == [] and len(lost) == len(begins)

    def test_that_are_not_set_are_no_loss(self):
        masking = {"_target_": "nemo.collections.asr.modules.RandomBlockMasking", "causal": False}
        encoder = {**ENCODER, "banded_attention": None, "hierarchical_context": None}
        config = {"encoder": encoder, "masking": masking, "curriculum_context": {"enabled": False}}
        assert strip_config(config) == []
        assert config == {"encoder": ENCODER, "masking": {"_target_": masking["_target_"]}}

    def test_of_an_encoder_with_adapters_are_taken_out(self):
        encoder = {**ENCODER, "_target_": "nemo.collections.asr.modules.conformer_encoder.ConformerEncoderAdapter"}
        config = {"encoder": {**encoder, "banded_attention": "always"}}
        (line,) = strip_config(config)
        assert line.startswith("encoder.banded_attention=always: speed") and config == {"encoder": encoder}

    def test_of_other_classes_stay(self):
        config = {
            "masking": {"_target_": "fork.CausalMasking", "causal": True},
            "encoder": {"_target_": "fork.Encoder"},
        }
        assert strip_config(config) == [] and config["masking"]["causal"] is True


class TestContexts:
    def test_that_differ_are_listed(self):
        config = with_contexts([40, 0], [40, 0], [120, 0], [320, 0], att_context_size=[-1, -1])
        (line,) = strip_config(config)
        assert line == (
            "encoder.hierarchical_context: layers 0 to 1 had [40, 0], layer 2 [120, 0], layer 3 [320, 0]; "
            "plain NeMo gives all layers [320, 0]: other outputs"
        )
        assert config == {"encoder": ENCODER}

    @pytest.mark.parametrize(
        "more, size",
        [({}, [40, 0]), ({"context_cap": [7, -1]}, [7, 0]), ({"att_context_style": "chunked_limited"}, [40, 0])],
    )
    def test_that_are_the_same_become_the_encoders(self, more, size):
        config = with_contexts(*[[40, 0]] * 4, **more)
        (line,) = strip_config(config)
        assert line == f"encoder.att_context_size={size}: the context of all layers; nothing is lost"
        assert config["encoder"]["att_context_size"] == size and not set(CONTEXTS) & config["encoder"].keys()

    def test_of_the_model_are_the_encoders(self):
        """A config that no constructor of ours has seen."""
        block = with_contexts(*[[40, 0]] * 4)["encoder"]["hierarchical_context"]
        config = {"masking": {}, "hierarchical_context": block, "encoder": dict(ENCODER)}
        strip_config(config)
        assert config == {"masking": {}, "encoder": {**ENCODER, "att_context_size": [40, 0]}}

    def test_beside_several_of_the_encoder(self):
        sizes = [[40, 0], [20, 0]]
        for left, is_lost in ((40, False), (30, True)):
            config = with_contexts(*[[left, 0]] * 4, att_context_size=sizes)
            (line,) = strip_config(config)
            assert ("other outputs" in line) is is_lost and config["encoder"]["att_context_size"] == sizes

    def test_of_local_attention_become_those_of_masks(self):
        config = with_contexts(*[[40, 0]] * 4, self_attention_model="rel_pos_local_attn")
        assert len(strip_config(config)) == 2 and config["encoder"]["self_attention_model"] == "rel_pos"


class TestFiles:
    def test_have_all_but_the_options(self, model, tmp_path, capsys):
        before = model.read_bytes()
        assert main(["strip", str(model), str(tmp_path / "out.nemo")]) == 0
        found, expected = read(tmp_path / "out.nemo"), read(model)
        config = yaml.safe_load(found.pop("./model_config.yaml"))
        assert config == {"encoder": {**ENCODER, "att_context_size": [40, 0]}, "masking": {}, "lr": 0.001}
        expected.pop("./model_config.yaml")
        assert list(found.items()) == list(expected.items()) and model.read_bytes() == before
        assert capsys.readouterr().out.splitlines() == [
            "encoder.att_context_size=[40, 0]: the context of all layers; nothing is lost",
            "streaming=true: plain NeMo does not check it",
            f'{tmp_path / "out.nemo"}: written',
        ]

    def test_without_options_are_copied(self, tmp_path, capsys):
        config = b"encoder: {n_layers: 2}\noptim: {lr: 1e-3}\n"
        model = write(tmp_path / "model.nemo", {"model_config.yaml": config, "model_weights.ckpt": WEIGHTS}, "w:gz")
        assert main(["strip", str(model), str(tmp_path / "out.nemo")]) == 0
        assert capsys.readouterr().out.endswith("had no option of ours\n")
        found = read(tmp_path / "out.nemo")
        assert found["model_weights.ckpt"] == WEIGHTS
        assert yaml.safe_load(found["model_config.yaml"]) == {"encoder": {"n_layers": 2}, "optim": {"lr": 0.001}}

    def test_that_are_there_are_replaced_with_force_only(self, model, tmp_path, capsys):
        out = tmp_path / "out.nemo"
        out.write_bytes(b"mine")
        assert main(["strip", str(model), str(out)]) == 2 and out.read_bytes() == b"mine"
        assert "is there; --force replaces it" in capsys.readouterr().err
        assert main(["strip", "--force", str(model), str(out)]) == 0 and "./model_weights.ckpt" in read(out)

    @pytest.mark.parametrize("link", [False, True])
    def test_the_model_is_never_overwritten(self, model, tmp_path, capsys, link):
        out, before = tmp_path / "out.nemo" if link else model, model.read_bytes()
        if link:
            out.symlink_to(model)
        assert main(["strip", "--force", str(model), str(out)]) == 2 and model.read_bytes() == before
        assert "is the model itself" in capsys.readouterr().err

    @pytest.mark.parametrize(
        "make, reason",
        [
            (lambda path: None, "there is no such file"),
            (lambda path: path.mkdir(), "a folder; pack it into one .nemo file first"),
            (lambda path: path.write_bytes(b"PK" * 600), "is no .nemo file, or not all of one ("),
            (lambda path: path.write_bytes(b""), "is no .nemo file, or not all of one ("),
            (lambda path: write(path, {"model_weights.ckpt": WEIGHTS}), "it has no model_config.yaml"),
            (lambda path: write(path, {"model_config.yaml": b"a: [1"}), "model_config.yaml: while parsing"),
            (lambda path: write(path, {"model_config.yaml": b"- 1"}), "model_config.yaml: is no mapping"),
            (
                lambda path: write(path, {"./model_config.yaml": yaml.safe_dump(with_contexts([2])).encode()}),
                "must be [left, right] in encoder frames",
            ),
        ],
    )
    def test_that_are_none_are_named_and_nothing_is_left(self, tmp_path, capsys, make, reason):
        make(tmp_path / "model.nemo")
        assert main(["strip", str(tmp_path / "model.nemo"), str(tmp_path / "out.nemo")]) == 2
        error = capsys.readouterr().err
        assert error.startswith(str(tmp_path / "model.nemo")) and reason in error and error.count("\n") == 1
        assert [path.name for path in tmp_path.iterdir()] in ([], ["model.nemo"])

    @pytest.mark.parametrize("mode", ["w", "w:gz"])
    def test_cut_short_is_an_error(self, model, tmp_path, capsys, mode):
        write(model, read(model), mode)
        model.write_bytes(model.read_bytes()[: 5000 if mode == "w" else 400])
        assert main(["strip", str(model), str(tmp_path / "out.nemo")]) == 2
        assert str(model) in capsys.readouterr().err and [path.name for path in tmp_path.iterdir()] == ["model.nemo"]

    def test_a_folder_that_is_not_there(self, model, tmp_path, capsys):
        assert main(["strip", str(model), str(tmp_path / "no" / "out.nemo")]) == 2
        assert str(tmp_path / "no" / "out.nemo") in capsys.readouterr().err


def _arguments(cls):
    """The arguments of a class and of the classes that it passes others on to."""
    return {name for base in cls.__mro__ if "__init__" in vars(base) for name in inspect.signature(base).parameters}
