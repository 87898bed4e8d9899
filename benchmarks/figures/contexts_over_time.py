# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""What each group of layers sees while the curriculum of the shipped config widens contexts, over training steps."""

from pathlib import Path
from typing import Any

from benchmarks.shipped import HIERARCHICAL, shipped_config
from nemo.collections.asr.parts.contexts import ContextCurriculum, ContextRamp, ContextSchedule
from nemo_streaming_ssl.plot_style import GREY, SERIES, canvas, in_style, save

SECONDS_OF_A_STEP = 0.08
POINTS = 200  # at which the curves are computed


def read_config() -> tuple[list[int], ContextRamp]:
    """The left context of each layer, in encoder frames, and the cap of the curriculum, which the config has off."""
    model = shipped_config(HIERARCHICAL, ["model.curriculum_context.enabled=true"]).model
    schedule = ContextSchedule.from_config(model.hierarchical_context)
    curriculum = ContextCurriculum.from_config(model.curriculum_context)
    assert schedule is not None and curriculum is not None  # the config has both
    return [context.left for context in schedule.for_layers(model.encoder.n_layers)], curriculum.ramp


def groups(contexts: list[int]) -> dict[int, str]:
    """{left context: the layers that have it, as `layers 0 to 5`}."""
    layers = {left: [i for i, own in enumerate(contexts) if own == left] for left in sorted(set(contexts))}
    return {left: f"layers {own[0]} to {own[-1]}" for left, own in layers.items()}


def seen(left: int, ramp: ContextRamp, steps: list[int]) -> list[int]:
    """What a layer sees back at each training step, in encoder frames: its own context within the cap."""
    return [min(left, ramp.cap(step)) for step in steps]


@in_style()
def draw(path: Path) -> None:
    """Writes the picture: each layer's own context, and what it sees as the cap grows."""
    contexts, ramp = read_config()
    figure = canvas(2.9)
    each_layer, over_time = figure.subplots(1, 2, width_ratios=(2, 3))
    colours = dict(zip(sorted(set(contexts)), SERIES))
    draw_layers(each_layer, contexts, colours)
    draw_time(over_time, contexts, ramp, colours)
    save(figure, path)


def draw_layers(axes: Any, contexts: list[int], colours: dict[int, str]) -> None:
    """A bar for each layer, to the left of the current frame."""
    seconds = [left * SECONDS_OF_A_STEP for left in contexts]
    axes.barh(range(len(contexts)), [-length for length in seconds], 0.75, color=[colours[left] for left in contexts])
    for left in colours:
        layer, length = contexts.index(left), left * SECONDS_OF_A_STEP
        axes.text(-length, layer, f"{length:.1f} s ", ha="right", va="center", color=colours[left], fontsize=8)
    axes.set(xlim=(-1.3 * max(seconds), 0), xlabel="s, the current frame at 0", ylabel="layer")
    axes.set_yticks(range(0, len(contexts), 4))
    axes.spines[["left", "right"]].set_visible(False)
    axes.tick_params(left=False)
    axes.set_title("What each layer sees")


def draw_time(axes: Any, contexts: list[int], ramp: ContextRamp, colours: dict[int, str]) -> None:
    """A curve for each group of layers, and the cap."""
    last = round(1.2 * ramp.warmup_steps)
    steps = [round(i * last / POINTS) for i in range(POINTS + 1)]
    thousands = [step / 1000 for step in steps]
    cap = [ramp.cap(step) * SECONDS_OF_A_STEP for step in steps]
    axes.plot(thousands, cap, color=GREY, linestyle=(0, (2, 1.5)), linewidth=1.2, zorder=3)
    # where curves lie on each other the lower layers' are narrower and on top
    for index, (left, layers) in enumerate(groups(contexts).items()):
        curve = [frames * SECONDS_OF_A_STEP for frames in seen(left, ramp, steps)]
        axes.plot(thousands, curve, color=colours[left], linewidth=2 + 1.5 * index, zorder=2 - index / 100)
        axes.text(thousands[-1], curve[-1], f" {layers}", color=colours[left], va="center", fontsize=8)
    middle = POINTS // 2
    axes.annotate(
        "the curriculum's cap",
        (thousands[middle], cap[middle]),
        (0.04 * thousands[-1], 0.8 * cap[-1]),
        color=GREY,
        fontsize=8,
        arrowprops={"arrowstyle": "-", "color": GREY, "linewidth": 0.8},
    )
    axes.set(xlim=(0, thousands[-1]), ylim=(0, None), xlabel="optimizer steps, thousands", ylabel="left context, s")
    axes.set_title("As the curriculum's cap grows")
