# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""What is remembered of each stream of a batch: dataclasses that say where the streams are, and no more than that.

Resetting streams, copying, loading and counting bytes follow from the fields: a new one is added in one place.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from torch import Tensor

from nemo.collections.asr.parts.streaming.batch_rows import clear_rows

Value = Tensor | list[int] | int


FIXED = {"fixed": True}  # metadata of a field that never changes: it is neither reset nor saved


def streams_at(dim: int) -> dict[str, int]:
    """Metadata of a field with a tensor, or a list of tensors, whose dimension `dim` is the streams."""
    return {"dim": dim}


@dataclass(frozen=True)
class Entry:
    """One thing that is remembered.

    Args:
        owner, attribute: the dataclass and its field
        name: of the whole path to it, like `encoder.layers.0.convolution`
        value: the thing itself, not a copy
        dim: where the streams are, in a tensor
    """

    owner: "BatchState"
    attribute: str
    name: str
    value: Value
    dim: int

    def reset(self, rows: Sequence[int], mask: Tensor) -> None:
        """Zeros for some streams; a number for all streams stays."""
        if isinstance(self.value, Tensor):
            clear_rows(self.value, mask, self.dim)
        elif isinstance(self.value, list):
            for row in rows:
                self.value[row] = 0

    def copied(self) -> Value:
        """A copy of the value, for a state that is saved."""
        if isinstance(self.value, Tensor):
            return self.value.clone()
        return list(self.value) if isinstance(self.value, list) else self.value

    def load(self, value: Any) -> None:
        """Takes over a value of the same kind."""
        if isinstance(self.value, Tensor):
            self.value.copy_(value)
        elif isinstance(self.value, list):
            self.value[:] = value
        else:
            setattr(self.owner, self.attribute, value)


class BatchState:
    """Base of the dataclasses that are the state of a batch of streams.

    A field is one of: a tensor or a list of tensors with the streams at dimension 0 or another one (`streams_at`), a
    list of one number for each stream, one number for all streams, another `BatchState` or a list of them.
    A stream at its beginning has zeros everywhere; one number for all streams may be anything.
    """

    def entries(self, path: str = "") -> Iterator[Entry]:
        """Everything that is remembered, also by the states within."""
        for item in fields(self):  # type: ignore[arg-type]  # every subclass is a dataclass
            if not item.metadata.get("fixed"):
                name, value = f"{path}{item.name}", getattr(self, item.name)
                yield from self._entries(item.name, name, value, item.metadata.get("dim", 0))

    def _entries(self, attribute: str, name: str, value: Any, dim: int) -> Iterator[Entry]:
        if isinstance(value, BatchState):
            yield from value.entries(f"{name}.")
        elif isinstance(value, list) and not (value and isinstance(value[0], int)):
            for i, element in enumerate(value):
                yield from self._entries(attribute, f"{name}.{i}", element, dim)
        else:
            yield Entry(self, attribute, name, value, dim)

    def allowed(self, attribute: str) -> range:
        """What one number for all streams may be; a state that has one knows better."""
        return range(2**63)

    def reset(self, rows: Sequence[int], mask: Tensor) -> None:
        """Starts streams anew: `rows` are their indices, mask (B,) is true there."""
        for entry in self.entries():
            entry.reset(rows, mask)

    def tensors(self) -> Iterator[tuple[str, Tensor]]:
        """Every tensor and its name; the tensors themselves."""
        for entry in self.entries():
            if isinstance(entry.value, Tensor):
                yield entry.name, entry.value

    def state_dict(self) -> dict[str, Value]:
        """Copies of everything, by name."""
        return {entry.name: entry.copied() for entry in self.entries()}

    def load_state_dict(self, values: Mapping[str, Any]) -> None:
        """Takes over what `state_dict` gave.

        Raises:
            ValueError: a value is of another kind, shape or range, by name; nothing has been changed then
        """
        entries = list(self.entries())
        for entry in entries:
            _check_like(entry, values[entry.name])
        for entry in entries:
            entry.load(values[entry.name])


def _check_like(entry: Entry, value: Any) -> None:
    """Raises a ValueError if a value does not fit in the place of an entry's."""
    if _kind(value) != _kind(entry.value):
        raise ValueError(
            f"state {entry.name!r} is {_kind(value)}, must be {_kind(entry.value)} for this model and batch_size"
        )
    if isinstance(value, Tensor) and not value.is_meta and not value.isfinite().all():
        bad = value.isfinite().logical_not().transpose(0, entry.dim).reshape(value.size(entry.dim), -1).any(1)
        raise ValueError(f"state {entry.name!r} is not finite for streams {bad.nonzero().flatten().tolist()}")
    if isinstance(value, int):
        allowed = entry.owner.allowed(entry.attribute)
        if value not in allowed:
            raise ValueError(
                f"state {entry.name!r} is {value}: must be from {allowed.start} to {allowed.stop - 1} for this model"
            )


def _kind(value: Any) -> str:
    if isinstance(value, Tensor):
        return f"a tensor of shape {tuple(value.shape)}, {value.dtype}"
    if isinstance(value, list) and all(_is_count(number) for number in value):
        return f"{len(value)} numbers >= 0"
    return "a number" if type(value) is int else f"a {type(value).__name__}"


def _is_count(number: Any) -> bool:
    return type(number) is int and 0 <= number < 2**63
