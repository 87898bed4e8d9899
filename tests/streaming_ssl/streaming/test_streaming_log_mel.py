# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf

from nemo.collections.asr.modules import AudioToMelSpectrogramPreprocessor
from nemo.collections.asr.parts.streaming.log_mel import StreamingLogMel
from nemo.collections.asr.parts.streaming.requirements import front_end_obstacles

PLAIN = dict(normalize="NA", window_size=0.025, window_stride=0.01, features=16, n_fft=512)
FIXED = {"fixed_mean": [0.5 * i - 9 for i in range(16)], "fixed_std": [1.0 + 0.1 * i for i in range(16)]}
OPTIONS = {
    "as configured": {},
    "no pre-emphasis, no padding": dict(preemph=None, pad_to=0),
    "clamped logarithm, padded with ones": dict(log_zero_guard_type="clamp", log_zero_guard_value=1e-3, pad_value=1.0),
    "eps in the logarithm": dict(log_zero_guard_value="eps"),
    "magnitudes, no logarithm": dict(mag_power=1.0, log=False),
    "window as long as the transform": dict(window_size=0.032, window="hamming"),
    "windows that do not overlap": dict(window_size=0.01, window_stride=0.02),
    "8 kHz": dict(sample_rate=8000, n_fft=256),
    "exact_pad": dict(exact_pad=True),
    "exact_pad without pre-emphasis": dict(exact_pad=True, preemph=None),
    "normalised by constants": dict(normalize=FIXED),
    "normalised by constants, no logarithm": dict(normalize=FIXED, log=False),
}


def preprocessor(**options):
    return AudioToMelSpectrogramPreprocessor(**{**PLAIN, **options}).eval()


def offline(processor, audio, lengths):
    """The preprocessor's features of each row, (F, D), without padding."""
    feats, counts = processor(input_signal=audio.clone(), length=torch.tensor(lengths))
    return [row.t()[: max(count, 0)] for row, count in zip(feats, counts.tolist())]


def streamed(processor, audio, cuts):
    """Features of each row; `cuts` are how many samples each row gets at each push."""
    front_end = StreamingLogMel(processor.featurizer)
    state = front_end.initial_state(len(audio))
    rows, done = [[] for _ in audio], [0] * len(audio)

    def keep(frames, made):
        for row, (part, count) in enumerate(zip(frames, made)):
            rows[row].append(part[:count])

    for counts in cuts:
        samples = torch.full((len(audio), max(counts)), float("nan"))  # what is not a stream's must not be used
        for row, count in enumerate(counts):
            samples[row, :count] = audio[row, done[row] : done[row] + count]
            done[row] += count
        keep(*front_end.push(state, samples, counts))
    keep(*front_end.flush(state, range(len(audio))))
    return [torch.cat(parts) for parts in rows]


