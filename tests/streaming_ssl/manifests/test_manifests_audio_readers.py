# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Files of a kind that nothing can read are found before training, however few of a manifest's lines they are."""

import json

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from nemo.collections.asr.parts.manifests import check_manifests, lacking_program
from nemo.collections.asr.parts.manifests.audio import MOST_EXTENSIONS, TRIED, FilesToTry
from nemo.collections.asr.parts.manifests.lines import Entry

KEYS = ("manifest_filepath", "noise_manifest")
BOTH = ("raise", "skip")


@pytest.fixture
def write(tmp_path):
    """Writes a manifest: write(*files), which says 1 s of each; `good.wav` is there, all others are no audio."""
    soundfile.write(tmp_path / "good.wav", np.full(16000, 0.1), 16000)

    def written(*files):
        for file in files:
            if not (tmp_path / file).exists():
                (tmp_path / file).write_text("no audio")
        lines = [json.dumps({"audio_filepath": file, "duration": 1.0}) for file in files]
        (tmp_path / "manifest.json").write_text("\n".join(lines))
        return str(tmp_path / "manifest.json")

    return written


class TestExtensionsWithoutAReader:
    @pytest.mark.parametrize("key", KEYS)
    @pytest.mark.parametrize("extension", [".opus", ".sph", ".xyz", ""])
    def test_all_of_a_manifest(self, write, key, extension):
        path = write(*[f"speech{extension}"] * 8)
        for on_bad_audio in (None, *BOTH):
            with pytest.raises(ValueError, match=f"{key}=.*, line 1: none of these can be read: 8 ") as error:
                check_manifests({key: path}, on_bad_audio)
            assert (extension or "files without an extension") in str(error.value)
            assert "line 2: speech" in str(error.value) and "Convert them" in str(error.value)

    @pytest.mark.parametrize("on_bad_audio", BOTH)
    @pytest.mark.parametrize("key", KEYS)
    def test_few_of_a_manifest_wherever_they_are(self, write, key, on_bad_audio):
        path = write(*["good.wav"] * 50, *["speech.sph"] * 3, *["good.wav"] * 50)
        for count in (1, 1000):
            with pytest.raises(ValueError, match="line 51: none of these can be read: 3 .sph .3 were tried"):
                check_manifests({key: path, "check_audio_files": count}, on_bad_audio)
        check_manifests({key: path, "check_audio_files": 0}, on_bad_audio)

    def test_single_bad_ones_are_none_where_they_are_skipped(self, write, monkeypatch):
        monkeypatch.setattr("nemo.collections.asr.parts.manifests.audio.lacking_program", lambda *_: None)
        path = write(*["good.wav"] * 20, *["speech.xyz"] * 2)
        check_manifests({"manifest_filepath": path}, "skip")
        with pytest.raises(ValueError, match="2 .xyz"):
            check_manifests({"manifest_filepath": path}, "raise")

    def test_a_single_one_is_if_what_reads_it_is_not_installed(self, write, monkeypatch):
        path = write(*["good.wav"] * 20, "speech.xyz")
        monkeypatch.setattr("nemo.collections.asr.parts.manifests.audio.lacking_program", lambda *_: "ffprobe")
        with pytest.raises(ValueError, match="1 .xyz"):
            check_manifests({"manifest_filepath": path}, "skip")

    def test_one_that_can_be_read_is_enough(self, write, tmp_path):
        soundfile.write(tmp_path / "some.flac", np.full(16000, 0.1), 16000)
        check_manifests({"manifest_filepath": write(*["good.wav"] * 300, *["bad.flac"] * 7, "some.flac")}, "skip")

    def test_what_reads_other_files_is_named_for_these_only(self):
        missing = FileNotFoundError(2, "No such file or directory", "ffprobe")
        assert lacking_program("a.opus", missing) == lacking_program("a.FLAC", missing) == "ffprobe"
        assert lacking_program("a.flac", missing) is lacking_program("a.WAV", missing) is None
        assert lacking_program("a.opus", FileNotFoundError(2, "No such file or directory", "a.opus")) is None
        assert lacking_program("a.opus", ValueError("ffprobe")) is None

    @given(st.lists(st.sampled_from(["a.x", "b.y", "c", "d.X"]), max_size=40))
    def test_the_first_and_the_last_of_each_extension_are_tried(self, files):
        to_try = FilesToTry()
        for line, file in enumerate(files):
            to_try.add(Entry(line, (file,), 0.0, 1.0))
        for kind in ("a.x", "b.y", "c", "d.X"):
            lines = [line for line, file in enumerate(files) if file == kind]
            tried = [entry.line for entry in to_try.entries(kind[1:])]
            assert tried == (lines if len(lines) <= 2 * TRIED else lines[:TRIED] + lines[-TRIED:])

    def test_names_with_dots_are_no_thousands_of_kinds(self):
        to_try = FilesToTry()
        for line in range(1000):
            to_try.add(Entry(line, (f"speech.{line}",), 0.0, 1.0))
        assert len(list(to_try.problems("manifest.json", skip=False))) == MOST_EXTENSIONS
