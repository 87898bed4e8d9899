# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Streams in a batch: every function here works on the batch's items (rows), without waiting for the device.

Where all rows agree, as they do when all streams get pieces of the same size, nothing is gathered.
"""

from collections.abc import Sequence

import torch
from torch import Tensor


def slices_from(x: Tensor, starts: Sequence[int], length: int) -> Tensor:
    """`length` steps of each row, (B, T, ...) -> (B, length, ...), from `starts[row]` on; past the end the last step
    is repeated."""
    if all(start == starts[0] for start in starts) and starts[0] + length <= x.size(1):
        return x.narrow(1, starts[0], length)
    first = torch.tensor(starts, device=x.device).unsqueeze(1)
    index = (first + torch.arange(length, device=x.device)).clamp(max=x.size(1) - 1)
    index = index.view(*index.shape, *[1] * (x.dim() - 2)).expand(-1, -1, *x.shape[2:])
    return x.gather(1, index)


def take_rows(x: Tensor, rows: Tensor | None, dim: int = 0) -> Tensor:
    """The rows (indices, (b,)) of x at dimension `dim`; all of them for None."""
    return x if rows is None else x.index_select(dim, rows)


def put_rows(x: Tensor, rows: Tensor | None, values: Tensor, dim: int = 0) -> None:
    """Writes what `take_rows` took, in place and in the type of x: under autocast the values may have another one."""
    if rows is None:
        x.copy_(values)
    else:
        x.index_copy_(dim, rows, values.to(x.dtype))


def row_index(rows: list[int], batch_size: int, device: torch.device) -> Tensor | None:
    """Indices (b,) of some rows; None if they are all rows."""
    return None if len(rows) == batch_size else torch.tensor(rows, device=device)
