# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Steps whose loss or gradients are not finite: found on all ranks alike, then an error, or left out and counted."""

from nemo.collections.asr.parts.nonfinite.callback import (
    ON_NONFINITE,
    NonfiniteSteps,
    check_on_nonfinite,
    nonfinite_of_config,
    skips_scheduler,
    step_was_skipped,
)

__all__ = [
    "ON_NONFINITE",
    "NonfiniteSteps",
    "check_on_nonfinite",
    "nonfinite_of_config",
    "skips_scheduler",
    "step_was_skipped",
]
