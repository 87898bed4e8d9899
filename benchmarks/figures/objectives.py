# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""What each encoder step is asked under masked tokens and under next tokens: a drawing of the two objectives."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.shipped import UNIFORM, shipped_config
from nemo.collections.asr.parts.lookahead import report_lookahead
from nemo_streaming_ssl.plot_style import GREY, PALE, VERMILLION, canvas, in_style, legend_below, save

STEPS = 10  # encoder steps of the utterance that is drawn
MASKED = (3, 4, 5)


def shipped_question() -> Any:
    """Which tokens a step of the shipped config predicts, and how much of them it has heard: `PredictedTokens`."""
    return report_lookahead(shipped_config(UNIFORM, ["model.objective=next_tokens"])).predicted


def asked_under_masks(step: int) -> list[int]:
    """The tokens that a step predicts under masked tokens: its own, if it is masked."""
    return [step] if step in MASKED else []


def asked_next(step: int, question: Any) -> list[int]:
    """The tokens that a step predicts under next tokens, as far as the utterance goes."""
    first = step + question.first
    return [token for token in range(first, first + question.steps) if token < STEPS]


@in_style()
def draw(path: Path) -> None:
    """Writes the picture: a row for each encoder step, a box for each token's 80 ms of audio."""
    question = shipped_question()
    heard = question.heard_frames / question.token_frames
    figure = canvas(3.7)
    masked, following = figure.subplots(1, 2, sharey=True)
    for step in range(STEPS):
        draw_row(masked, step, asked_under_masks(step), heard, MASKED)
        draw_row(following, step, asked_next(step, question), heard)
    masked.set_title("masked_tokens: what is under the mask?")
    following.set_title("next_tokens: what comes next?")
    masked.set_ylabel("encoder step")
    for axes in (masked, following):
        finish(axes)
    legend_below(figure, masked, 4, handles=handles())
    save(figure, path)


def draw_row(axes: Any, step: int, asked: list[int], heard: float, masked: Sequence[int] = ()) -> None:
    """What a step has heard when it answers, and what it is asked; `heard` is the share of its own token."""
    for token in range(STEPS):
        axes.barh(step, 0.9, 0.9, token - 0.45, facecolor="white", edgecolor=PALE, linewidth=0.8)
        share = 1 if token < step else heard if token == step else 0
        hidden = token in masked
        look = dict(hatch="/////", facecolor="white", edgecolor=GREY) if hidden else dict(color=PALE)
        axes.barh(step, 0.9 * share, 0.9, token - 0.45, linewidth=0, **look)
    axes.plot(asked, [step] * len(asked), "o", color=VERMILLION, markersize=6.5)


def finish(axes: Any) -> None:
    """Steps count from the top, tokens from the left."""
    axes.set(xlim=(-0.6, STEPS - 0.4), ylim=(STEPS - 0.4, -0.6), xlabel="token, 80 ms of audio each", aspect="equal")
    axes.set_xticks(range(STEPS))
    axes.set_yticks(range(STEPS))
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)


def handles() -> list:
    """What the signs mean."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    dot = Line2D([], [], marker="o", linestyle="", color=VERMILLION, markersize=6.5, label="token to predict")
    return [
        dot,
        Patch(color=PALE, label="heard"),
        Patch(facecolor="white", edgecolor=GREY, hatch="/////", linewidth=0, label="masked"),
        Patch(facecolor="white", edgecolor=PALE, label="not heard yet"),
    ]
