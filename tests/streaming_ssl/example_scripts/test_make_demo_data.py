# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

import importlib
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

from nemo.collections.asr.parts.utils.manifest_utils import read_manifest

MANIFESTS = ("train", "validation", "noise")
MINUTES = 0.1
SYNTHESIZERS = [
    "builtin",
    pytest.param(
        "espeak-ng", marks=pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="espeak-ng is not installed")
    ),
]


@pytest.fixture(scope="module")
def demo():
    return importlib.import_module("make_demo_data")


@pytest.fixture(scope="module")
def formant():
    return importlib.import_module("formant_synthesizer")


@pytest.fixture(scope="module", params=SYNTHESIZERS)
def made(request, demo, tmp_path_factory):
    """A finished set and its synthesizer."""
    folder = tmp_path_factory.mktemp("demo") / "set"
    assert demo.make_demo_data(folder, MINUTES, 0, request.param)
    return folder, request.param


def rows(folder, name):
    return read_manifest(folder / f"{name}.json")


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def spectrum(samples):
    """Power in dB at 0, 1, 2, ... Hz, averaged over 100 Hz, and raised by 6 dB per octave as the source falls."""
    power = np.abs(np.fft.rfft(np.diff(samples) * np.hanning(len(samples) - 1), 16000)) ** 2
    return 10 * np.log10(np.convolve(power, np.hanning(200) / 100, mode="same") + 1e-12)


class TestMakeDemoData:
    @pytest.mark.long_run
    def test_same_seed_same_bytes(self, made, demo, tmp_path):
        folder, synthesizer = made
        demo.make_demo_data(tmp_path / "elsewhere" / "again", MINUTES, 0, synthesizer)
        assert contents(tmp_path / "elsewhere" / "again") == contents(folder)

    def test_other_seed_other_audio(self, made, demo, tmp_path, monkeypatch):
        folder, synthesizer = made
        monkeypatch.setattr(demo, "NOISES", ("white", "pink"))
        demo.make_demo_data(tmp_path / "other", 0.02, 1, synthesizer)
        first, other = folder / "audio", tmp_path / "other" / "audio"
        shared = {path.name for path in first.iterdir()} & {path.name for path in other.iterdir()}
        assert len(shared) >= 5
        assert all((first / name).read_bytes() != (other / name).read_bytes() for name in shared)

    def test_manifests_are_true(self, made):
        folder, _ = made
        listed = []
        for name in MANIFESTS:
            for row in rows(folder, name):
                info = soundfile.info(folder / row["audio_filepath"])
                assert (info.samplerate, info.channels, info.subtype, info.format) == (16000, 1, "PCM_16", "WAV")
                assert abs(row["duration"] * 16000 - info.frames) < 1
                assert row["text"] or name == "noise"
                listed.append(folder / row["audio_filepath"])
        assert sorted(listed) == sorted((folder / "audio").iterdir())

    def test_levels(self, made):
        folder, _ = made
        for path in (folder / "audio").iterdir():
            samples, _ = soundfile.read(path)
            assert np.abs(samples).max() < 0.96
            assert -25 < 10 * np.log10(np.mean(samples**2)) < -17

    def test_lengths(self, made):
        folder, _ = made
        durations = {name: [row["duration"] for row in rows(folder, name)] for name in MANIFESTS}
        assert durations["train"][:2] == pytest.approx([0.3, 0.5], abs=0.011)
        assert all(0.98 <= seconds <= 12.02 for seconds in durations["train"][2:] + durations["validation"])
        assert all(5 <= seconds <= 10 for seconds in durations["noise"])
        assert sum(durations["train"] + durations["validation"]) == pytest.approx(60 * MINUTES + 0.8, abs=0.5)

    def test_validation_has_other_voices(self, made):
        folder, _ = made
        train, validation = ({row["voice"] for row in rows(folder, name)} for name in ("train", "validation"))
        assert not train & validation

    def test_phones_fill_the_utterance_in_order(self, made):
        folder, synthesizer = made
        for row in rows(folder, "train") + rows(folder, "validation"):
            assert ("phones" in row) == (synthesizer == "builtin")
            phones = row.get("phones", [])
            assert all(start < end for _, start, end in phones)
            assert [start for _, start, _ in phones[1:]] == [end for _, _, end in phones[:-1]]
            assert not phones or (phones[0][1], phones[-1][2]) == pytest.approx((0.0, row["duration"]))
            assert not phones or row["text"].split() == [label for label, _, _ in phones if label != "sil"]

    @pytest.mark.parametrize("minutes", [0.001, 1.0, 4.0, 60.0])
    def test_plan(self, demo, minutes):
        plan = demo.plan_speech(minutes, 0)
        for part, share in (("train", 0.8), ("validation", 0.2)):
            lengths = [seconds for name, seconds, _ in plan if name == part and seconds >= 1.0]
            assert 1.0 <= min(lengths) and max(lengths) <= 12.0
            assert sum(lengths) == pytest.approx(max(1.0, 60 * minutes * share), abs=0.1)


