# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Puts pretrained weights into a recogniser, all of them or none, and says what went where."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from nemo.collections.asr.parts.finetuning.checkpoint import PARTS, Pretrained, Size, sizes

NAMED = 10  # of the tensors that do not fit


@dataclass(frozen=True)
class LoadReport:
    """What `load_into` did, by part of the model.

    Args:
        source: the pretrained model
        loaded: weights of the recogniser that are the pretrained ones
        left_out: what the file has and a recogniser does not
        new: weights of the recogniser that the file does not have
    """

    source: str
    loaded: dict[str, Size]
    left_out: dict[str, Size]
    new: dict[str, Size]

    def __str__(self) -> str:
        rows = (("loaded", self.loaded), ("left out", self.left_out), ("new", self.new))
        lines = [_line(what, part, size) for what, parts in rows for part, size in parts.items()]
        return "\n".join([f"Weights of {self.source}", *lines])


def load_into(model: nn.Module, pretrained: Pretrained) -> LoadReport:
    """Loads the pretrained weights of preprocessor and encoder, by exact names and shapes.

    Args:
        model: a recogniser with a `preprocessor` and an `encoder`; changed in place, unless there is an error

    Raises:
        ValueError: a tensor of the two gets no value, has another shape, or is in the file alone; the first of them
            are named, with both shapes.
    """
    state = model.state_dict()
    wanted = {name: tensor for name, tensor in state.items() if name.partition(".")[0] in PARTS}
    problems = list(_problems(wanted, pretrained.weights))
    if problems:
        raise ValueError("\n".join(_message(pretrained, problems)))
    model.load_state_dict(pretrained.weights, strict=False)
    return LoadReport(
        source=f"{pretrained.path} ({pretrained.class_name})",
        loaded=sizes(wanted.items()),
        left_out=pretrained.left_out,
        new=sizes((name, tensor) for name, tensor in state.items() if name not in wanted),
    )


def _problems(wanted: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> Iterator[str]:
    for name in sorted({*wanted, *given}):
        ours, theirs = (_shape(tensors.get(name)) for tensors in (wanted, given))
        if ours != theirs:
            yield f"{name}: the recogniser has {ours}, the checkpoint has {theirs}"


def _shape(tensor: Tensor | None) -> str:
    return "none" if tensor is None else str(tuple(tensor.shape))


def _message(pretrained: Pretrained, problems: list[str]) -> Iterator[str]:
    yield f"pretrained.path={pretrained.path}: {len(problems)} tensors do not fit the recogniser"
    yield from (f"  - {problem}" for problem in problems[:NAMED])
    if len(problems) > NAMED:
        yield f"  and {len(problems) - NAMED} more"
    if any("adapter" in problem for problem in problems):
        yield "Adapters are not taken over: merge them into the weights, or remove them, and save the model again."


def _line(what: str, part: str, size: Size) -> str:
    return f"  {what:<9} {part:<20} {size.tensors:>5} tensors {size.values / 1e6:>9.3f} M values"
