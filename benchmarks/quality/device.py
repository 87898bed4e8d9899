# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Where torch can compute."""


def missing(device: str) -> bool:
    """True if this machine has no such device."""
    import torch

    try:
        return not torch.zeros(1, device=device).isfinite()
    except (AssertionError, RuntimeError):
        return True
