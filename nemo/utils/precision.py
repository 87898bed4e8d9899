# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

import torch
from torch import Tensor


def at_least_float32(x: Tensor) -> torch.dtype:
    """The dtype for what must not be computed in half precision, like a sum over thousands of steps."""
    return torch.promote_types(x.dtype, torch.float32)
