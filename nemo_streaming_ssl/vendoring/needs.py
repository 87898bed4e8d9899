# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""What a fork's NeMo has of what the patches build on: names that it lacks, and methods that it has changed."""

from collections.abc import Collection
from pathlib import Path

from nemo_streaming_ssl.missing_names import missing_names
from nemo_streaming_ssl.replaced_methods import change_lines
from nemo_streaming_ssl.vendoring.fork import nemo_version
from nemo_streaming_ssl.vendoring.plan import base_of
from nemo_streaming_ssl.vendoring.record import VendorError
from nemo_streaming_ssl.vendoring.sources import Sources


def lacking(fork: Path, sources: Sources, ours: Collection[str] = ()) -> list[str]:
    """Lines for what the fork's own modules lack. They lack it without the patches too, so this stops nothing.

    Args:
        fork: the tree
        sources: our files
        ours: paths of files of ours that are in the tree now, whose needs do not count

    Raises:
        VendorError: files of ours need what the fork lacks
    """
    shadowed = [Path(path) for path, file in sources.files.items() if base_of(path, file)]
    missing = missing_names(fork / "nemo", shadowed, sources.root / "nemo")
    of_ours = [name for name in missing if name.importer.is_relative_to(sources.root / "nemo")]
    if of_ours:
        raise VendorError("\n  ".join(["This tree lacks names that the patches build on:", *map(str, of_ours)]))
    of_fork = [name for name in missing if name.importer.relative_to(fork).as_posix() not in ours]
    title = "Modules of this tree need names that other modules of it lack, with or without the patches:"
    return [title, *(f"  {name}" for name in of_fork)] if of_fork else []


def changed(fork: Path) -> list[str]:
    """Lines for methods that the fork has changed and the patches replace or extend: some of it is lost."""
    lines = change_lines(fork / "nemo", nemo_version(fork))
    title = "This tree has changed methods that the patches replace or extend:"
    return [title, *(f"  {line}" for line in lines)] if lines else []
