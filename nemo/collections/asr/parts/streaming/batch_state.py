# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""What is remembered of each stream of a batch: dataclasses that say where the streams are, and no more than that.

Resetting streams, copying, loading and counting bytes follow from the fields: a new one is added in one place.
An array is a tensor of torch or an array of NumPy: only what both understand is asked of it.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

FIXED = {"fixed": True}  # metadata of a field that never changes: it is neither reset nor saved
MOST = 2**62  # more than any number that is counted here


def streams_at(dim: int) -> dict[str, int]:
    """Metadata of a field with an array, or a list of arrays, whose dimension `dim` is the streams."""
    return {"dim": dim}


@dataclass(frozen=True)
class Entry:
    """One thing that is remembered.

    Args:
        owner, attribute: the dataclass and its field
        name: of the whole path to it, like `encoder.layers.0.convolution`
        value: the thing itself, not a copy: an array, a list of one number for each stream, or a number
        dim: where the streams are, in an array
    """

    owner: Any
    attribute: str
    name: str
    value: Any
    dim: int = 0

    def reset(self, rows: Sequence[int], mask: Any) -> None:
        """Zeros for some streams; a number for all streams stays."""
        if is_array(self.value):
            self.value.swapaxes(0, self.dim)[mask] = 0.0
        elif isinstance(self.value, list):
            for row in rows:
                self.value[row] = 0

    def copied(self) -> Any:
        """A copy of the value, for a state that is saved."""
        if isinstance(self.value, int):
            return self.value
        return self.value.clone() if hasattr(self.value, "clone") else self.value.copy()

    def load(self, value: Any) -> None:
        """Takes over a value of the same kind."""
        if isinstance(self.value, int):
            setattr(self.owner, self.attribute, value)
        else:
            self.value[:] = value

    def check(self, value: Any) -> None:
        """Raises a ValueError if a value does not fit in the place of this one."""
        if _kind(value) != _kind(self.value):
            raise ValueError(
                f"state {self.name!r} is {_kind(value)}, must be {_kind(self.value)} for this model and batch_size"
            )
        if is_array(value) and not getattr(value, "is_meta", False):
            finite = (abs(value) < math.inf).swapaxes(0, self.dim)  # false for NaN too
            if not finite.all():
                rows = [row for row, whole in enumerate(finite.reshape(len(finite), -1).all(1).tolist()) if not whole]
                raise ValueError(f"state {self.name!r} is not finite for streams {rows}")
        if isinstance(value, int) and value not in (allowed := self.owner.allowed(self.attribute)):
            raise ValueError(
                f"state {self.name!r} is {value}: must be from {allowed.start} to {allowed.stop - 1} for this model"
            )


class BatchState:
    """Base of the dataclasses that are the state of a batch of streams.

    A field is one of: an array or a list of arrays with the streams at dimension 0 or another one (`streams_at`), a
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
        return range(MOST)

    def reset(self, rows: Sequence[int], mask: Any) -> None:
        """Starts streams anew: `rows` are their indices, mask (B,) is true there."""
        for entry in self.entries():
            entry.reset(rows, mask)

    def tensors(self) -> Iterator[tuple[str, Any]]:
        """Every tensor or array, and its name; the things themselves."""
        for entry in self.entries():
            if is_array(entry.value):
                yield entry.name, entry.value

    def state_dict(self) -> dict[str, Any]:
        """Copies of everything, by name."""
        return {entry.name: entry.copied() for entry in self.entries()}

    def load_state_dict(self, values: Mapping[str, Any]) -> None:
        """Takes over what `state_dict` gave.

        Raises:
            ValueError: a value is of another kind, shape or range, by name; nothing has been changed then
        """
        entries = list(self.entries())
        for entry in entries:
            entry.check(values[entry.name])
        for entry in entries:
            entry.load(values[entry.name])


def is_array(value: Any) -> bool:
    """Whether this is a tensor or an array."""
    return hasattr(value, "dtype")


def _kind(value: Any) -> str:
    if is_array(value):
        return f"{'a tensor' if hasattr(value, 'clone') else 'an array'} of shape {tuple(value.shape)}, {value.dtype}"
    if isinstance(value, list) and all(type(number) is int and 0 <= number < MOST for number in value):
        return f"{len(value)} numbers >= 0"
    return "a number" if type(value) is int else f"a {type(value).__name__}"
