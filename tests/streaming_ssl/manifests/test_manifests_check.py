# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

import json
import math
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf

from nemo.collections.asr.data.ssl_dataset import AudioNoiseDataset, load_noise_audio, load_noise_manifest
from nemo.collections.asr.models import EncDecDenoiseMaskedTokenPredModel, EncDecMaskedTokenPredModel
from nemo.collections.asr.parts.manifests import check_manifests


def write_audio(folder: Path):
    """0.wav and 1.wav, 1 s and 2 s; stereo.wav, 1 s; empty.wav; a folder."""
    for i in range(2):
        soundfile.write(folder / f"{i}.wav", np.full(16000 * (i + 1), 0.1), 16000)
    soundfile.write(folder / "stereo.wav", np.full((16000, 2), 0.1), 16000)
    soundfile.write(folder / "empty.wav", np.zeros(0), 16000)
    (folder / "folder").mkdir()


@pytest.fixture
def warnings(monkeypatch):
    """What the check has warned of."""
    found = []
    monkeypatch.setattr("nemo.collections.asr.parts.manifests.check.logging.warning", found.append)
    return found


KEYS = ("manifest_filepath", "noise_manifest")
ENCODINGS = ("latin-1", "utf-16", "utf-32", "utf-8-sig", "utf-16-le", "utf-16-be")
numbers = st.one_of(st.none(), st.floats(), st.floats(0, 3), st.integers(), st.booleans(), st.text(max_size=3))
json_values = st.recursive(
    st.one_of(numbers, st.text(max_size=5)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)),
    max_leaves=4,
)
paths = st.sampled_from(["0.wav", "1.wav", "stereo.wav", "empty.wav", "missing.wav", "", "\ud800", "\0", "x" * 300])
audio = st.one_of(paths, st.lists(paths, max_size=2), json_values)
entries = st.fixed_dictionaries(
    {"audio_filepath": audio}, optional={"duration": numbers, "offset": numbers, "text": json_values}
)
# lines of a file: what Python reads as one line
lines = st.one_of(entries.map(json.dumps), entries.map(json.dumps), json_values.map(json.dumps), st.text(max_size=20))
lines = lines.filter(lambda line: line.strip() and len(line.encode("utf-8", "ignore").splitlines()) == 1)
lines = lines.filter(lambda line: "\r" not in line and line.encode("utf-8", "ignore").decode() == line)


@pytest.fixture
def manifest(tmp_path):
    """A manifest of two good files; manifest(*lines) replaces its lines."""
    write_audio(tmp_path)
    path = tmp_path / "manifest.json"

    def write(*entries):
        path.write_text("".join((e if isinstance(e, str) else json.dumps(e)) + "\n" for e in entries))
        return str(path)

    write.good = [{"audio_filepath": f"{i}.wav", "duration": i + 1.0, "text": ""} for i in range(2)]
    write.folder = tmp_path
    return write


def load_utterance(path, index):
    """What NeMo's data set makes of an entry."""
    return AudioNoiseDataset(manifest_filepath=path, labels=["a"], sample_rate=16000)[index].audio


def load_noise(path, index):
    return load_noise_audio(load_noise_manifest(path)[index], 16000, 16000)[0]