class TestRefusals:
    @pytest.mark.parametrize(
        "options",
        [
            {"minutes": 0.0},
            {"minutes": -1.0},
            {"minutes": float("nan")},
            {"minutes": float("inf")},
            {"minutes": "4"},
            {"seed": 1.5},
            {"seed": -1},
            {"seed": True},
            {"synthesizer": "festival"},
        ],
        ids=str,
    )
    def test_impossible_parameters(self, demo, tmp_path, options):
        with pytest.raises(ValueError, match=next(iter(options))):
            demo.make_demo_data(tmp_path / "set", **{"synthesizer": "builtin", **options})
        assert not list(tmp_path.iterdir())

    @pytest.mark.parametrize("option", ["--minutes=0", "--minutes=-2", "--seed=-1", "--synthesizer=festival"])
    def test_main_says_why(self, demo, tmp_path, capsys, option):
        assert demo.main([str(tmp_path / "set"), option]) == 2
        assert "make_demo_data: " in capsys.readouterr().err

    @pytest.mark.parametrize("option", ["--minutes=many", "--seed=1.5", "--loud"])
    def test_main_does_not_understand(self, demo, tmp_path, capsys, option):
        with pytest.raises(SystemExit) as exit_:
            demo.main([str(tmp_path / "set"), option])
        assert exit_.value.code == 2
        assert option.split("=")[0] in capsys.readouterr().err

    def test_espeak_missing(self, demo, tmp_path, monkeypatch):
        monkeypatch.setattr(demo.shutil, "which", lambda name: None)
        with pytest.raises(ValueError, match="espeak-ng is not installed"):
            demo.make_demo_data(tmp_path / "set", synthesizer="espeak-ng")
        assert demo.check_parameters(1, 0, "auto")["synthesizer"] == "builtin"

    @pytest.mark.parametrize("below", ["", "deeper", "deeper/still"])
    def test_file_in_the_way(self, demo, tmp_path, below):
        (tmp_path / "file").write_text("mine")
        with pytest.raises(ValueError, match="is a file"):
            demo.make_demo_data(tmp_path / "file" / below, synthesizer="builtin")
        assert (tmp_path / "file").read_text() == "mine"

    @pytest.mark.parametrize("name, text", [("notes.txt", "mine"), ("demo_data.json", "{"), ("demo_data.json", "{}")])
    def test_folder_with_something_else(self, demo, tmp_path, name, text):
        (tmp_path / name).write_text(text)
        with pytest.raises(ValueError, match="choose another folder"):
            demo.make_demo_data(tmp_path, synthesizer="builtin")
        assert contents(tmp_path) == {Path(name): text.encode()}

    def test_finished_set_is_kept(self, made, demo, capsys, monkeypatch):
        folder, synthesizer = made
        monkeypatch.setattr(demo, "write_set", lambda *_: pytest.fail("written again"))
        assert not demo.make_demo_data(folder, MINUTES, 0, synthesizer)
        assert "already holds" in capsys.readouterr().out
        with pytest.raises(ValueError, match="choose another folder"):
            demo.make_demo_data(folder, MINUTES, 1, synthesizer)

    def test_finished_set_without_manifest(self, made, demo, tmp_path):
        folder, synthesizer = made
        shutil.copytree(folder, tmp_path / "copy")
        (tmp_path / "copy" / "noise.json").unlink()
        with pytest.raises(ValueError, match="noise"):
            demo.make_demo_data(tmp_path / "copy", MINUTES, 0, synthesizer)

    def test_empty_folder_is_filled(self, demo, tmp_path, monkeypatch):
        monkeypatch.setattr(demo, "NOISES", ("white",))
        (tmp_path / "set").mkdir()
        assert demo.main([str(tmp_path / "set"), "--minutes=0.01", "--synthesizer=builtin"]) == 0
        assert [path.name for path in tmp_path.iterdir()] == ["set"]
        assert rows(tmp_path / "set", "train")

    @pytest.mark.parametrize("error, code", [(KeyboardInterrupt(), 130), (OSError("disk full"), 1)], ids=str)
    def test_interrupted_run_leaves_nothing(self, demo, tmp_path, monkeypatch, error, code):
        write_audio, written = demo.write_audio, []

        def write_two(*arguments):
            if len(written) == 2:
                raise error
            written.append(write_audio(*arguments))
            return written[-1]

        monkeypatch.setattr(demo, "write_audio", write_two)
        assert demo.main([str(tmp_path / "new" / "set"), "--synthesizer=builtin"]) == code
        assert len(written) == 2
        assert not list(tmp_path.iterdir())


