# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""The one wrapper of NeMo's data loaders: batches that say what they are made of, without bad audio, in a fixed order.

`wrapped_loader` is for a loader that NeMo has just made, `ordered_loader` for one that is about to be trained on. What
a batch says travels in it as a `Rider`.
"""

from nemo.collections.asr.data.loading.bad_audio_log import BadAudioError, BadAudioLog, CountBadAudio
from nemo.collections.asr.data.loading.loader import ordered_loader, wrap_loaders, wrapped_loader
from nemo.collections.asr.data.loading.rider import Rider, rider_of

__all__ = [
    "BadAudioError",
    "BadAudioLog",
    "CountBadAudio",
    "Rider",
    "ordered_loader",
    "rider_of",
    "wrap_loaders",
    "wrapped_loader",
]