class TestCheckManifests:
    def test_good_manifests_pass_however_they_are_listed(self, manifest):
        path = manifest(*manifest.good, "")
        for value in (path, f"{path},{path}", [path], [[path], path], OmegaConf.create([path])):
            check_manifests({"manifest_filepath": value, "noise_manifest": value, "min_duration": 1.5})

    @pytest.mark.parametrize(
        "config",
        [
            {},
            {"manifest_filepath": None},
            {"manifest_filepath": "missing.json", "is_tarred": True},
            {"manifest_filepath": "missing.json", "use_lhotse": True},
            {"manifest_filepath": "s3://bucket/missing.json"},
            {"manifest_filepath": "shard__OP_0..9_CL_.json"},
        ],
    )
    def test_what_nemo_reads_in_its_own_ways_is_left_to_it(self, config):
        check_manifests(config)

    @pytest.mark.parametrize("key", ["audio_filepath", "audio_filename", "audio_file", "context"])
    @pytest.mark.parametrize("audio", ["0.wav", ["0.wav", "1.wav"]])
    def test_each_name_that_nemo_has_for_audio_and_several_channels(self, manifest, key, audio):
        selector = {"channel_selector": "average"}
        check_manifests({"manifest_filepath": manifest({key: audio, "duration": 1.0}), **selector})
        with pytest.raises(ValueError, match="cannot read .*bad.wav"):
            missing = "bad.wav" if isinstance(audio, str) else [*audio, "bad.wav"]
            check_manifests({"manifest_filepath": manifest({key: missing, "duration": 1.0}), **selector})

    def test_a_path_in_the_home_folder(self, manifest, monkeypatch):
        path = manifest(*manifest.good)
        monkeypatch.setenv("HOME", str(manifest.folder))
        check_manifests({"manifest_filepath": path.replace(str(manifest.folder), "~")})

    @pytest.mark.parametrize("key", ["manifest_filepath", "noise_manifest"])
    def test_a_missing_or_empty_manifest(self, manifest, key):
        with pytest.raises(ValueError, match=f"{key}=.*missing.json: there is no such file"):
            check_manifests({key: str(manifest.folder / "missing.json")})
        with pytest.raises(ValueError, match=f"{key}=.*manifest.json: the manifest is empty"):
            check_manifests({key: manifest("", " ")})

    @pytest.mark.parametrize(
        "line, message",
        [
            ("{broken", "line 2: not a JSON object"),
            ("[1, 2]", "line 2: not a JSON object"),
            ('{"duration": 1.0}', "line 2: no `audio_filepath`"),
        ],
    )
    def test_a_line_that_is_no_entry(self, manifest, line, message):
        with pytest.raises(ValueError, match=message):
            check_manifests({"manifest_filepath": manifest(manifest.good[0], line)})

    @pytest.mark.parametrize(
        "content, message", [(None, "there is no such file"), (b"no audio", "Format not recognised"), (b"", "Error")]
    )
    def test_an_unreadable_audio_file(self, manifest, content, message):
        if content is not None:
            (manifest.folder / "bad.wav").write_bytes(content)
        path = manifest(manifest.good[0], {"audio_filepath": "bad.wav", "duration": 1.0})
        with pytest.raises(ValueError, match=rf"cannot read .*bad.wav \(.*{message}"):
            check_manifests({"manifest_filepath": path})

    def test_many_unreadable_files_are_counted_and_as_many_are_opened_as_asked_for(self, manifest):
        path = manifest(*({"audio_filepath": f"bad{i}.wav", "duration": 1.0} for i in range(10)))
        for to_open, more in ((-1, 7), (6, 3)):
            with pytest.raises(ValueError, match=f"bad0.wav.* and {more} more"):
                check_manifests({"manifest_filepath": path, "check_audio_files": to_open})
        check_manifests({"manifest_filepath": path, "check_audio_files": 0})

    @pytest.mark.parametrize("value", [-2, 1.5, None, "all"])
    def test_a_number_of_files_that_is_none(self, manifest, value):
        with pytest.raises(ValueError, match=f"check_audio_files={value!r}: must be an integer >= -1"):
            check_manifests({"manifest_filepath": manifest(*manifest.good), "check_audio_files": value})

    def test_duration_limits_that_leave_nothing(self, manifest):
        config = {"manifest_filepath": manifest(*manifest.good), "min_duration": 2.5, "max_duration": 60.0}
        with pytest.raises(ValueError, match="none of its 2 utterances, 1.00 s to 2.00 s long"):
            check_manifests(config)
        with pytest.raises(ValueError, match="none of its 1 utterances, 0.00 s to 0.00 s long"):
            check_manifests({**config, "manifest_filepath": manifest({**manifest.good[0], "duration": 0})})
        check_manifests({**config, "manifest_filepath": manifest({**manifest.good[0], "duration": None})})

    @pytest.mark.parametrize("key", KEYS)
    @pytest.mark.parametrize(
        "change, message",
        [
            ({"duration": "2.0"}, "`duration` is not a number of seconds: '2.0'"),
            ({"duration": -1}, "`duration` is not a number of seconds: -1"),
            ({"duration": math.nan}, "`duration` is not a number of seconds: nan"),
            ({"duration": math.inf}, "`duration` is not a number of seconds: inf"),
            ({"duration": 10**400}, "`duration` is not a number of seconds: 1000"),
            ({"duration": True}, "`duration` is not a number of seconds: True"),
            ({"offset": False}, "`offset` is not a number of seconds: False"),
            ({"audio_filepath": "folder"}, "cannot read {folder}/folder (it is a folder, not a file)"),
            ({"offset": "1"}, "`offset` is not a number of seconds: '1'"),
            ({"offset": math.nan}, "`offset` is not a number of seconds: nan"),
            ({"audio_filepath": 7}, "`audio_filepath` is not a path: 7"),
            ({"audio_filepath": None}, "`audio_filepath` is not a path: None"),
            ({"audio_filepath": ""}, "`audio_filepath` is not a path: ''"),
            ({"audio_filepath": []}, "`audio_filepath` is not a path: []"),
            ({"audio_filepath": ["0.wav", 7]}, "`audio_filepath` is not a path: ['0.wav', 7]"),
            ({"audio_filepath": ["0.wav", "1.wav"]}, "wrong number of channels in 0.wav, 1.wav (2 files)"),
            ({"audio_filepath": "stereo.wav"}, "wrong number of channels in {folder}/stereo.wav (2)"),
            ({"audio_filepath": "empty.wav"}, "cannot read {folder}/empty.wav (it has no samples)"),
            ({"offset": 1.0}, "`offset` is beyond the end of {folder}/0.wav (1.00 s), offset=1"),
        ],
    )
    def test_a_bad_line_is_named(self, manifest, key, change, message):
        path = manifest(manifest.good[0], "", {**manifest.good[0], **change})
        with pytest.raises(ValueError) as error:
            check_manifests({key: path})
        assert f"{key}={path}, line 3: {message.format(folder=manifest.folder)}" in str(error.value)

    @pytest.mark.parametrize("key", KEYS)
    @pytest.mark.parametrize(
        "change",
        [{"duration": v} for v in (None, 0, 1, 0.5)]
        + [{"offset": v} for v in (None, -0.5)]
        + [{"audio_filepath": ["0.wav"]}],
    )
    def test_what_nemo_reads_passes(self, manifest, warnings, key, change):
        check_manifests({key: manifest({**manifest.good[0], **change})})
        assert not warnings

    @pytest.mark.parametrize("key", KEYS)
    @pytest.mark.parametrize("encoding", ENCODINGS)
    def test_what_the_error_advises_makes_utf8_of_a_manifest_in_another_encoding(self, manifest, key, encoding):
        path, new = manifest.folder / "encoded.json", manifest.folder / "new.json"
        text = "".join(f"{json.dumps({**entry, 'text': 'é'}, ensure_ascii=False)}\n" for entry in manifest.good)
        path.write_text(text, encoding=encoding)
        with pytest.raises(ValueError, match=f"{key}=.*encoded.json, line 1: cannot be decoded: ") as error:
            check_manifests({key: str(path)})
        (command,) = re.findall(r"`((?:iconv|sed) .*?)`", str(error.value))
        command = command.replace("MANIFEST", path.name).replace("NEW", new.name)
        subprocess.run(command, shell=True, check=True, cwd=manifest.folder)
        changed = new if new.exists() else path
        assert changed.read_text(encoding="utf-8") == text
        check_manifests({key: str(changed)})

    @pytest.mark.parametrize("key", KEYS)
    @pytest.mark.parametrize("value", [5, True, 1.5, {"a": "b"}, ["a.json", 5], OmegaConf.create({"x": 1}), Path("a")])
    def test_a_manifest_that_is_no_path(self, manifest, key, value):
        bad = value[1] if isinstance(value, list) else value
        with pytest.raises(ValueError, match=re.escape(f"{key}={bad!r}: must be the path of a manifest, or a list")):
            check_manifests({key: value})

    @pytest.mark.parametrize("key", KEYS)
    def test_a_manifest_that_is_a_folder(self, manifest, key):
        with pytest.raises(ValueError, match=f"{key}={manifest.folder}: it is a folder, not a file"):
            check_manifests({key: str(manifest.folder)})

    @pytest.mark.parametrize("name", ["min_duration", "max_duration"])
    @pytest.mark.parametrize("value", ["1.5", True, math.nan, [1.0]])
    def test_a_limit_that_is_no_number(self, manifest, name, value):
        with pytest.raises(ValueError, match=re.escape(f"{name}={value!r}: must be a number")):
            check_manifests({"manifest_filepath": manifest(*manifest.good), name: value})

    def test_a_duration_beyond_the_file_is_a_warning(self, manifest, warnings):
        check_manifests({"manifest_filepath": manifest(manifest.good[0], {**manifest.good[0], "duration": 9.0})})
        assert len(warnings) == 1 and "line 2: `offset` and `duration` end beyond" in warnings[0]
        check_manifests({"manifest_filepath": manifest({**manifest.good[0], "duration": 1.05})})
        assert len(warnings) == 1, "durations are often rounded"

    def test_a_duration_that_only_its_offset_takes_beyond_the_file_too(self, manifest, warnings):
        path = manifest({**manifest.good[0], "offset": 0.5, "duration": 0.9})
        check_manifests({"manifest_filepath": path})
        (warning,) = warnings
        assert "line 1: `offset` and `duration` end beyond" in warning and "offset=0.5, duration=0.9" in warning

    def test_all_kinds_of_all_manifests_are_counted_in_one_error(self, manifest):
        bad = [{**manifest.good[0], "duration": "1"}] * 5 + ["{", {**manifest.good[0], "offset": "1"}]
        with pytest.raises(ValueError) as error:
            check_manifests({key: manifest(*bad) for key in KEYS})
        messages = str(error.value).splitlines()
        assert len(messages) == 6
        for key, found in zip(KEYS, (messages[:3], messages[3:])):
            assert all(message.startswith(f"{key}=") for message in found)
            assert "line 6: not a JSON object" in found[0]
            assert "line 1: " in found[1] and "line 3: " in found[1] and " and 2 more" in found[1]
            assert "line 7: `offset`" in found[2]

    def test_one_channel_of_several_passes_if_it_is_selected(self, manifest):
        path = manifest({**manifest.good[0], "audio_filepath": "stereo.wav"})
        for selector in ("average", 0, 1):
            check_manifests({"manifest_filepath": path, "channel_selector": selector})
        with pytest.raises(ValueError, match="wrong number of channels"):
            check_manifests({"manifest_filepath": path, "channel_selector": 2})

    def test_a_few_bad_files_are_a_warning_where_they_are_skipped(self, manifest, warnings):
        path = manifest(*manifest.good * 10, {**manifest.good[0], "audio_filepath": "gone.wav"})
        for on_bad_audio in (None, "raise"):
            with pytest.raises(ValueError, match="line 21: cannot read gone.wav"):
                check_manifests({"manifest_filepath": path}, on_bad_audio)
        assert not warnings
        check_manifests({"manifest_filepath": path}, "skip")
        assert len(warnings) == 1 and "line 21: cannot read gone.wav" in warnings[0]
        path = manifest(*manifest.good, {**manifest.good[0], "audio_filepath": "gone.wav"})
        check_manifests({"manifest_filepath": path}, "skip")  # a single one
        path = manifest(*manifest.good, *[{**manifest.good[0], "audio_filepath": "gone.wav"}] * 2)
        with pytest.raises(ValueError, match="line 3: cannot read gone.wav(?s:.*)2 of the 4 files that were opened"):
            check_manifests({"manifest_filepath": path}, "skip")

    @given(lines)
    @settings(max_examples=300)
    def test_any_line_is_one_that_nemo_can_load_or_it_is_named(self, tmp_path_factory, line):
        folder = tmp_path_factory.getbasetemp() / "any_line"
        if not folder.exists():
            folder.mkdir()
            write_audio(folder)
        path = folder / "manifest.json"
        good = {"audio_filepath": "0.wav", "duration": 1.0}
        path.write_bytes(f"{json.dumps(good)}\n{line}\n".encode())
        for key, load in zip(KEYS, (load_utterance, load_noise)):
            try:
                check_manifests({key: str(path), "check_audio_files": -1})
            except ValueError as error:
                assert f"{key}={path}, line 2: " in str(error)
            else:
                samples = load(str(path), 1)
                assert samples.dim() == 1 and torch.isfinite(samples).all()

    @pytest.mark.parametrize("model_class", [EncDecMaskedTokenPredModel, EncDecDenoiseMaskedTokenPredModel])
    @pytest.mark.parametrize("dataset", ["train_ds", "validation_ds"])
    def test_models_check_before_they_train(self, nest_config, model_class, dataset, manifest):
        cfg = nest_config()
        cfg[dataset] = {"manifest_filepath": "missing.json", "shuffle": False, "batch_size": 1}
        with pytest.raises(ValueError, match="manifest_filepath=missing.json: there is no such file"):
            model_class(cfg)
