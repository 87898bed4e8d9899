# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""What each option of `vendor` does, from the state that it finds; in the end, lines for the user."""

from collections import Counter
from collections.abc import Collection
from pathlib import Path

from nemo_streaming_ssl import __version__
from nemo_streaming_ssl.vendoring import patch, writing
from nemo_streaming_ssl.vendoring.fork import ignored, nemo_version, require_clean
from nemo_streaming_ssl.vendoring.needs import changed, lacking
from nemo_streaming_ssl.vendoring.plan import REPLACED, Tree, plan, require_room
from nemo_streaming_ssl.vendoring.record import DONE, NAME, REVERTING, WRITING, Record, VendorError, read_record
from nemo_streaming_ssl.vendoring.sources import Sources


def vendor(fork: Path, sources: Sources, replace: bool = False) -> list[str]:
    """Writes the patch set into a fork, or finishes a run that was interrupted.

    Args:
        fork: the tree
        sources: our files
        replace: whether files of the fork that are in the way are moved aside

    Raises:
        VendorError: why nothing was done
    """
    record = read_record(fork)
    if record is None:
        _require_clean_nemo(fork)
        record, lacks = _new_record(fork, sources, None if replace else ()), lacking(fork, sources)
        return [*_write(fork, record, sources), *lacks, *changed(fork)]
    if record.state == REVERTING:
        return update(fork, sources, replace)
    if not sources.are_those_of(record):
        what = "was interrupted there: --revert undoes it" if record.state == WRITING else "is there: take --update"
        raise VendorError(f"{fork}: {record.name} {what}")
    if record.state == WRITING:
        return ["Finishing a run that was interrupted.", *_write(fork, record, sources)]
    return [f"{fork}: {record.name} is there already; nothing to do."]


def update(fork: Path, sources: Sources, replace: bool = False) -> list[str]:
    """Reverts, and writes the version at hand. The arguments are those of `vendor`."""
    record = _require_record(fork)
    if record.state == DONE:
        require_clean(fork)
        if sources.are_those_of(record) and not writing.differences(fork, record):
            return [f"{fork}: {record.name} is there already; nothing to do."]
    may_replace = None if replace else _replaced(record)
    nemo_version(fork)
    require_room(Tree(fork, ours=_of_ours(record)), _only_new(sources, record), may_replace)
    lacks = lacking(fork, sources, ours=record.hashes())
    kept = writing.revert(fork, record)
    written = _write(fork, _new_record(fork, sources, may_replace), sources)
    return [*_kept_lines(kept), *written, *lacks, *changed(fork)]


def revert(fork: Path) -> list[str]:
    """Makes the tree what it was, with what the fork has changed in its own files."""
    record = _require_record(fork)
    kept = writing.revert(fork, record)
    writing.forget(fork)
    return [f"{fork}: {record.name} is taken out.", *_kept_lines(kept)]


def verify(fork: Path) -> list[str]:
    """What differs from what was written, a line each."""
    return writing.differences(fork, _require_record(fork))


def preview(fork: Path, sources: Sources, form: tuple[str, ...], replace: bool = False) -> tuple[bytes, list[str]]:
    """What `vendor` would do to a tree without the patches, in one of the forms of `patch`, and what it would say."""
    if read_record(fork) is not None:
        raise VendorError(f"{fork}: something is vendored there already, see {NAME}; this needs a tree without")
    _require_clean_nemo(fork)
    said = [*lacking(fork, sources), *changed(fork)]
    return patch.diff(fork, _new_record(fork, sources, None if replace else ()), sources.files, form), said


def _require_clean_nemo(fork: Path) -> None:
    nemo_version(fork)
    require_clean(fork)


def _require_record(fork: Path) -> Record:
    record = read_record(fork)
    if record is None:
        raise VendorError(f"{fork}: nothing is vendored there, {NAME} is missing")
    return record


def _new_record(fork: Path, sources: Sources, may_replace: Collection[str] | None) -> Record:
    version = nemo_version(fork)
    return Record(__version__, sources.commit, version, plan(fork, sources.files, may_replace))


def _write(fork: Path, record: Record, sources: Sources) -> list[str]:
    writing.write(fork, record, sources.files)
    moved = Counter("aside" if _is_aside(entry.moved_to) else "base" for entry in record.entries if entry.moved_to)
    lines = [
        f"{fork}: {record.name}, from {sources.root}, is written into NeMo {record.nemo_version}.",
        f'{len(record.entries)} files of ours, {moved["base"]} of NeMo moved to _*_base.py, '
        f'{moved["aside"]} of the fork moved aside: {NAME} lists them.',
    ]
    if out := ignored(fork, [*record.hashes(), *(entry.moved_to for entry in record.entries if entry.moved_to)]):
        lines += [
            "Your .gitignore keeps these out of a commit; take `git add --force`:",
            *(f"  {path}" for path in out),
        ]
    return lines


def _is_aside(moved_to: str | None) -> bool:
    return moved_to is not None and REPLACED in moved_to.rpartition("/")[2]


def _replaced(record: Record) -> list[str]:
    """Paths of the fork's files that were moved aside."""
    return [entry.path for entry in record.entries if _is_aside(entry.moved_to)]


def _of_ours(record: Record) -> list[str]:
    """Paths that a revert frees."""
    alone = [entry.path for entry in record.entries if not entry.moved_to]
    return alone + [entry.moved_to for entry in record.entries if entry.moved_to]


def _only_new(sources: Sources, record: Record) -> dict:
    """Our files that a record does not know."""
    return {path: file for path, file in sources.files.items() if path not in record.hashes()}


def _kept_lines(kept: list[str]) -> list[str]:
    title = "The fork has edited files of ours; what it made of them is kept:"
    return [title, *(f"  {line}" for line in kept)] if kept else []
