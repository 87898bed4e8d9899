# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""The benchmark of recognition: all sides of one model, how late first tokens are, random cuts."""

import json

import pytest
import recognizer_models
import soundfile
import torch

from benchmarks.recognition import __main__ as recognition
from benchmarks.recognition.streams import first_token_ms
from benchmarks.table import read_rows
from nemo.collections.asr.parts.streaming.export import export_streaming


@pytest.fixture(scope="module")
def rows(nest_config, tmp_path_factory):
    """What the command writes of a tiny CTC model and two utterances."""
    folder = tmp_path_factory.mktemp("recognition")
    model = recognizer_models.build(nest_config, "ctc")
    model.save_to(str(folder / "asr.nemo"))
    export_streaming(model, folder / "exported", int8=True)
    torch.manual_seed(1)
    lines = []
    for number, samples in enumerate(recognizer_models.sounds(2, 20000).numpy()):
        soundfile.write(folder / f"{number}.wav", samples, 16000, subtype="FLOAT")
        lines.append(json.dumps({"audio_filepath": f"{number}.wav", "duration": 1.25, "text": "as it was meant"}))
    (folder / "test.json").write_text("\n".join(lines), encoding="utf-8")
    files = [str(folder / name) for name in ("asr.nemo", "test.json")]
    flags = f"--exported {folder}/exported --cuts 6 --output {folder}/rows.csv".split()
    assert recognition.main([*files, *flags]) == 0
    return {row["side"]: row for row in read_rows(folder / "rows.csv")}


class TestRecognition:
    def test_each_side_has_a_row_and_all_but_int8_read_the_same(self, rows):
        assert list(rows) == ["transcribe", "session", "onnx", "onnx int8"]
        for side in ("session", "onnx"):
            assert (rows[side]["wer"], rows[side]["cer"]) == (rows["transcribe"]["wer"], rows["transcribe"]["cer"])

    def test_every_cut_gives_the_text_of_the_whole(self, rows):
        assert rows["session"]["cuts"] == rows["session"]["equal_cuts"] == "6"

    def test_a_first_token_is_there_after_its_own_frame(self, rows):
        for side in ("session", "onnx", "onnx int8"):
            assert 80 < float(rows[side]["first_token_p50_ms"]) <= float(rows[side]["first_token_p95_ms"])


class TestFirstToken:
    def test_it_waits_for_its_piece_and_for_the_computing_of_it(self):
        assert first_token_ms([(0.01, []), (0.02, [0.08, 0.1])], 0.08) == pytest.approx(160 + 20 - 80)

    def test_it_waits_for_pieces_that_were_computed_too_slowly(self):
        assert first_token_ms([(0.5, []), (0.5, [0.08])], 0.08) == pytest.approx(80 + 500 + 500 - 80)

    def test_no_token_is_never_there(self):
        assert first_token_ms([(0.01, [])], 0.08) is None


@pytest.mark.parametrize("flags", ["--cuts -1", "--utterances 0", "--threads 0"])
def test_bad_flags_are_refused(flags):
    with pytest.raises(SystemExit):
        recognition.parse_arguments(["asr.nemo", "test.json", *flags.split()])
