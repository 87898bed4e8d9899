# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Numbers of the look-ahead report in words."""

import math


def frames_text(count: float) -> str:
    """A number of encoder frames."""
    return f"{count} encoder frame{'' if count == 1 else 's'}"


def layers_text(first: int, last: int) -> str:
    """A range of layers."""
    return str(first) if first == last else f"{first}-{last}"


def number_text(ms: float) -> str:
    """Milliseconds without a unit, and without zeros that say nothing."""
    return "unlimited" if ms == math.inf else f"{ms:.2f}".rstrip("0").rstrip(".")


def ms_text(ms: float) -> str:
    """Milliseconds with their unit."""
    return "unlimited" if ms == math.inf else f"{number_text(ms)} ms"
