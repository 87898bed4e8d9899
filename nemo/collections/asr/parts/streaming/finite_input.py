# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""What a stream may be given: samples and features that are finite, and samples that are no integers by mistake.

What is not finite would stay in a stream's caches and silence the rest of it."""

from collections.abc import Sequence

import torch
from torch import Tensor

from nemo.utils.option_checks import check_choice

RAISE, ZERO = CHOICES = ("raise", "zero")
# Audio is from -1 to 1. No gain explains what is beyond this: integers of 16 bits, or of 8, that were not divided.
LOUDEST = 100.0


class FiniteInput:
    """Refuses input that is not finite, or puts silence in its place; refuses samples beyond `LOUDEST`.

    Input that comes from the host is looked at there; for input on a CUDA device each call waits for the device.

    Args:
        on_nonfinite: `raise` or `zero`
        silence: (D,) the feature frame of silence
    """

    def __init__(self, on_nonfinite: str, silence: Tensor):
        self.on_nonfinite = check_choice("on_nonfinite", on_nonfinite, CHOICES)
        self.silence = silence

    def samples(self, x: Tensor, counts: Sequence[int], before: Sequence[int]) -> tuple[Tensor, list[int]]:
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
        x, replaced = self._checked("sample", x.unsqueeze(1), counts, before, x.new_zeros(1), LOUDEST)
        return x.squeeze(1), replaced

    def features(self, x: Tensor, counts: Sequence[int], before: Sequence[int]) -> tuple[Tensor, list[int]]:
        """The same for feature frames (B, D, F); a frame with a value that is not finite is replaced as a whole."""
        silence = self.silence.to(x.device, x.dtype)
        return self._checked("feature frame", x, counts, before, silence, torch.finfo(x.dtype).max)

    def _checked(
        self, unit: str, x: Tensor, counts: Sequence[int], before: Sequence[int], silence: Tensor, most: float
    ) -> tuple[Tensor, list[int]]:
        x = _without_padding(x, counts)
        if x.is_meta or bool((x.abs() <= most).all()):  # false for NaN too
            return x, [0] * x.size(0)
        bad = x.isfinite().all(dim=1).logical_not()
        if self.on_nonfinite == RAISE and bad.any():
            found = _first(unit, x, bad, before)
            raise ValueError(f"{found}: must be finite; with on_nonfinite='zero' silence takes its place")
        x = torch.where(bad.unsqueeze(1), silence.view(1, -1, 1), x)
        loud = (x.abs() > most).any(dim=1)
        if loud.any():
            found = _first(unit, x, loud, before)
            raise ValueError(f"{found}: must be from -1 to 1, at most {most:g}; divide 16-bit samples by 32768")
        return x, bad.sum(dim=1).tolist()


def _without_padding(x: Tensor, counts: Sequence[int]) -> Tensor:
    """Zeros behind the first `counts[row]` of (B, D, F)."""
    if min(counts) == x.size(2):
        return x
    behind = torch.arange(x.size(2), device=x.device) >= torch.tensor(counts, device=x.device).unsqueeze(1)
    return x.masked_fill(behind.unsqueeze(1), 0.0)


def _first(unit: str, x: Tensor, found: Tensor, before: Sequence[int]) -> str:
    """Says where in (B, D, F) the first one that was found, (B, F), is, what it is, and how many there are."""
    row, index = found.nonzero()[0].tolist()
    values, more = x[row, :, index], int(found.sum()) - 1
    where = f"{unit} {before[row] + index} of stream {row} ({index} of this piece)"
    value = values[values.abs().argmax()].item()
    return f"{where} is {value:g}" + (f", and {more} more" if more else "")
