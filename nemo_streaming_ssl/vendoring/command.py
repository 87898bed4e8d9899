# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""The command `vendor`: what each of its options does, from the state that it finds, and lines for the user."""

import argparse
import sys
from collections.abc import Collection
from pathlib import Path

from nemo_streaming_ssl import __version__
from nemo_streaming_ssl.inputs import Subcommands
from nemo_streaming_ssl.vendoring import files, patch, writing
from nemo_streaming_ssl.vendoring.fork import ignored, nemo_version, require_clean
from nemo_streaming_ssl.vendoring.plan import (
    Sources,
    Tree,
    changed,
    installed_sources,
    lacking,
    plan,
    require_room,
)
from nemo_streaming_ssl.vendoring.record import (
    DONE,
    NAME,
    REVERTING,
    WRITING,
    Record,
    VendorError,
    read_record,
    titled,
)


def add_vendor(commands: Subcommands) -> None:
    """Adds the command to the command line."""
    parser = commands.add_parser("vendor", help="write the patch set into a fork's own tree, and take it out again")
    parser.add_argument("fork", type=Path, help="the folder that contains the nemo/ of the fork")
    action = parser.add_mutually_exclusive_group()
    action.add_argument("--dry-run", action="store_true", help="only show what would change")
    action.add_argument("--patch", type=Path, metavar="FILE", help="write it as a patch for `git apply` instead")
    action.add_argument("--verify", action="store_true", help="only say what differs from what was written; 1 if any")
    action.add_argument("--revert", action="store_true", help="take the patch set out, keep what the fork has changed")
    action.add_argument("--update", action="store_true", help="revert, and write the version at hand")
    parser.add_argument("--replace", action="store_true", help="move files of the fork aside that are in the way")
    parser.set_defaults(run=run_vendor)


def run_vendor(args: argparse.Namespace) -> int:
    """Runs the command.

    Returns:
        0 if it did what it was asked for, 1 if `--verify` found a difference, 2 if nothing was done
    """
    fork, differences = args.fork.resolve(), []
    try:
        if args.verify:
            differences = writing.differences(fork, _require_record(fork))
            lines = differences or [f"{fork}: all is as it was written"]
        elif args.dry_run or args.patch:
            lines = preview(fork, installed_sources(), args.patch, args.replace)
        else:
            files.remove_temporary(fork)
            run = update if args.update else vendor
            lines = revert(fork) if args.revert else run(fork, installed_sources(), args.replace)
    except (VendorError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    print("\n".join(lines))
    return 1 if differences else 0


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
        record = _first_record(fork, sources, replace)
        lacks = lacking(fork, sources)
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
    may_replace = None if replace else [entry.path for entry in record.entries if entry.is_aside]
    freed = [entry.moved_to or entry.path for entry in record.entries]
    added = {path: file for path, file in sources.files.items() if path not in record.hashes()}
    nemo_version(fork)
    require_room(Tree(fork, ours=freed), added, may_replace)
    lacks = lacking(fork, sources, ours=record.hashes())
    kept = writing.revert(fork, record)
    written = _write(fork, _new_record(fork, sources, may_replace), sources)
    return [*_kept_lines(kept), *written, *lacks, *changed(fork)]


def revert(fork: Path) -> list[str]:
    """Makes the tree what it was, with what the fork has changed in its own files."""
    record = _require_record(fork)
    kept = writing.revert(fork, record)
    (fork / NAME).unlink()
    return [f"{fork}: {record.name} is taken out.", *_kept_lines(kept)]


def preview(fork: Path, sources: Sources, file: Path | None, replace: bool = False) -> list[str]:
    """Writes what `vendor` would do to a tree without the patches into a file as a patch, or sums it up in lines."""
    if read_record(fork) is not None:
        raise VendorError(f"{fork}: something is vendored there already, see {NAME}; this needs a tree without")
    record = _first_record(fork, sources, replace)
    said = [*lacking(fork, sources), *changed(fork)]
    if file is None:
        summary = patch.diff(fork, record, sources.files, patch.SUMMARY)
        return [summary.decode(errors="replace").rstrip("\n"), *said]
    files.write(patch.diff(fork, record, sources.files, patch.PATCH), file, file.absolute().parent)
    text = f"{file}: written. `git apply` takes it at the root of the repository, in the tree as it is now."
    return [text, *said]


def _require_record(fork: Path) -> Record:
    record = read_record(fork)
    if record is None:
        raise VendorError(f"{fork}: nothing is vendored there, {NAME} is missing")
    return record


def _first_record(fork: Path, sources: Sources, replace: bool) -> Record:
    """What is going to be done to a tree in which nothing is vendored."""
    nemo_version(fork)
    require_clean(fork)
    return _new_record(fork, sources, None if replace else ())


def _new_record(fork: Path, sources: Sources, may_replace: Collection[str] | None) -> Record:
    version = nemo_version(fork)
    return Record(__version__, sources.commit, version, plan(fork, sources.files, may_replace))


def _write(fork: Path, record: Record, sources: Sources) -> list[str]:
    writing.write(fork, record, sources.files)
    moved = [entry for entry in record.entries if entry.moved_to]
    aside = sum(entry.is_aside for entry in moved)
    out = ignored(fork, [*record.hashes(), *(str(entry.moved_to) for entry in moved)])
    return [
        f"{fork}: {record.name}, from {sources.root}, is written into NeMo {record.nemo_version}.",
        f"{len(record.entries)} files of ours, {len(moved) - aside} of NeMo moved to _*_base.py, "
        f"{aside} of the fork moved aside: {NAME} lists them.",
        *titled("Your .gitignore keeps these out of a commit; take `git add --force`:", out),
    ]


def _kept_lines(kept: list[str]) -> list[str]:
    return titled("The fork has edited files of ours; what it made of them is kept:", kept)
