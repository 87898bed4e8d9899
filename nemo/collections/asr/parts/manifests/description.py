# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Names an entry whose audio could not be loaded, in the words of the check before training."""

from collections.abc import Mapping, Sequence
from typing import Any

from nemo.collections.asr.parts.manifests.audio_headers import audio_problem
from nemo.collections.asr.parts.manifests.entries import Entry, files_of, seconds_of
from nemo.collections.asr.parts.manifests.lines import place_of_entry
from nemo.collections.asr.parts.manifests.problems import KINDS
from nemo.collections.asr.parts.manifests.readers import lacking_program


def describe_entry(
    key: str,
    manifests: Sequence[str],
    position: int,
    entry: Mapping[str, Any],
    error: Exception,
    channel_selector=None,
) -> str:
    """Manifest, line, file, and why it cannot be used: as its header says, or else as `error` does.

    Args:
        key: `manifest_filepath` or `noise_manifest`
        manifests: paths that the data was read from
        position: as NeMo counts entries, from 0, over all manifests
        entry: what NeMo has read, with the path as `audio_file` or `audio_filepath`
        error: what loading it has raised
        channel_selector: as in a data section of a config
    """
    files = files_of(entry.get("audio_file", entry.get("audio_filepath"))) or ["?"]
    problem = audio_problem(
        manifests[0], Entry(0, tuple(files), seconds_of(entry.get("offset")) or 0.0, None), channel_selector
    )
    reason = f"{', '.join(files)}: {error}" if problem is None else str(problem)
    if program := lacking_program(files[0], error):
        reason = f"{', '.join(files)}: nothing reads such files here, {program} is not installed. {KINDS['reader'][1]}"
    return f"{place_of_entry(manifests, position, key)}: {reason}"
