# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""`nemo-streaming-ssl transcribe`: the text of an exported model is that of the model."""

import json
import math

import pytest
import recognizer_models
import soundfile
import torch

pytest.importorskip("nemo_streaming_ssl", reason="a fork has the patches without the command line")
pytest.importorskip("onnxruntime")

from nemo_streaming_ssl.cli import main
from nemo_streaming_ssl.transcribe import text_of


@pytest.fixture(scope="module")
def folder(exported):
    """The export of a CTC model."""
    return exported("ctc")


@pytest.fixture(scope="module")
def audio(tmp_path_factory):
    """Two WAV files at 16 kHz."""
    torch.manual_seed(2)
    folder = tmp_path_factory.mktemp("audio")
    paths = [folder / f"{name}.wav" for name in "ab"]
    for path, samples, length in zip(paths, recognizer_models.sounds(2, 30000), (30000, 17777)):
        soundfile.write(path, samples[:length].numpy(), 16000, subtype="FLOAT")
    return paths


@pytest.fixture(scope="module")
def expected(models, audio):
    found = recognizer_models.transcribe(models("ctc"), [str(path) for path in audio])
    return [f"{path.stem}: {hypothesis.text}" for path, hypothesis in zip(audio, found)]


def transcribed(capsys, *arguments):
    """Exit code, lines, errors."""
    code = main(["transcribe", *map(str, arguments)])
    said = capsys.readouterr()
    return code, said.out.splitlines(), said.err


class TestTranscribe:
    def test_files_have_the_models_text(self, folder, audio, expected, capsys):
        assert transcribed(capsys, folder, *audio) == (0, expected, "")
        assert all(len(line) > 8 for line in expected)

    def test_manifests_offsets_and_what_is_written(self, folder, audio, expected, tmp_path, capsys):
        samples, rate = soundfile.read(audio[1], dtype="float32")
        padded = torch.nn.functional.pad(torch.from_numpy(samples), (8000, 4000)).numpy()
        soundfile.write(tmp_path / "padded.wav", padded, rate, subtype="FLOAT")
        duration = len(samples) / rate
        rows = [{"audio_filepath": "padded.wav", "offset": 0.5, "duration": duration, "text": "so"}, {}]
        rows[1] = {"audio_filepath": str(audio[0])}
        (tmp_path / "some.json").write_text("\n\n".join(map(json.dumps, rows)))
        written = tmp_path / "out.json"
        code, lines, _ = transcribed(capsys, folder, tmp_path / "some.json", "--output", written)
        texts = [line.split(": ")[1] for line in expected]
        assert code == 0 and lines == [f"padded: {texts[1]}", f"a: {texts[0]}"]
        entries = list(map(json.loads, written.read_text().splitlines()))
        assert [entry["pred_text"] for entry in entries] == texts[::-1] and entries[0]["text"] == "so"

    def test_what_cannot_be_read_is_named_and_the_others_finish(self, folder, audio, expected, tmp_path, capsys):
        (tmp_path / "text.wav").write_text("no audio")
        soundfile.write(tmp_path / "slow.wav", [0.0] * 800, 8000)
        bad = [tmp_path / name for name in ("text.wav", "none.wav", "slow.wav")]
        code, lines, errors = transcribed(capsys, folder, *bad, audio[0])
        assert code == 1 and lines == expected[:1]
        assert all(str(path) in errors for path in bad) and "8000 Hz: must be at 16000 Hz" in errors

    def test_a_manifest_with_a_byte_order_mark_and_a_folder_as_audio(self, folder, audio, expected, tmp_path, capsys):
        rows = [{"audio_filepath": str(tmp_path)}, {"audio_filepath": str(audio[0])}]
        (tmp_path / "marked.json").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8-sig")
        code, lines, errors = transcribed(capsys, folder, tmp_path / "marked.json")
        assert code == 1 and lines == expected[:1] and f"{tmp_path}: is a folder, not a file" in errors

    @pytest.mark.parametrize("name", ["offset", "duration"])
    @pytest.mark.parametrize("value", [True, "1", -1, math.nan, math.inf, 10**400, [1]])
    def test_times_that_are_no_seconds(self, folder, audio, tmp_path, capsys, name, value):
        (tmp_path / "bad.json").write_text(json.dumps({"audio_filepath": str(audio[0]), name: value}))
        code, lines, errors = transcribed(capsys, folder, tmp_path / "bad.json")
        assert code == 2 and not lines
        assert f"bad.json, line 1: {name}={value!r}: must be a number of seconds, 0 or more" in errors

    def test_samples_that_are_not_finite_are_silence_and_said(self, folder, audio, tmp_path, capsys):
        samples, rate = soundfile.read(audio[0], dtype="float32")
        for name, value in (("bad", float("nan")), ("silent", 0.0)):
            samples[3000:3007] = value
            soundfile.write(tmp_path / f"{name}.wav", samples, rate, subtype="FLOAT")
        code, lines, errors = transcribed(capsys, folder, tmp_path / "bad.wav", tmp_path / "silent.wav")
        assert code == 0 and errors == f"{tmp_path / 'bad.wav'}: 7 samples are not finite: taken as silence\n"
        assert lines[0].split(": ")[1] == lines[1].split(": ")[1] != ""

    def test_samples_that_were_not_scaled_are_named_and_the_others_finish(
        self, folder, audio, expected, tmp_path, capsys
    ):
        samples, rate = soundfile.read(audio[0], dtype="float32")
        samples[-1000:] *= 32768
        soundfile.write(tmp_path / "loud.wav", samples, rate, subtype="FLOAT")
        code, lines, errors = transcribed(capsys, folder, tmp_path / "loud.wav", *audio)
        assert code == 1 and lines == expected
        assert "loud.wav: sample 29" in errors and "must be from -1 to 1" in errors

    @pytest.mark.parametrize("line", ["[]", "{}", "no JSON"])
    def test_a_bad_manifest_is_refused_before_any_work(self, folder, tmp_path, capsys, line):
        (tmp_path / "bad.json").write_text('{"audio_filepath": "a.wav"}\n' + line)
        code, lines, errors = transcribed(capsys, folder, tmp_path / "bad.json")
        assert code == 2 and not lines and "bad.json, line 2" in errors

    def test_what_is_no_export_and_a_graph_that_is_not_there(self, folder, audio, tmp_path, capsys):
        assert transcribed(capsys, tmp_path, audio[0])[0] == 2
        code, _, errors = transcribed(capsys, folder, audio[0], "--int8")
        assert code == 2 and "precision='int8'" in errors

    def test_a_model_without_text(self, exported, audio, capsys):
        code, _, errors = transcribed(capsys, exported("rnnt"), audio[0])
        assert code == 2 and "CTC decoder" in errors


@pytest.mark.parametrize(
    "vocabulary, text",
    [(["a", "b", " "], "ab a"), (["\u2581a", "b", "\u2581"], "ab  a")],
)
def test_characters_and_pieces(vocabulary, text):
    assert text_of(vocabulary, [0, 1, 2, 0]) == text
