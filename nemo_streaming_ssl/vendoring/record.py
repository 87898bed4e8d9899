# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""The file `streaming_ssl_vendor.toml` in a fork: what was written there, and whether that is finished."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from nemo_streaming_ssl.vendoring import files

NAME = "streaming_ssl_vendor.toml"
FORMAT = 1
HEADER = "# Written by `nemo-streaming-ssl vendor`, which needs it to verify, update and revert. Commit it.\n"
# A run that is killed leaves the first or the last.
WRITING, DONE, REVERTING = "writing", "done", "reverting"
# The names that a fork's own files get.
REPLACED, EDITED = ".replaced", ".edited"


class VendorError(Exception):
    """Why nothing was done; the message is for the user."""


def titled(title: str, lines: Iterable[str]) -> list[str]:
    """A title with lines below it; nothing where there are none."""
    below = [f"  {line}" for line in lines]
    return [title, *below] if below else []


def refuse(title: str, lines: Iterable[str]) -> None:
    """Raises a VendorError of a title and lines below it, if there are any."""
    if said := titled(title, lines):
        raise VendorError("\n".join(said))


@dataclass(frozen=True)
class Entry:
    """A file of ours in a fork. Paths are relative to the fork's tree, hashes are SHA-256 of what was written."""

    path: str
    sha256: str
    moved_to: str | None = None  # where the fork's own file of that path went
    moved_sha256: str | None = None

    @property
    def is_aside(self) -> bool:
        """True if that file was only in the way; any other that was moved is one that ours builds on."""
        return self.moved_to is not None and REPLACED in self.moved_to.rpartition("/")[2]


@dataclass(frozen=True)
class Record:
    """What was vendored into a fork."""

    version: str  # of ours
    commit: str  # of ours
    nemo_version: str
    entries: tuple[Entry, ...]
    state: str = DONE

    @property
    def name(self) -> str:
        """What is vendored, for messages."""
        commit, dirty, _ = self.commit.partition("-dirty")
        return f"nemo-streaming-ssl {self.version}, commit {commit[:12]}{dirty}"

    def hashes(self) -> dict[str, str]:
        """Path -> SHA-256 of our files."""
        return {entry.path: entry.sha256 for entry in self.entries}

    def modules(self, fork: Path) -> list[Path]:
        """Our Python modules in a fork's `nemo/`."""
        paths = sorted(path for path in self.hashes() if path.startswith("nemo/") and path.endswith(".py"))
        return [fork / path for path in paths]

    def save(self, fork: Path, state: str) -> None:
        """Writes the record with another state."""
        files.write(replace(self, state=state).text().encode(), fork / NAME, fork)

    def text(self) -> str:
        """The record as TOML."""
        head = {"format": FORMAT, "state": self.state, "version": self.version, "commit": self.commit}
        lines = [HEADER, *_lines({**head, "nemo_version": self.nemo_version})]
        for entry in self.entries:
            lines += ["\n[[file]]\n", *_lines(asdict(entry))]
        return "".join(lines)


def _lines(values: dict[str, Any]) -> Iterator[str]:
    # JSON's strings are TOML's, if no character is written as two `\u`
    return (f"{key} = {json.dumps(value, ensure_ascii=False)}\n" for key, value in values.items() if value is not None)


def read_record(fork: Path) -> Record | None:
    """The record of a fork, or None where nothing was vendored.

    Raises:
        VendorError: the file cannot be read, or is of a later version of ours
    """
    file = fork / NAME
    if not file.is_file():
        return None
    try:
        import tomllib
    except ModuleNotFoundError:  # Python 3.10
        import tomli as tomllib  # type: ignore[no-redef]
    try:
        values = tomllib.loads(file.read_text(encoding="utf-8"))
        format_ = values.pop("format")
        if format_ != FORMAT:
            raise VendorError(f"{file}: format {format_}, this version of nemo-streaming-ssl reads format {FORMAT}")
        return Record(entries=tuple(Entry(**entry) for entry in values.pop("file", ())), **values)
    except (KeyError, TypeError, ValueError) as error:
        raise VendorError(f"{file}: cannot be read ({error}); git has the version that was written") from error
