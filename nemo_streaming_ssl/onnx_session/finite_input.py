# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""What a stream may be given: samples and features that are finite, and samples that are no integers by mistake.

What is not finite would stay in a stream's state and silence the rest of it.
"""

from collections.abc import Sequence

import numpy as np

RAISE, ZERO = CHOICES = ("raise", "zero")
# Audio is from -1 to 1. No gain explains what is beyond this: integers of 16 bits, or of 8, that were not divided.
LOUDEST = 100.0


class FiniteInput:
    """Refuses input that is not finite, or puts silence in its place; refuses samples beyond `LOUDEST`.

    Args:
        on_nonfinite: `raise` or `zero`
        silence: (D,) the feature frame of silence
    """

    def __init__(self, on_nonfinite: str, silence: np.ndarray):
        if on_nonfinite not in CHOICES:
            raise ValueError(f'on_nonfinite={on_nonfinite!r}: must be one of {", ".join(CHOICES)}')
        self.on_nonfinite, self.silence = on_nonfinite, silence

    def samples(self, x: np.ndarray, counts: Sequence[int], before: Sequence[int]) -> tuple[np.ndarray, list[int]]:
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
        x, replaced = self._checked("sample", x[:, None], counts, before, np.zeros(1, np.float32), LOUDEST)
        return x[:, 0], replaced

    def features(self, x: np.ndarray, counts: Sequence[int], before: Sequence[int]) -> tuple[np.ndarray, list[int]]:
        """The same for feature frames (B, D, F); a frame with a value that is not finite is replaced as a whole."""
        return self._checked("feature frame", x, counts, before, self.silence, float(np.finfo(np.float32).max))

    def _checked(
        self, unit: str, x: np.ndarray, counts: Sequence[int], before: Sequence[int], silence: np.ndarray, most: float
    ) -> tuple[np.ndarray, list[int]]:
        behind = np.arange(x.shape[2]) >= np.asarray(counts)[:, None]
        x = np.where(behind[:, None], np.float32(0), x)
        if (np.abs(x) <= most).all():  # false for NaN too
            return x, [0] * len(x)
        bad = ~np.isfinite(x).all(axis=1)
        if self.on_nonfinite == RAISE and bad.any():
            found = _first(unit, x, bad, before)
            raise ValueError(f"{found}: must be finite; with on_nonfinite='zero' silence takes its place")
        x = np.where(bad[:, None], silence[:, None], x)
        loud = (np.abs(x) > most).any(axis=1)
        if loud.any():
            found = _first(unit, x, loud, before)
            raise ValueError(f"{found}: must be from -1 to 1, at most {most:g}; divide 16-bit samples by 32768")
        return x, bad.sum(axis=1).tolist()


def _first(unit: str, x: np.ndarray, found: np.ndarray, before: Sequence[int]) -> str:
    """Says where in (B, D, F) the first one that was found, (B, F), is, what it is, and how many there are."""
    row, index = np.argwhere(found)[0].tolist()
    values, more = x[row, :, index], int(found.sum()) - 1
    where = f"{unit} {before[row] + index} of stream {row} ({index} of this piece)"
    value = values[np.abs(values).argmax()]
    return f"{where} is {value:g}" + (f", and {more} more" if more else "")