class TestStreamingLogMel:
    @pytest.mark.parametrize("name", OPTIONS)
    @pytest.mark.parametrize("length", [160, 161, 200, 201, 359, 3333])
    def test_any_options_equal_the_preprocessors_features(self, name, length):
        processor = preprocessor(**OPTIONS[name])
        audio = 0.1 * torch.randn(1, length)
        expected = offline(processor, audio, [length])[0]
        for size in (77, length):
            cuts = [[min(size, length - start)] for start in range(0, length, size)]
            torch.testing.assert_close(streamed(processor, audio, cuts)[0], expected, rtol=0, atol=2e-5)

    @given(st.lists(st.lists(st.integers(0, 900), min_size=3, max_size=3), min_size=1, max_size=8))
    @settings(max_examples=25)
    def test_ragged_pieces_equal_the_preprocessors_features(self, cuts):
        processor = preprocessor()
        lengths = [sum(counts) for counts in zip(*cuts)]
        audio = 0.1 * torch.randn(3, max(*lengths, 1))
        expected = offline(processor, audio, lengths)
        for ours, theirs in zip(streamed(processor, audio, cuts), expected):
            torch.testing.assert_close(ours, theirs, rtol=0, atol=2e-5)

    @given(heard=st.integers(1, 3000), more=st.integers(1, 2000), name=st.sampled_from(sorted(OPTIONS)))
    @settings(max_examples=25)
    def test_a_prefix_never_changes(self, heard, more, name):
        processor = preprocessor(**OPTIONS[name])
        front_end = StreamingLogMel(processor.featurizer)
        audio = 0.1 * torch.randn(1, heard + more)
        first, made = front_end.push(front_end.initial_state(1), audio[:, :heard], [heard])
        for _ in range(2):
            audio[:, heard:] = torch.randn(1, more)
            whole = offline(processor, audio, [heard + more])[0]
            torch.testing.assert_close(first[0], whole[: made[0]], rtol=0, atol=2e-5)

    def test_a_frame_comes_out_as_soon_as_its_window_is_complete(self):
        front_end = StreamingLogMel(preprocessor().featurizer)
        state = front_end.initial_state(1)
        # frame j is centred at 160 * j and half of its window of 400 follows
        made = [front_end.push(state, torch.randn(1, 1), [1])[1][0] for _ in range(1000)]
        assert [i + 1 for i, count in enumerate(made) if count] == [200, 360, 520, 680, 840, 1000]

    def test_silence_and_loud_audio_are_the_same_too(self):
        processor = preprocessor()
        audio = torch.cat([torch.zeros(1, 2000), 30000.0 * torch.randn(1, 2000), torch.zeros(1, 2000)], dim=1)
        expected = offline(processor, audio, [6000])[0]
        torch.testing.assert_close(streamed(processor, audio, [[700]] * 8 + [[400]])[0], expected, rtol=0, atol=2e-5)

    def test_autocast_changes_nothing(self):
        processor, audio = preprocessor(), 0.1 * torch.randn(1, 2000)
        expected = streamed(processor, audio, [[2000]])[0]
        with torch.autocast("cpu", torch.bfloat16):
            found = streamed(processor, audio, [[2000]])[0]
        assert found.dtype == torch.float32 and torch.equal(found, expected)

    def test_a_reset_stream_forgets_and_the_others_do_not(self):
        front_end = StreamingLogMel(preprocessor().featurizer)
        state, fresh = front_end.initial_state(2), front_end.initial_state(2)
        audio = torch.randn(2, 3000)
        whole = front_end.push(fresh, audio, [3000, 3000])[0]
        front_end.push(state, audio[:, :1000], [1000, 1000])
        state.reset([1], torch.tensor([False, True]))
        assert state.samples == [1000, 0] and not state.tail[1].any() and state.tail[0].any()
        frames, made = front_end.push(state, torch.stack([audio[0], audio[1]]), [0, 3000])
        assert made == [0, whole.size(1)] and torch.allclose(frames[1], whole[1], atol=1e-5)

    def test_its_reasons_name_what_is_in_the_way(self):
        def reason(processor):
            (obstacle,) = front_end_obstacles(processor)
            assert obstacle.part == "front end"
            return obstacle.what

        assert not list(front_end_obstacles(preprocessor()))
        assert "averages over the whole utterance" in reason(preprocessor(normalize="per_feature"))
        assert "frame_splicing=3: must be 1" in reason(preprocessor(frame_splicing=3))
        assert "Linear is not supported" in reason(torch.nn.Linear(1, 1))

    def test_constants_normalise_every_stream_of_a_batch(self):
        # NeMo's own preprocessor takes them for one utterance at a time
        processor, lengths = preprocessor(normalize=FIXED), [2000, 1333]
        audio = 0.1 * torch.randn(2, 2000)
        rows = streamed(processor, audio, [[700, 400], [1300, 933]])
        for row, length, ours in zip(audio, lengths, rows):
            expected = offline(processor, row[None, :length], [length])[0]
            torch.testing.assert_close(ours, expected, rtol=0, atol=2e-5)

    def test_constants_of_a_config_are_as_good(self):
        from_config = preprocessor(normalize=OmegaConf.create(FIXED))
        audio = 0.1 * torch.randn(1, 2000)
        expected = streamed(preprocessor(normalize=FIXED), audio, [[2000]])[0]
        assert torch.equal(streamed(from_config, audio, [[2000]])[0], expected)

    @pytest.mark.parametrize(
        "changed, problem",
        [
            ({"fixed_mean": [0.0] * 3}, "fixed_mean has 3 numbers, must have 16, one for each feature"),
            ({"fixed_std": [1.0] * 32}, "fixed_std has 32 numbers, must have 16, one for each feature"),
            ({"fixed_mean": 0.5}, "fixed_mean has 0 numbers, must have 16, one for each feature"),
            ({"fixed_std": None}, "fixed_std has 0 numbers, must have 16, one for each feature"),
            ({"fixed_std": [1.0] * 15 + [0.0]}, "fixed_std has a 0, must have none"),
        ],
    )
    def test_constants_that_cannot_be_used_are_named(self, changed, problem):
        (obstacle,) = front_end_obstacles(preprocessor(normalize={**FIXED, **changed}))
        assert obstacle.what == f"fixed normalisation: preprocessor.normalize.{problem}"
        assert not list(front_end_obstacles(preprocessor(normalize=FIXED)))
