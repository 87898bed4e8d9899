# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Audio that turns out to be bad when it is loaded: an error that names it, or skipped, counted and listed."""

from nemo.collections.asr.data.bad_audio.loader import checked_loader
from nemo.collections.asr.data.bad_audio.report import BadAudioError, BadAudioLog, BadAudioReport

__all__ = ["BadAudioError", "BadAudioLog", "BadAudioReport", "checked_loader"]
