# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""What the headers of audio files say: can a manifest's entry be read?

Headers are read by threads. On a local disk one would do, since Python itself is what takes the time (0.04 ms a file);
on a network file system each header is a wait, and the waits run side by side.
"""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial

import soundfile
from tqdm.auto import tqdm

from nemo.collections.asr.parts.manifests.channels import gives_one_channel
from nemo.collections.asr.parts.manifests.entries import Entry
from nemo.collections.asr.parts.manifests.lines import full_path, why_no_file
from nemo.collections.asr.parts.manifests.problems import Problem

THREADS = 16
FILES_A_TASK = 64
SECONDS_WITHOUT_BAR = 2
# Durations are often rounded, and headers of compressed files may be estimates.
TOLERANCE = 0.1  # s
RELATIVE_TOLERANCE = 0.01


def audio_problems(manifest: str, entries: Sequence[Entry], channel_selector=None) -> Iterator[tuple[int, Problem]]:
    """Reads the headers of entries, with a progress bar that says how long it takes, if that is more than a moment.

    Yields:
        line and problem of each entry that has one, in the entries' order
    """
    tasks = [entries[i : i + FILES_A_TASK] for i in range(0, len(entries), FILES_A_TASK)]
    title = f"Reading audio headers of {os.path.basename(manifest)}"
    bar = tqdm(total=len(entries), desc=title, unit=" files", delay=SECONDS_WITHOUT_BAR, leave=False)
    with bar, ThreadPoolExecutor(THREADS) as threads:
        try:
            for task, found in zip(tasks, threads.map(partial(_task, manifest, channel_selector), tasks)):
                bar.update(len(task))
                yield from found
        finally:
            threads.shutdown(cancel_futures=True)  # after Ctrl-C, or an error


def _task(manifest: str, channel_selector, entries: Sequence[Entry]) -> list[tuple[int, Problem]]:
    found = ((entry.line, audio_problem(manifest, entry, channel_selector)) for entry in entries)
    return [(line, problem) for line, problem in found if problem is not None]


def audio_problem(manifest: str, entry: Entry, channel_selector=None) -> Problem | None:
    """Why an entry's audio cannot be used as the entry says; None if it can, as far as headers tell.

    Args:
        manifest: what paths are relative to
        entry: what to read
        channel_selector: as in a data section of a config
    """
    several = len(entry.files) > 1
    if several and not gives_one_channel(channel_selector, len(entry.files)):
        return Problem("channels", f"{', '.join(entry.files)} ({len(entry.files)} files)")
    for file in entry.files:
        problem = _file_problem(full_path(file, manifest), entry, None if several else channel_selector)
        if problem is not None:
            return problem
    return None


def _file_problem(path: str, entry: Entry, channel_selector) -> Problem | None:
    if "://" in path:
        return None
    if why := why_no_file(path):
        return Problem("audio", f"{path} ({why})")
    if os.path.splitext(path)[1][1:].upper() not in _formats():
        return None  # NeMo may have other readers for it: see `readers.py`
    try:
        with soundfile.SoundFile(path) as audio:
            channels, seconds = audio.channels, audio.frames / audio.samplerate
    except (soundfile.SoundFileError, OSError) as error:
        return Problem("audio", f"{path} ({error})")
    if seconds == 0:
        return Problem("audio", f"{path} (it has no samples)")
    if not gives_one_channel(channel_selector, channels):
        return Problem("channels", f"{path} ({channels})")
    return _time_problem(path, entry, seconds)


def _time_problem(path: str, entry: Entry, seconds: float) -> Problem | None:
    said = f"{path} ({seconds:.2f} s), offset={entry.offset:g}"
    if entry.offset >= seconds:
        return Problem("offset_beyond", said)
    if entry.offset + (entry.duration or 0.0) > seconds + max(TOLERANCE, RELATIVE_TOLERANCE * seconds):
        return Problem("duration_beyond", f"{said}, duration={entry.duration:g}")
    return None


@cache
def _formats() -> frozenset[str]:
    return frozenset(soundfile.available_formats())
