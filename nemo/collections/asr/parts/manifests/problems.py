# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""What can be wrong with lines of manifests: in words, counted, and with a hint of what to do."""

from collections import defaultdict
from typing import NamedTuple

NAMED = 3  # of each kind
# More than this share of what is read is not a few bad items: it is a mistake.
MOST_BAD = 0.05
# Kinds of problems: what is wrong, with a place for what it is about, and what to do.
KINDS = {
    "encoding": (
        "cannot be decoded: {}",
        "A manifest is text in UTF-8, without a byte order mark.",
    ),
    "json": ("not a JSON object: {}", 'A line is one object: {"audio_filepath": "a.wav", "duration": 7.4}.'),
    "no_path": ("no `audio_filepath`: {}", 'A line is one object: {"audio_filepath": "a.wav", "duration": 7.4}.'),
    "path": ("`audio_filepath` is not a path: {}", "It is text, or a list of one path for each channel."),
    "duration": (
        "`duration` is not a number of seconds: {}",
        "It is a number, at least 0; null is all of the file.",
    ),
    "offset": ("`offset` is not a number of seconds: {}", "It is a number, or null, which is 0."),
    "audio": ("cannot read {}", "Paths are absolute, or relative to the manifest's folder."),
    "channels": (
        "wrong number of channels in {}",
        "The model takes one. `channel_selector` in the data section, a number or `average`, makes one of several; "
        "it is not there for noise.",
    ),
    "reader": (
        "none of these can be read: {}",
        "Convert them, for example to FLAC or WAV, or install what reads them (ffmpeg, for NeMo before 3.0).",
    ),
    "offset_beyond": ("`offset` is beyond the end of {}", "It counts seconds from the beginning of the file."),
    "duration_beyond": (
        "`offset` and `duration` end beyond {}",
        "NeMo takes what is there; `max_duration` and buckets go by the manifest.",
    ),
}


class Problem(NamedTuple):
    """One problem: its kind, one of `KINDS`, and what it is about."""

    kind: str
    detail: str

    def __str__(self) -> str:
        return KINDS[self.kind][0].format(self.detail)


def too_many(bad: int, items: int, read: float) -> bool:
    """True if what was bad is not single items that may be left out.

    Args:
        bad: how often something was bad
        items: how many different ones it was, which are fewer where an item is read several times
        read: how often something was read, the bad ones included
    Returns:
        whether all was bad, or more than one item was, and that was more than `MOST_BAD` of what was read
    """
    return bad > 0 and (bad >= read or (items > 1 and bad > MOST_BAD * read))


class Problems:
    """The problems of one manifest, by kind; only the first few are kept, all are counted.

    Args:
        manifest: how it is named in messages, `key=path`
    """

    def __init__(self, manifest: str):
        self.manifest = manifest
        self.counts: dict[str, int] = defaultdict(int)
        self._first: dict[str, list[tuple[int, Problem]]] = defaultdict(list)

    def add(self, line: int, problem: Problem):
        """Counts a problem of a line."""
        self.counts[problem.kind] += 1
        if len(self._first[problem.kind]) < NAMED:
            self._first[problem.kind].append((line, problem))

    def messages(self) -> list[str]:
        """One text for each kind: the manifest, what is wrong, the first lines, how many more, and a hint."""
        return [self._message(kind) for kind in KINDS if self.counts[kind]]

    def _message(self, kind: str) -> str:
        hint = KINDS[kind][1]
        (line, first), *others = self._first[kind]
        named = [f"line {line}: {first}", *(f"line {line}: {other.detail}" for line, other in others)]
        more = self.counts[kind] - len(named)
        return f"{self.manifest}, {'; '.join(named)}{f' and {more} more' if more else ''}. {hint}"
