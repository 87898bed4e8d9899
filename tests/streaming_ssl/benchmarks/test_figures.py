# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""The pictures: what they show is what the code does, all of them are made by the command, and they are light."""

import re
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from PIL import Image

from benchmarks.figures.__main__ import main
from benchmarks.figures.catalogue import PICTURES
from nemo_streaming_ssl import plot_style

ROOT = Path(__file__).resolve().parents[3]

MOST_BYTES = 80_000
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
SHOWN = re.compile(r"!\[[^\]]*\]\(([^)\s]+\.(?:png|svg))\)")


@pytest.fixture(scope="module")
def kinds():
    """The matrix of each encoder, in the order of the picture."""
    from benchmarks.figures import leak_probe

    return [leak_probe.influence(options).kinds() for options in leak_probe.ENCODERS.values()]


class TestLeakProbe:
    def test_a_causal_encoder_shows_nothing_right_of_what_is_heard(self, kinds):
        for output, row in enumerate(kinds[0]):
            assert row[8 * output] == 1 and not row[8 * output + 1 :].any()

    def test_chunks_are_heard_to_their_end_and_no_further(self, kinds):
        for output, row in enumerate(kinds[1]):
            last_step = output // 4 * 4 + 3
            assert row.nonzero().max() == 8 * last_step and not (row == 3).any()

    def test_convolutions_that_look_ahead_leak_at_every_output(self, kinds):
        assert (kinds[2] == 3).any(dim=1)[:-1].all() and not (kinds[2] == 2).any()

    def test_offline_everything_moves_everything(self, kinds):
        assert (kinds[3] > 0).all()


class TestContextsOverTime:
    def test_the_curves_are_what_the_curriculum_gives_an_encoder(self):
        from benchmarks.figures import contexts_over_time
        from nemo.collections.asr.modules.conformer_encoder import ConformerEncoder
        from nemo.collections.asr.parts.contexts import ContextCurriculum

        contexts, ramp = contexts_over_time.read_config()
        assert contexts == [40] * 6 + [120] * 6 + [320] * 5
        encoder = ConformerEncoder(feat_in=8, n_layers=17, d_model=8, n_heads=1, subsampling_conv_channels=4)
        encoder.set_layer_contexts([[left, 0] for left in contexts])
        curriculum = ContextCurriculum(ramp.start_context, ramp.end_context, ramp.warmup_steps, ramp.every_n_steps)
        for step in (0, 1, 28_571, 50_000, 100_000, 120_000):
            curriculum.apply(SimpleNamespace(encoder=encoder), step)
            drawn = [contexts_over_time.seen(left, ramp, [step])[0] for left in contexts]
            assert drawn == [context[0] for context in encoder.layer_contexts]


class TestMasking:
    def test_windows_and_shares_are_those_of_the_options(self):
        from benchmarks.figures import masking

        masks = masking.causal_masks()
        for masked, ends in zip(masks.masked[:20], masks.ends):
            for first, stop in zip([0, *ends], ends):
                assert stop - first <= masking.CONTEXT
                assert masked[first:stop].sum() <= 0.8 * (stop - first)

    def test_what_is_unheard_is_counted(self, monkeypatch):
        from benchmarks.figures import masking

        monkeypatch.setattr(masking, "CONTEXT", 2)
        masks = masking.Masks(torch.tensor([[1, 1, 0, 1, 1, 1, 1, 0]]).bool(), [[]])
        assert masks.unheard().int().tolist() == [[1, 1, 0, 0, 0, 1, 1, 0]]
        assert masking.runs(masks.masked[0]) == [(0, 2), (3, 7)]
        assert masks.title("These").startswith("These: 67 %")

    def test_causal_masks_leave_less_unheard_and_mask_as_much(self):
        from benchmarks.figures import masking

        ours, nemos = masking.causal_masks(), masking.nemo_masks()
        assert ours.unheard().sum() < 0.5 * nemos.unheard().sum()
        shares = [masks.masked.float().mean().item() for masks in (ours, nemos)]
        assert shares[0] == pytest.approx(shares[1], rel=0.02)


class TestObjectives:
    def test_the_shipped_config_asks_what_is_drawn(self):
        from benchmarks.figures import objectives

        question = objectives.shipped_question()
        assert objectives.asked_next(2, question) == [2, 3, 4, 5]
        assert (question.heard_frames, question.token_frames) == (1, 8)
        assert objectives.asked_next(objectives.STEPS - 1, question) == [objectives.STEPS - 1]

    def test_only_masked_steps_are_asked_and_for_their_own_token(self):
        from benchmarks.figures import objectives

        asked = [token for step in range(objectives.STEPS) for token in objectives.asked_under_masks(step)]
        assert tuple(asked) == objectives.MASKED


class TestCommand:
    @pytest.mark.long_run
    def test_every_picture_is_made_opaque_and_light(self, tmp_path, capsys):
        assert main(["--output", str(tmp_path)]) == 0
        made = [tmp_path / Path(picture.path).name for picture in PICTURES.values()]
        assert [line for line in capsys.readouterr().out.splitlines() if line.endswith(".png")] == list(map(str, made))
        for path in made:
            image = Image.open(path)
            assert path.stat().st_size <= MOST_BYTES and image.width == plot_style.WIDTH * plot_style.DPI
            assert image.convert("RGBA").getpixel((0, 0)) == (255, 255, 255, 255)

    @pytest.mark.any_release
    def test_one_that_is_named_has_the_same_bytes_each_time(self, tmp_path):
        for folder in ("first", "second"):
            assert main(["speed", "--output", str(tmp_path / folder)]) == 0
        (first,), (second,) = ((tmp_path / folder).iterdir() for folder in ("first", "second"))
        assert first.read_bytes() == second.read_bytes()

    @pytest.mark.any_release
    def test_a_name_that_is_none(self, capsys):
        with pytest.raises(SystemExit) as stopped:
            main(["speeed"])
        assert stopped.value.code == 2 and "speeed: no such picture" in capsys.readouterr().err

    @pytest.mark.any_release
    def test_pages_show_no_other_pictures_and_all_that_lie_there_are_light(self):
        shown = {(page.parent / path).resolve() for page in PAGES for path in SHOWN.findall(page.read_text())}
        made = {ROOT / picture.path for picture in PICTURES.values()}
        assert shown <= made
        assert {path.name: path.stat().st_size for path in made if path.stat().st_size > MOST_BYTES} == {}


@pytest.mark.any_release
class TestStyle:
    def test_it_ends_with_the_drawing(self):
        import matplotlib

        before = dict(matplotlib.rcParams)
        with plot_style.in_style():
            assert matplotlib.rcParams["axes.titlesize"] == 9.5
        assert dict(matplotlib.rcParams) == before

    @pytest.mark.parametrize("suffix", ["svg", "pdf"])
    def test_other_formats_have_the_same_bytes_each_time(self, tmp_path, suffix):
        for name in ("first", "second"):
            with plot_style.in_style():
                figure = plot_style.canvas(1)
                figure.add_subplot().plot([1, 2], [3, 4], label="a line")
            plot_style.save(figure, tmp_path / f"{name}.{suffix}")
        assert (tmp_path / f"first.{suffix}").read_bytes() == (tmp_path / f"second.{suffix}").read_bytes()

    def test_each_series_has_a_mark(self):
        assert len(set(plot_style.SERIES)) == len(set(plot_style.MARKERS)) == len(plot_style.MARKERS)
