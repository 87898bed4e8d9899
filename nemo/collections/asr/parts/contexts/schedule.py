# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""What a config says about attention contexts: of each layer (`hierarchical_context`), and of a whole encoder."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Optional

from nemo.collections.asr.parts.contexts.context import (
    STYLES,
    UNLIMITED,
    AttentionContext,
    check_layer_contexts,
    is_sequence,
    plain_lists,
    widest,
)
from nemo.utils.option_checks import check_choice, check_integer, check_option, read_block


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
        check_option("model.hierarchical_context.interpolation", interpolation, "interpolation")
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
        """Reads a `hierarchical_context` block: `enabled`, `interpolation`, `schedule`; None if it is not enabled.

        Raises:
            ValueError: see `parse`; also for a key that is none of these.
        """
        options = read_block("hierarchical_context", block)
        return None if options is None else cls.parse(**options)

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


@dataclass(frozen=True)
class ConfiguredContexts:
    """What a config says about the contexts of an encoder.

    Args:
        schedule: of the layers' own contexts, None if they have none
        cap: no layer sees more than this; None is no cap
        style: `att_context_style`
        n_layers, att_context_size: as the encoder's section has them; they are checked when they are used
    """

    schedule: ContextSchedule | None
    cap: AttentionContext | None
    style: str
    n_layers: Any
    att_context_size: Any

    @classmethod
    def from_config(cls, encoder: Mapping, block: Mapping | None = None) -> "ConfiguredContexts":
        """Reads the encoder's section; `block` is the model's `hierarchical_context`, which goes before the encoder's.

        Raises:
            ValueError: a block is not valid, see `ContextSchedule`, or `context_cap` is no context.
        """
        schedules = [ContextSchedule.from_config(given) for given in (block, encoder.get("hierarchical_context"))]
        cap = encoder.get("context_cap")
        return cls(
            schedule=schedules[0] or schedules[1],
            cap=None if cap is None else AttentionContext.parse(cap, "encoder.context_cap"),
            style=encoder.get("att_context_style", "regular"),
            n_layers=encoder.get("n_layers"),
            att_context_size=encoder.get("att_context_size") or [UNLIMITED, UNLIMITED],
        )

    @property
    def sizes(self) -> list[AttentionContext]:
        """The encoder's own contexts; of several NeMo draws one at each training step, otherwise the first counts."""
        given = self.att_context_size
        several = is_sequence(given) and is_sequence(given[0])
        return [AttentionContext.parse(size) for size in (given if several else [given])]

    def own(self) -> list[AttentionContext] | None:
        """The context that each layer is given; None if the layers have none of their own.

        Raises:
            ValueError: see `ContextSchedule.for_layers`; another style, or number of layers, than there can be.
        """
        if self.schedule is None and self.cap is None:
            return None
        n_layers = self._checked_layers()
        if self.schedule is None:
            return [widest(self.sizes)] * n_layers
        return self.schedule.for_layers(n_layers, self.style)

    def own_within_cap(self) -> list[AttentionContext] | None:
        """The same within the cap: what each layer sees at most; see `own`."""
        own, cap = self.own(), self.cap
        return own if own is None or cap is None else [context.capped(cap, self.style) for context in own]

    def seen(self) -> list[AttentionContext]:
        """What each layer sees outside training; see `own`."""
        seen, sizes = self.own_within_cap(), self.sizes
        if seen is None:
            return [sizes[0]] * self._checked_layers()
        return seen if len(sizes) == 1 else [context.capped(sizes[0], self.style) for context in seen]

    def _checked_layers(self) -> int:
        check_choice("encoder.att_context_style", self.style, STYLES)
        return check_integer("encoder.n_layers", self.n_layers, 1)
