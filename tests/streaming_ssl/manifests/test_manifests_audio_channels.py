# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Which channels can be selected: as NeMo does when it reads a file, said before training."""

import json

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from nemo.collections.asr.parts.manifests import check_manifests
from nemo.collections.asr.parts.manifests.audio import gives_one_channel
from nemo.collections.asr.parts.manifests.check import check_selector
from nemo.collections.asr.parts.preprocessing.segment import AudioSegment, select_channels

indices = st.integers(-4, 4)
selectors = st.one_of(st.none(), st.just("average"), indices, st.lists(indices, min_size=1, max_size=3))


class TestSelectors:
    @given(selectors, st.integers(1, 3))
    def test_one_channel_comes_out_where_nemo_makes_one(self, selector, channels):
        check_selector({"channel_selector": selector})
        signal = np.zeros(100 if channels == 1 else (100, channels))
        try:
            of_nemo = select_channels(signal, selector).ndim == 1
        except (ValueError, IndexError):
            of_nemo = False
        assert gives_one_channel(selector, channels) == of_nemo

    @pytest.mark.parametrize("selector", ["channel", "0", "", True, 1.5, [], ["a"], [0, None], {"a": 1}])
    @pytest.mark.parametrize("on_bad_audio", [None, "skip"])
    def test_what_is_none_is_an_error(self, selector, on_bad_audio):
        config = OmegaConf.create({"manifest_filepath": None, "channel_selector": selector})
        with pytest.raises(ValueError, match="channel_selector=.*: must be null, average, the number of a channel"):
            check_manifests(config, on_bad_audio)

    def test_names_are_lhotses(self):
        check_manifests({"channel_selector": "channel", "use_lhotse": True})

    @pytest.mark.parametrize("selector", [None, 2, -3, [0, 1], [2]])
    def test_stereo_files_of_which_no_channel_is_one(self, tmp_path, selector):
        soundfile.write(tmp_path / "stereo.wav", np.full((16000, 2), 0.1), 16000)
        line = json.dumps({"audio_filepath": "stereo.wav", "duration": 1.0, "channel": 1})
        (tmp_path / "manifest.json").write_text("\n".join([line] * 8))
        config = OmegaConf.create({"manifest_filepath": str(tmp_path / "manifest.json"), "channel_selector": selector})
        with pytest.raises(ValueError, match="line 1: wrong number of channels(?s:.*)8 of the 8 files"):
            check_manifests(config, "skip")

    @pytest.mark.parametrize("selector", [0, -1, "average", [1]])
    def test_stereo_files_of_which_one_is(self, tmp_path, selector):
        soundfile.write(tmp_path / "stereo.wav", np.full((16000, 2), 0.1), 16000)
        (tmp_path / "manifest.json").write_text(json.dumps({"audio_filepath": "stereo.wav", "duration": 1.0}))
        config = OmegaConf.create({"manifest_filepath": str(tmp_path / "manifest.json")})
        config.channel_selector = selector
        check_manifests(config)
        segment = AudioSegment.from_file(str(tmp_path / "stereo.wav"), channel_selector=config.channel_selector)
        assert segment.samples.shape == (16000,)

    @pytest.mark.parametrize("selector", [1, -1, [0]])
    def test_mono_files_have_one_only(self, tmp_path, selector):
        soundfile.write(tmp_path / "mono.wav", np.full(16000, 0.1), 16000)
        (tmp_path / "manifest.json").write_text(json.dumps({"audio_filepath": "mono.wav", "duration": 1.0}))
        config = {"manifest_filepath": str(tmp_path / "manifest.json"), "channel_selector": selector}
        with pytest.raises(ValueError, match="wrong number of channels in .*mono.wav .1"):
            check_manifests(config, "skip")