class TestFormantSynthesizer:
    def speak(self, formant, label):
        """The middle of a phone of 0.4 s between two silences, of a voice whose harmonics show the formants."""
        rng = np.random.default_rng(0)
        samples, _ = formant.synthesize(["sil", label, "sil"], [0.1, 0.4, 0.1], formant.Voice(60.0), rng)
        return samples[3200:-3200]

    @pytest.mark.parametrize("label", ["iy", "ih", "eh", "ae", "aa", "ao", "uw", "er"])
    def test_vowel_peaks_at_its_formants(self, formant, label):
        level = spectrum(self.speak(formant, label))
        first, second, third = formant.VOWELS[label].formants
        border, end = round((first + second) / 2), round((second + third) / 2)
        assert np.argmax(level[150:border]) + 150 == pytest.approx(first, abs=0.1 * first + 60)
        assert np.argmax(level[border:end]) + border == pytest.approx(second, abs=0.1 * second + 60)

    def test_fricatives_have_their_own_bands(self, formant):
        centroid = {}
        for label in ("sh", "s"):
            power = 10 ** (spectrum(self.speak(formant, label)) / 10)
            centroid[label] = np.sum(power * np.arange(len(power))) / np.sum(power)
        assert centroid["sh"] < 4000 < 5000 < centroid["s"]

    def test_stop_is_closed_before_its_burst(self, formant):
        rng = np.random.default_rng(0)
        samples, phones = formant.synthesize(["aa", "t", "aa"], [0.15, 0.1, 0.15], formant.Voice(60.0), rng)
        assert phones[1] == ("t", 0.15, 0.25)
        frames = np.abs(samples[2400:4000]).reshape(-1, 80).max(axis=1)
        assert frames[4:10].max() < 0.05 * frames[12:].max()

    @pytest.mark.parametrize("pitch", [90.0, 220.0])
    def test_pitch(self, formant, pitch):
        samples, _ = formant.synthesize(["aa"], [1.0], formant.Voice(pitch), np.random.default_rng(0))
        period = 16000 / pitch
        same = np.correlate(samples[8000:10000], samples[8000:9000], mode="valid")  # with itself, later
        first, last = round(0.7 * period), round(1.4 * period)
        assert first + np.argmax(same[first:last]) == pytest.approx(period, rel=0.1)

    def test_gliding_formants_do_not_click(self, formant):
        """Above 5 kHz, a voice that moves has no more than the vowels between which it moves."""
        rng = np.random.default_rng(0)
        samples, _ = formant.synthesize(["aa", "ih"], [0.2, 0.2], formant.Voice(60.0), rng)
        high = np.abs(np.fft.irfft(np.fft.rfft(samples) * (np.fft.rfftfreq(len(samples), 1 / 16000) > 5000)))
        assert high[2400:4000].max() < 1.5 * max(high[800:2000].max(), high[4400:5600].max())

    def test_every_phone_can_be_spoken(self, formant):
        for label in formant.PHONES:
            samples, phones = formant.synthesize([label], [0.2], formant.Voice(110.0), np.random.default_rng(0))
            assert phones == [(label, 0.0, 0.2)]
            assert len(samples) == 3200 and np.isfinite(samples).all()
