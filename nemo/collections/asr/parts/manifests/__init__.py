# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Manifests: what is checked before training starts, and which line an entry stands in."""

from nemo.collections.asr.parts.manifests.audio import describe_entry, lacking_program
from nemo.collections.asr.parts.manifests.check import (
    ON_BAD_AUDIO,
    check_manifests,
    check_on_ranks,
    raise_on_all_ranks,
)
from nemo.collections.asr.parts.manifests.lines import manifests_of
from nemo.collections.asr.parts.manifests.problems import MOST_BAD, too_many

__all__ = [
    "MOST_BAD",
    "ON_BAD_AUDIO",
    "check_manifests",
    "check_on_ranks",
    "describe_entry",
    "lacking_program",
    "manifests_of",
    "raise_on_all_ranks",
    "too_many",
]
