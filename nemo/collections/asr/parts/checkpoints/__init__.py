# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""What a run leaves: checkpoints whose names say what was measured, and a model of which is said what it is.

A script calls `fit_and_say` in place of `trainer.fit`.
"""

from nemo.collections.asr.parts.checkpoints.measured import MeasuredCheckpoint, measured_checkpoints
from nemo.collections.asr.parts.checkpoints.outcome import fit_and_say

__all__ = ["MeasuredCheckpoint", "fit_and_say", "measured_checkpoints"]
