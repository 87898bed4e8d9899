# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""What travels in a batch, from the process that loads it to the one that trains on it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass
class Rider:
    """What a batch is made of, and what could not be used.

    Args:
        utterances: names of those in the batch, path or id, with the offset if there is one; None if nobody knows
        bad_utterances: manifest, line, file and reason of each utterance that was left out
        bad_noise: the same of each noise that was drawn and could not be used
        utterances_read: how many were looked at, those that were left out included; 0 if they are not checked
        noise_read: how often noise was drawn
        is_empty: whether no utterance was left
    """

    utterances: Sequence[str] | None = None
    bad_utterances: Sequence[str] = ()
    bad_noise: Sequence[str] = ()
    utterances_read: int = 0
    noise_read: int = 0
    is_empty: bool = False

    def __iter__(self) -> Iterator:
        """Nothing: Lightning looks for tensors in all that a batch has, to learn how large it is."""
        return iter(())

    def board(self, batch: Any) -> Any:
        """The batch with this rider: a list with it as last item, of a tuple; else in `sample_id`, or in a new field.

        NeMo has a field for `sample_id`, which it leaves empty, and takes no others along to another device.
        """
        if isinstance(batch, (tuple, list)):
            return [*batch, self]
        if hasattr(batch, "__dict__"):
            setattr(batch, "sample_id" if getattr(batch, "sample_id", self) is None else "rider", self)
        return batch


def rider_of(batch: Any) -> Rider:
    """The rider that travels in a batch; one that says nothing if there is none."""
    seats = (getattr(batch, "sample_id", None), getattr(batch, "rider", None))
    parts = batch if isinstance(batch, (tuple, list)) else seats
    return next((part for part in parts if isinstance(part, Rider)), Rider())
