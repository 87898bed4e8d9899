# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""The texts of manifests: that they are there, which characters they have, and the words for a tokenizer."""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from nemo.collections.asr.parts.manifests import manifests_of
from nemo.collections.asr.parts.manifests.lines import (
    encoding_of,
    how_to_decode,
    read_lines,
    undecodable_line,
    why_no_file,
)

KEY = "manifest_filepath"
NAMED = 3  # lines of a manifest without a text


@dataclass
class Transcripts:
    """What is known of a data section's texts.

    Args:
        manifests: those that can be read here
        complete: whether these are all of the section's data
        key: that an entry has its text under; Lhotse's `text_field`
        characters: of all texts
        texts: how many of them are not empty
    """

    manifests: list[str]
    complete: bool
    key: str = "text"
    characters: set[str] = field(default_factory=set)
    texts: int = 0

    def __iter__(self) -> Iterator[str]:
        """The texts that are not empty, read anew."""
        for manifest in self.manifests:
            for _, text in _texts(manifest, self.key):
                if text:
                    yield text

    @property
    def labels(self) -> list[str]:
        """The characters, sorted; of white space the blank alone, because NeMo drops what is no label."""
        return sorted(character for character in self.characters if character == " " or not character.isspace())


def read_transcripts(name: str, config: Mapping) -> Transcripts:
    """Reads the texts of a data section, where they lie in plain manifests: not remote, not in shards.

    Args:
        name: of the section, for errors
        config: the section, `manifest_filepath` in it

    Raises:
        ValueError: a manifest is not there, a line has no text, or all texts are empty; names manifest and lines.
    """
    paths = list(manifests_of(_without_weights(config.get(KEY))))
    local = [path for path in paths if "://" not in path and "_OP_" not in path and "{" not in path]
    complete = bool(paths) and len(local) == len(paths) and not config.get("input_cfg")
    found = Transcripts(local, complete, config.get("text_field") or "text")
    lacking: dict[str, list[int]] = {}
    for manifest in local:
        for number, text in _texts(manifest, found.key):
            if text is None:
                lacking.setdefault(manifest, []).append(number)
            elif text:
                found.texts += 1
                found.characters.update(text)
    _check(name, found, lacking)
    return found


def _check(name: str, found: Transcripts, lacking: Mapping[str, list[int]]) -> None:
    messages = []
    for manifest, numbers in lacking.items():
        first = ", ".join(map(str, numbers[:NAMED])) + (" ..." if len(numbers) > NAMED else "")
        messages.append(f"model.{name}.{KEY}={manifest}: {len(numbers)} lines have no `{found.key}`: {first}")
    if found.complete and not found.texts and not messages:
        messages.append(
            f"model.{name}.{KEY}={','.join(found.manifests)}: all texts are empty; they must be transcripts"
        )
    if messages:
        raise ValueError("\n".join(messages))


def _without_weights(value: Any) -> Any:
    """Lhotse takes pairs of a manifest and its weight."""
    if isinstance(value, str) or not isinstance(value, Sequence):
        return value
    return [_without_weights(item) for item in value if not isinstance(item, (int, float))]


def _texts(manifest: str, key: str) -> Iterator[tuple[int, str | None]]:
    """Line number and text of each entry, as NeMo finds it; None where there is none."""
    if why := why_no_file(os.path.expanduser(manifest)):
        raise ValueError(f"{KEY}={manifest}: {why}")
    try:
        for number, line in read_lines(manifest, encoding_of(KEY)):
            try:
                entry = json.loads(line)
            except ValueError as error:
                raise ValueError(f"{KEY}={manifest}, line {number}: not a JSON object ({error})") from error
            yield number, _text_of(entry, key) if isinstance(entry, dict) else None
    except UnicodeDecodeError as error:
        where, what = undecodable_line(manifest, error), how_to_decode(manifest, error)
        raise ValueError(f"{KEY}={manifest}, line {where}: cannot be decoded: {what}") from error


def _text_of(entry: Mapping, key: str) -> str | None:
    if key not in entry and "text_filepath" in entry:
        with open(entry["text_filepath"]) as file:
            return file.read().replace("\n", "")
    text = entry.get(key, entry.get("normalized_text"))
    return text if isinstance(text, str) else None
