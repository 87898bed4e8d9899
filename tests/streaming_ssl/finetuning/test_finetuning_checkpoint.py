# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""What is taken from a pretrained file: the encoder gives what it gave, bit for bit, or there is an error."""

import io
import tarfile
from pathlib import Path

import finetuning_runs
import pytest
import torch
from omegaconf import OmegaConf

from nemo.collections.asr.models import EncDecCTCModel, EncDecDenoiseMaskedTokenPredModel
from nemo.collections.asr.parts.finetuning import load_into, read_pretrained


@pytest.fixture(scope="module")
def manifests(tmp_path_factory):
    return finetuning_runs.make_data(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def pretrained(nest_config, tmp_path_factory):
    """A pretrained model and its file, by name; made once."""
    made, folder = {}, tmp_path_factory.mktemp("pretrained")

    def get(name):
        if name not in made:
            model, file = finetuning_runs.pretrain(nest_config, name), folder / f"{len(made)}.nemo"
            model.save_to(str(file))
            made[name] = model, str(file)
        return made[name]

    return get


@pytest.fixture
def build(compose_config, manifests, tmp_path):
    def make(path, *overrides, kind="ctc"):
        cfg = finetuning_runs.finetuning_config(compose_config, path, manifests, *overrides, kind=kind)
        return finetuning_runs.built(cfg, tmp_path)

    return make


def rewritten(source, target, change):
    """A copy of a `.nemo` file whose weights are changed."""
    with tarfile.open(source) as old, tarfile.open(target, "w:") as new:
        for member in old:
            content = old.extractfile(member)
            data = b"" if content is None else content.read()
            if member.name.endswith("model_weights.ckpt"):
                weights = torch.load(io.BytesIO(data), weights_only=True)
                change(weights)
                stream = io.BytesIO()
                torch.save(weights, stream)
                data = stream.getvalue()
            member.size = len(data)
            new.addfile(member, io.BytesIO(data))
    return str(target)


class TestEncoderOfAFineTunedModel:
    @pytest.mark.parametrize("name", finetuning_runs.PRETRAINED)
    def test_gives_what_the_pretrained_one_gives_bit_for_bit(self, name, pretrained, build):
        model, path = pretrained(name)
        free = ["model.streaming=false"] if "plain" in name else []
        tuned = build(path, *free)
        for ours, theirs in zip(finetuning_runs.encoded(tuned), finetuning_runs.encoded(model)):
            assert torch.equal(ours, theirs)

    def test_has_the_features_of_the_pretrained_one(self, pretrained, build):
        model, path = pretrained("streaming")
        audio, lengths = torch.randn(2, 20000), torch.tensor([20000, 12345])
        tuned = build(path).eval()
        ours, theirs = (m.preprocessor(input_signal=audio, length=lengths) for m in (tuned, model))
        assert all(map(torch.equal, ours, theirs))

    def test_has_the_same_context_in_each_layer_also_for_rnnt(self, pretrained, build):
        _, path = pretrained("contexts per layer")
        tuned = build(path, kind="rnnt")
        assert [list(context) for context in tuned.encoder.layer_contexts] == [[4, 0], [8, 0]]

    def test_keeps_the_cap_that_a_curriculum_has_come_to(self, nest_config, build, tmp_path):
        model = finetuning_runs.pretrain(nest_config, "contexts per layer")
        model.encoder.context_cap = [3, 0]
        model.save_to(str(tmp_path / "capped.nemo"))
        tuned = build(tmp_path / "capped.nemo")
        assert torch.equal(finetuning_runs.encoded(tuned)[0], finetuning_runs.encoded(model)[0])
        assert [list(context) for context in tuned.encoder.layer_contexts] == [[3, 0], [3, 0]]

    def test_also_comes_from_a_recogniser(self, pretrained, build, tmp_path):
        first = build(pretrained("contexts per layer")[1])
        first.save_to(str(tmp_path / "first.nemo"))
        second = build(tmp_path / "first.nemo", kind="rnnt")
        assert torch.equal(finetuning_runs.encoded(second)[0], finetuning_runs.encoded(first)[0])

    @pytest.mark.parametrize("name", ["contexts per layer", "after the subsampling"])
    def test_is_the_same_through_init_from_nemo_model(self, name, pretrained, build, compose_config):
        """NeMo's own scripts: a config that says the same, then `maybe_init_from_pretrained_checkpoint`."""
        model, path = pretrained(name)
        cfg = OmegaConf.create(OmegaConf.to_container(build(path).cfg))
        cfg.train_ds = cfg.validation_ds = None
        torch.manual_seed(9)
        fresh = EncDecCTCModel(cfg)
        assert not torch.equal(finetuning_runs.encoded(fresh)[0], finetuning_runs.encoded(model)[0])
        init = {"init_from_nemo_model": {"ssl": {"path": path, "include": ["encoder"]}}}
        fresh.maybe_init_from_pretrained_checkpoint(OmegaConf.create(init))
        assert torch.equal(finetuning_runs.encoded(fresh)[0], finetuning_runs.encoded(model)[0])


class TestReport:
    def test_counts_every_tensor_of_both_sides(self, pretrained, build):
        model, path = pretrained("after the subsampling")
        tuned = build(path)
        report = load_into(tuned, read_pretrained(path))
        state = tuned.state_dict()
        counts = (report.loaded, report.new)
        assert sum(size.tensors for parts in counts for size in parts.values()) == len(state)
        assert sum(s.values for p in counts for s in p.values()) == sum(tensor.numel() for tensor in state.values())
        saved = {name for name in model.state_dict() if not name.startswith("pre_encoder.")}
        taken = sum(size.tensors for size in report.loaded.values())
        assert taken + sum(size.tensors for size in report.left_out.values()) == len(saved)

    def test_is_a_line_for_each_part(self, pretrained, build):
        path = pretrained("streaming")[1]
        lines = str(load_into(build(path), read_pretrained(path))).splitlines()
        assert lines[0] == f"Weights of {path} (EncDecMaskedTokenPredModel)"
        assert [line.split("  ")[1].strip() for line in lines[1:]].count("loaded") == 2
        assert any(line.split()[:3] == ["left", "out", "quantizer"] for line in lines)
        assert any(line.split()[:2] == ["new", "decoder"] for line in lines)


class TestErrors:
    def test_a_missing_or_another_tensor_is_named_with_both_shapes(self, pretrained, build, tmp_path):
        def change(weights):
            weights["encoder.layers.0.norm_out.weight"] = torch.zeros(7)
            del weights["encoder.layers.1.norm_out.bias"]
            weights["encoder.layers.1.extra"] = torch.zeros(2, 3)

        path = rewritten(pretrained("streaming")[1], tmp_path / "changed.nemo", change)
        with pytest.raises(ValueError) as error:
            build(path)
        text = str(error.value)
        assert "changed.nemo: 3 tensors do not fit" in text
        assert "encoder.layers.0.norm_out.weight: the recogniser has (32,), the checkpoint has (7,)" in text
        assert "encoder.layers.1.norm_out.bias: the recogniser has (32,), the checkpoint has none" in text
        assert "encoder.layers.1.extra: the recogniser has none, the checkpoint has (2, 3)" in text

    def test_an_error_leaves_the_recogniser_as_it_was(self, pretrained, build, tmp_path):
        path = pretrained("streaming")[1]
        tuned, other = build(path), read_pretrained(path)
        other.weights["encoder.layers.0.norm_out.weight"] = torch.zeros(7)
        other.weights["encoder.layers.0.norm_out.bias"] = torch.ones(32)
        before = {name: tensor.clone() for name, tensor in tuned.state_dict().items()}
        with pytest.raises(ValueError, match="1 tensors do not fit"):
            load_into(tuned, other)
        assert all(torch.equal(tensor, before[name]) for name, tensor in tuned.state_dict().items())

    def test_a_file_that_is_none_is_named(self, tmp_path):
        with pytest.raises(ValueError, match="pretrained.path=nowhere.nemo: there is no such file"):
            read_pretrained("nowhere.nemo")
        with pytest.raises(ValueError, match="is a folder, not a .nemo file"):
            read_pretrained(str(tmp_path))
        (tmp_path / "text.nemo").write_text("no archive")
        with pytest.raises(ValueError, match="text.nemo: is no .nemo file, or not all of one"):
            read_pretrained(str(tmp_path / "text.nemo"))

    def test_half_a_file_is_an_error(self, pretrained, tmp_path):
        whole = Path(pretrained("streaming")[1]).read_bytes()
        (tmp_path / "half.nemo").write_bytes(whole[: len(whole) // 2])
        with pytest.raises(ValueError, match="half.nemo: is no .nemo file, or not all of one"):
            read_pretrained(str(tmp_path / "half.nemo"))

    def test_a_model_without_an_encoder_is_an_error(self, tmp_path):
        with tarfile.open(tmp_path / "none.nemo", "w:") as archive:
            weights = io.BytesIO()
            torch.save({"decoder.weight": torch.zeros(1)}, weights)
            for name, data in (("model_config.yaml", b"preprocessor: {}"), ("model_weights.ckpt", weights.getvalue())):
                member = tarfile.TarInfo(f"./{name}")
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))
        with pytest.raises(ValueError, match="none.nemo: its config has no encoder"):
            read_pretrained(str(tmp_path / "none.nemo"))

    def test_a_model_that_cannot_stream_is_refused_unless_it_need_not(self, pretrained, build):
        path = pretrained("plain NeMo")[1]
        with pytest.raises(ValueError) as error:
            build(path)
        assert "model.streaming=true, but the model looks further ahead" in str(error.value)
        assert "encoder.conv_norm_type=batch_norm" in str(error.value)
        assert build(path, "model.streaming=false").cfg.streaming is False

    def test_files_of_the_denoising_model_are_as_good(self, nest_config, build, tmp_path):
        model = finetuning_runs.pretrain(nest_config, "streaming", EncDecDenoiseMaskedTokenPredModel)
        model.save_to(str(tmp_path / "denoise.nemo"))
        assert torch.equal(
            finetuning_runs.encoded(build(tmp_path / "denoise.nemo"))[0], finetuning_runs.encoded(model)[0]
        )
