# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""nemo-streaming-ssl export: what it writes, what it refuses, and that nothing is half-written."""

import json

import pytest
import torch

pytest.importorskip("onnxruntime")
main = pytest.importorskip("nemo_streaming_ssl.cli").main

from nemo.collections.asr.parts.streaming.export import export_streaming, folder  # noqa: E402

FILES = ["features.npz", "model.int8.onnx", "model.json", "model.onnx"]


@pytest.fixture(scope="module")
def archive(models, tmp_path_factory):
    """A model with unlimited left context as a .nemo file."""
    path = tmp_path_factory.mktemp("archive") / "model.nemo"
    models("unlimited").save_to(str(path))
    return path


def names(path):
    return sorted(file.name for file in path.iterdir())


class TestCommand:
    def test_writes_a_folder(self, archive, tmp_path, capsys):
        target = tmp_path / "new"
        assert main(["export", str(archive), str(target), "--int8", "--max-context", "9"]) == 0
        assert names(target) == FILES and names(tmp_path) == ["new"]
        assert "up to 9 frames of 80 ms of left context, look-ahead 12.5 ms" in capsys.readouterr().out
        model = json.loads((target / "model.json").read_text())
        assert model["encoder"]["left_contexts_encoder_frames"] == [9, 9] and model["classes"] is None

    def test_says_why_a_model_cannot_stream(self, archive, tmp_path, capsys):
        assert main(["export", str(archive), str(tmp_path / "new")]) == 2
        assert "max_context=None: layers have an unlimited left context" in capsys.readouterr().err
        assert names(tmp_path) == []

    def test_says_what_is_no_model(self, tmp_path, capsys):
        (tmp_path / "x.nemo").write_text("no archive")
        for name in ("x.nemo", "y.nemo"):
            assert main(["export", str(tmp_path / name), str(tmp_path / "new")]) == 2
            assert name in capsys.readouterr().err
        assert names(tmp_path) == ["x.nemo"]

    def test_says_so_before_it_reads_a_model_when_the_folder_holds_something_else(self, archive, tmp_path, capsys):
        (tmp_path / "thesis.txt").write_text("precious")
        assert main(["export", str(archive), str(tmp_path), "--force"]) == 2
        assert "holds something else (thesis.txt)" in capsys.readouterr().err
        assert names(tmp_path) == ["thesis.txt"]


class TestFolder:
    def test_an_earlier_export_is_replaced_only_when_asked(self, models, tmp_path, without_graphs):
        target = tmp_path / "out"
        target.mkdir()  # an empty one is as good as none
        export_streaming(models("regular"), target, int8=True)
        with pytest.raises(ValueError, match="holds an export; --force"):
            export_streaming(models("regular"), target)
        export_streaming(models("chunked"), target, replace=True)
        assert names(target) == [name for name in FILES if "int8" not in name] and names(tmp_path) == ["out"]
        assert json.loads((target / "model.json").read_text())["encoder"]["chunk_encoder_frames"] == 3

    def test_of_an_export_with_something_else_in_it_is_kept(self, models, tmp_path, without_graphs):
        export_streaming(models("regular"), tmp_path / "out")
        (tmp_path / "out" / "notes.txt").write_text("precious")
        with pytest.raises(ValueError, match="holds something else"):
            export_streaming(models("regular"), tmp_path / "out", replace=True)

    def test_stays_as_it_was_when_writing_fails(self, models, tmp_path, monkeypatch, without_graphs):
        export_streaming(models("regular"), tmp_path / "out")
        before = {name: (tmp_path / "out" / name).read_bytes() for name in names(tmp_path / "out")}

        def fails(*arguments):
            raise OSError("no space left on device")

        monkeypatch.setattr(folder, "feature_arrays", fails)
        with pytest.raises(OSError, match="no space left"):
            export_streaming(models("chunked"), tmp_path / "out", replace=True)
        assert before == {name: (tmp_path / "out" / name).read_bytes() for name in names(tmp_path / "out")}
        assert names(tmp_path) == ["out"]

    def test_in_a_place_that_is_not_there(self, models, tmp_path):
        with pytest.raises(ValueError, match="there is no folder"):
            export_streaming(models("regular"), tmp_path / "a" / "b")
        (tmp_path / "file").write_text("")
        with pytest.raises(ValueError, match="is a file, must be a folder"):
            export_streaming(models("regular"), tmp_path / "file")


class TestModel:
    def test_is_not_changed(self, models, tmp_path):
        model = models("ctc")
        before = {name: x.clone() for name, x in model.state_dict().items()}
        needs = {name: x.requires_grad for name, x in model.named_parameters()}
        export_streaming(model, tmp_path / "out")
        assert all(torch.equal(x, before[name]) for name, x in model.state_dict().items())
        assert needs == {name: x.requires_grad for name, x in model.named_parameters()}

    def test_in_train_mode_is_refused(self, models, tmp_path):
        model = models("regular")
        try:
            with pytest.raises(ValueError, match="in train mode"):
                export_streaming(model.train(), tmp_path / "out")
        finally:
            model.eval()

    def test_that_looks_ahead_is_refused_with_every_reason(self, plain_models, tmp_path):
        model = plain_models.build_ctc_model().eval()
        with pytest.raises(ValueError, match="this model cannot stream:\n  - "):
            export_streaming(model, tmp_path / "out")
        assert names(tmp_path) == []

    def test_with_a_ctc_decoder_of_another_kind_is_refused(self, models, tmp_path):
        decoder = models("ctc").decoder
        layers = decoder.decoder_layers
        try:
            decoder.decoder_layers = torch.nn.Sequential(torch.nn.Conv1d(32, 28, 3))
            with pytest.raises(ValueError, match="decoder: ConvASRDecoder is not supported: must be ConvASRDecoder"):
                export_streaming(models("ctc"), tmp_path / "out")
        finally:
            decoder.decoder_layers = layers
        assert names(tmp_path) == []
