# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Which layer of an encoder has which attention context, as `hierarchical_context` in a config says it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Optional

from nemo.collections.asr.parts.contexts.context import (
    UNLIMITED,
    AttentionContext,
    check_layer_contexts,
    is_sequence,
    plain_lists,
)
from nemo.utils.option_checks import check_choice, check_integer, is_enabled

INTERPOLATIONS = ("step", "linear")


@dataclass(frozen=True)
class ContextSchedule:
    """Which layer has which context: `points` are (first layer, context), in increasing order, the first at layer 0.

    With `step` a context holds until the next point; with `linear` the contexts in between are a rounded ramp.
    """

    points: tuple[tuple[int, AttentionContext], ...]
    interpolation: str = "step"

    @classmethod
    def parse(cls, schedule: Any, interpolation: str = "step") -> "ContextSchedule":
        """Reads `[[first_layer, [left, right]], ...]` from lists or `ListConfig`s.

        Raises:
            ValueError: naming the item, its value and what is allowed.
        """
        check_choice("interpolation", interpolation, INTERPOLATIONS)
        if not is_sequence(schedule) or len(schedule) == 0:
            raise ValueError(f"schedule={plain_lists(schedule)!r}: must have at least one [layer_idx, [left, right]]")
        points = tuple(cls._point(i, item) for i, item in enumerate(schedule))
        if points[0][0] != 0:
            raise ValueError(f"schedule[0]={plain_lists(schedule[0])!r}: the first layer index must be 0")
        for i, ((before, _), (index, _)) in enumerate(zip(points, points[1:]), start=1):
            if index <= before:
                raise ValueError(f"schedule[{i}]={plain_lists(schedule[i])!r}: layer index must be above {before}")
        return cls(points, interpolation)

    @staticmethod
    def _point(i: int, item: Any) -> tuple[int, AttentionContext]:
        name = f"schedule[{i}]={plain_lists(item)!r}"
        if not is_sequence(item) or len(item) != 2 or not is_sequence(item[1]):
            raise ValueError(f"{name}: must be [layer_idx, [left, right]]")
        return check_integer(f"layer index of {name}", item[0], 0), AttentionContext.parse(item[1], name)

    @classmethod
    def from_config(cls, block: Mapping | None) -> Optional["ContextSchedule"]:
        """Reads a `hierarchical_context` block (design: enabled, interpolation, schedule); None if it is not enabled.

        Raises:
            ValueError: see `parse`; also for a key that is none of these.
        """
        if block is None or not is_enabled("hierarchical_context", block, ("interpolation", "schedule")):
            return None
        return cls.parse(block.get("schedule"), block.get("interpolation", "step"))

    def for_layers(self, n_layers: int, style: str = "regular") -> list[AttentionContext]:
        """The context of each of `n_layers` layers.

        Raises:
            ValueError: a point past the last layer; `linear` to or from an unlimited context; see also
                `check_layer_contexts`.
        """
        last = self.points[-1]
        if last[0] >= n_layers:
            name = f"schedule[{len(self.points) - 1}]={[last[0], last[1].as_list()]}"
            raise ValueError(f"{name}: layer index must be at most {n_layers - 1}, the last of {n_layers} layers")
        return check_layer_contexts([self._at(layer, style) for layer in range(n_layers)], style)

    def _at(self, layer: int, style: str) -> AttentionContext:
        before = max(i for i, (index, _) in enumerate(self.points) if index <= layer)
        start, context = self.points[before]
        if self.interpolation == "step" or layer == start or before + 1 == len(self.points):
            return context
        end, following = self.points[before + 1]
        share = (layer - start) / (end - start)
        ramp = AttentionContext(
            _between(context.left, following.left, share), _between(context.right, following.right, share)
        )
        return ramp.whole_chunks(style)


def _between(a: int, b: int, share: float) -> int:
    if a == b:
        return a
    if UNLIMITED in (a, b):
        raise ValueError(f"interpolation=linear from {a} to {b}: an unlimited context (-1) has no values in between")
    return round(a + (b - a) * share)
