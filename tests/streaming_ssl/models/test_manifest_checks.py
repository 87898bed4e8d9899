# Copyright (c) 2026, the streaming-ssl authors.
#
# Licensed under the Apache License, Version 2.0 (the "License");
# you may not use this file except in compliance with the License.
# You may obtain a copy of the License at
#
#     http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS,
# WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
# See the License for the specific language governing permissions and
# limitations under the License.

import json

import numpy as np
import pytest
import soundfile
from omegaconf import OmegaConf

from nemo.collections.asr.models import EncDecDenoiseMaskedTokenPredModel, EncDecMaskedTokenPredModel
from nemo.collections.asr.parts.utils.manifest_checks import check_manifests


@pytest.fixture
def manifest(tmp_path):
    """A manifest of two good files; manifest(*lines) replaces its lines."""
    for i in range(2):
        soundfile.write(tmp_path / f"{i}.wav", np.zeros(16000 * (i + 1)), 16000)
    path = tmp_path / "manifest.json"

    def write(*entries):
        path.write_text("".join((e if isinstance(e, str) else json.dumps(e)) + "\n" for e in entries))
        return str(path)

    write.good = [{"audio_filepath": f"{i}.wav", "duration": i + 1.0, "text": ""} for i in range(2)]
    write.folder = tmp_path
    return write


@pytest.mark.unit
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
        check_manifests({"manifest_filepath": manifest({key: audio, "duration": 1.0})})
        with pytest.raises(ValueError, match="cannot read .*bad.wav"):
            missing = "bad.wav" if isinstance(audio, str) else [*audio, "bad.wav"]
            check_manifests({"manifest_filepath": manifest({key: missing, "duration": 1.0})})

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
            ("[1, 2]", "line 2: no `audio_filepath`"),
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

    def test_duration_limits_that_leave_nothing(self, manifest):
        config = {"manifest_filepath": manifest(*manifest.good), "min_duration": 2.5, "max_duration": 60.0}
        with pytest.raises(ValueError, match="none of its 2 utterances, 1.00 s to 2.00 s long"):
            check_manifests(config)

    @pytest.mark.parametrize("model_class", [EncDecMaskedTokenPredModel, EncDecDenoiseMaskedTokenPredModel])
    @pytest.mark.parametrize("dataset", ["train_ds", "validation_ds"])
    def test_models_check_before_they_train(self, nest_config, model_class, dataset, manifest):
        cfg = nest_config()
        cfg[dataset] = {"manifest_filepath": "missing.json", "shuffle": False, "batch_size": 1}
        with pytest.raises(ValueError, match="manifest_filepath=missing.json: there is no such file"):
            model_class(cfg)
