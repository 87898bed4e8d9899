# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""What a stream may be given: samples and features that are finite, and samples that are no integers by mistake.

What is not finite would stay in a stream's caches and silence the rest of it."""

from collections.abc import Sequence
from typing import Any

RAISE, ZERO = CHOICES = ("raise", "zero")
# Audio is from -1 to 1. No gain explains what is beyond this: integers of 16 bits, or of 8, that were not divided.
LOUDEST = 100.0


class FiniteInput:
    """Refuses input that is not finite, or puts silence in its place; refuses samples beyond `LOUDEST`.

    Input that comes from the host is looked at there; for input on a CUDA device each call waits for the device.

    Args:
        on_nonfinite: `raise` or `zero`
        silence: (D,) the feature frame of silence
        arrays: the functions of `tensors.py`, or the same of NumPy
    """

    def __init__(self, on_nonfinite: str, silence: Any, arrays: Any):
        if on_nonfinite not in CHOICES:
            raise ValueError(f"on_nonfinite={on_nonfinite!r}: must be one of {', '.join(CHOICES)}")
        self.on_nonfinite, self.silence, self.arrays = on_nonfinite, silence, arrays

    def samples(self, x: Any, counts: Sequence[int], before: Sequence[int]) -> tuple[Any, list[int]]:
        """Looks at the next samples of each stream.

        Args:
            x: (B, N) float32
            counts: how many of them each stream has
            before: how many samples each stream has had
        Returns:
            (B, N), zeros behind those of a stream; and how many of each stream's were replaced

        Raises:
            ValueError: a sample is not finite, with `raise`, or beyond `LOUDEST`
        """
        x, replaced = self._checked("sample", x[:, None], counts, before, 0.0, LOUDEST)
        return x[:, 0], replaced

    def features(self, x: Any, counts: Sequence[int], before: Sequence[int]) -> tuple[Any, list[int]]:
        """The same for feature frames (B, D, F); a frame with a value that is not finite is replaced as a whole."""
        silence = self.arrays.cast(self.arrays.moved(self.silence, x), x.dtype)[:, None]
        return self._checked("feature frame", x, counts, before, silence, float(self.arrays.finfo(x.dtype).max))

    def _checked(
        self, unit: str, x: Any, counts: Sequence[int], before: Sequence[int], silence: Any, most: float
    ) -> tuple[Any, list[int]]:
        if min(counts) < x.shape[2]:
            behind = self.arrays.arange(x.shape[2]) >= self.arrays.as_array(counts)[:, None]
            x = self.arrays.where(self.arrays.moved(behind, x)[:, None], 0.0, x)
        if getattr(x, "is_meta", False) or (abs(x) <= most).all():  # false for NaN too
            return x, [0] * len(counts)
        bad = ~self.arrays.isfinite(x).all(1)
        if self.on_nonfinite == RAISE and bad.any():
            found = self._first(unit, x, bad, before)
            raise ValueError(f"{found}: must be finite; with on_nonfinite='zero' silence takes its place")
        x = self.arrays.where(bad[:, None], silence, x)
        loud = (abs(x) > most).any(1)
        if loud.any():
            found = self._first(unit, x, loud, before)
            raise ValueError(f"{found}: must be from -1 to 1, at most {most:g}; divide 16-bit samples by 32768")
        return x, bad.sum(1).tolist()

    def _first(self, unit: str, x: Any, found: Any, before: Sequence[int]) -> str:
        """Says where in (B, D, F) the first one that was found, (B, F), is, what it is, and how many there are."""
        row, index = self.arrays.argwhere(found)[0].tolist()
        values, more = x[row, :, index], int(found.sum()) - 1
        where = f"{unit} {before[row] + index} of stream {row} ({index} of this piece)"
        value = float(values[abs(values).argmax()])
        return f"{where} is {value:g}" + (f", and {more} more" if more else "")
