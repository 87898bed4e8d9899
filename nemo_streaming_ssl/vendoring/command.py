# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""The command line of `vendor`."""

import argparse
import sys
from pathlib import Path

from nemo_streaming_ssl.inputs import Subcommands
from nemo_streaming_ssl.vendoring import files, patch, runs
from nemo_streaming_ssl.vendoring.record import VendorError
from nemo_streaming_ssl.vendoring.sources import installed_sources


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
    try:
        return _run(args, args.fork.resolve())
    except (VendorError, OSError) as error:
        print(error, file=sys.stderr)
        return 2


def _run(args: argparse.Namespace, fork: Path) -> int:
    if args.verify:
        found = runs.verify(fork)
        print("\n".join(found or [f"{fork}: all is as it was written"]))
        return 1 if found else 0
    if args.dry_run or args.patch:
        _preview(args, fork)
        return 0
    files.remove_temporary(fork)
    if args.revert:
        print("\n".join(runs.revert(fork)))
    else:
        run = runs.update if args.update else runs.vendor
        print("\n".join(run(fork, installed_sources(), args.replace)))
    return 0


def _preview(args: argparse.Namespace, fork: Path) -> None:
    form = patch.PATCH if args.patch else patch.SUMMARY
    output, said = runs.preview(fork, installed_sources(), form, args.replace)
    if args.patch:
        files.write(output, args.patch, args.patch.absolute().parent)
        print(f"{args.patch}: written. `git apply` takes it at the root of the repository, in the tree as it is now.")
    else:
        print(output.decode(errors="replace"), end="")
    print(*said, sep="\n", end="\n" if said else "")
