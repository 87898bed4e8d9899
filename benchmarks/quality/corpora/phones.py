# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Labels of an utterance: one letter for each phone of its words, or the characters of its text."""

import string
from pathlib import Path

from benchmarks.quality.manifests import Entry

LETTERS = string.ascii_uppercase + string.ascii_lowercase
NAMED = 10  # words that an error names at most


class Phones:
    """A pronouncing lexicon.

    Args:
        path: lines of a word and its phones; of several lines with one word the first counts. Stress digits are
            dropped.

    Raises:
        ValueError: a line without phones, or more phones than there are letters
    """

    unit = "phones"

    def __init__(self, path: Path):
        self.words: dict[str, list[str]] = {}
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
            word, *phones = line.split() or [""]
            if word and not phones:
                raise ValueError(f"{path}, line {number}: {word} has no phones")
            if word:
                self.words.setdefault(word.upper(), [phone.rstrip("0123456789") for phone in phones])
        names = sorted({phone for phones in self.words.values() for phone in phones})
        if not 0 < len(names) <= len(LETTERS):
            raise ValueError(f"{path}: has {len(names)} phones, must have from 1 to {len(LETTERS)}")
        self.letters = dict(zip(names, LETTERS))

    def labels(self, entries: list[Entry]) -> list[str]:
        """The alphabet."""
        return list(self.letters.values())

    def spelled(self, text: str) -> str:
        """The letters of a text's phones."""
        return "".join(self.letters[phone] for word in text.upper().split() for phone in self.words[word])

    def check(self, entries: list[Entry]) -> None:
        """Raises a ValueError that names words which the lexicon lacks, and an utterance of each."""
        lacking: dict[str, str] = {}
        for entry in entries:
            for word in entry["text"].upper().split():
                if word not in self.words:
                    lacking.setdefault(word, Path(entry["audio_filepath"]).name)
        if lacking:
            named = ", ".join(f"{word} ({where})" for word, where in list(lacking.items())[:NAMED])
            raise ValueError(f"lexicon: lacks {len(lacking)} words: {named}")


class Characters:
    """Texts as they are."""

    unit = "characters"

    def labels(self, entries: list[Entry]) -> list[str]:
        """The characters that occur."""
        return sorted({character for entry in entries for character in entry["text"]})

    def spelled(self, text: str) -> str:
        """The text."""
        return text

    def check(self, entries: list[Entry]) -> None:
        """Accepts everything."""
