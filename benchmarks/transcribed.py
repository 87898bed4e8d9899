# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""What a recogniser's own `transcribe` makes of audio, the same whatever else is in the batch."""

from collections.abc import Sequence
from typing import Any

import numpy as np


def transcribed(model: Any, audio: Sequence[np.ndarray]) -> list[str]:
    """The text of each utterance, samples (N,)."""
    config = model.get_transcribe_config()
    config.verbose, config.batch_size = False, 16
    config.pad_min_duration = 0.0  # newer NeMos make a second of what is shorter
    found = model.transcribe(list(audio), override_config=config)
    model.eval()  # NeMo leaves parts of it in train mode
    return [hypothesis.text for hypothesis in (found[0] if isinstance(found, tuple) else found)]
