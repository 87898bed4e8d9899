# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""What a run is going to write into a fork, what is in its way, and what the fork lacks or has changed of it."""

from collections.abc import Collection, Iterator
from pathlib import Path

from nemo_streaming_ssl.finder import SUPPORTED, overlay_root
from nemo_streaming_ssl.missing_names import missing_names
from nemo_streaming_ssl.nemo_tree import base_path, imports_its_base
from nemo_streaming_ssl.replaced_methods import change_lines
from nemo_streaming_ssl.vendoring.contents import commit_of, vendored_files
from nemo_streaming_ssl.vendoring.files import sha256, unused
from nemo_streaming_ssl.vendoring.fork import nemo_version
from nemo_streaming_ssl.vendoring.record import REPLACED, Entry, Record, VendorError, refuse, titled

DOOR = "/__init__.py"


class Sources:
    """
    Our files, and which ones they are.

    Args:
        root: the folder that contains the overlay's `nemo/`
    """

    def __init__(self, root: Path):
        self.root = root
        self.files = vendored_files(root)
        self.commit = commit_of(root)

    def are_those_of(self, record: Record) -> bool:
        """True if a record tells of the same files."""
        return record.hashes() == {path: sha256(file) for path, file in self.files.items()}


def installed_sources() -> Sources:
    """The sources that belong to this package.

    Raises:
        VendorError: they are not where the package is
    """
    root = overlay_root()
    if root is None:
        raise VendorError("The files of the patch set are not beside this package; install it again.")
    return Sources(Path(root))


class Tree:
    """
    A fork without what is vendored there.

    Args:
        folder: the tree
        ours: paths of files of ours, which do not count
    """

    def __init__(self, folder: Path, ours: Collection[str] = ()):
        self.folder, self.ours = folder, ours

    def has(self, path: str) -> bool:
        """True if the fork has something of that path."""
        return path not in self.ours and (self.folder / path).exists()

    def has_file(self, path: str) -> bool:
        """True if that is a file, and no link."""
        return self.has(path) and (self.folder / path).is_file() and not (self.folder / path).is_symlink()


def plan(fork: Path, sources: dict[str, Path], replace: Collection[str] | None = ()) -> tuple[Entry, ...]:
    """What is going to be written; nothing is changed.

    Args:
        fork: the tree, in which nothing is vendored
        sources: path in the fork -> our file
        replace: paths of the fork's own files that may be moved aside; None: all

    Raises:
        VendorError: originals are missing, or files of the fork are in the way; it names all of them
    """
    require_room(Tree(fork), sources, replace)
    return tuple(_entry(fork, path, source) for path, source in sources.items())


def require_room(tree: Tree, sources: dict[str, Path], replace: Collection[str] | None = ()) -> None:
    """Raises the VendorError of `plan`."""
    missing: list[str] = []
    in_the_way: list[str] = []
    for path, source in sources.items():
        base = base_of(path, source)
        if base and not tree.has(path):
            missing.append(f"{path}: is not there ({SUPPORTED})")
        else:
            in_the_way += _obstacles(tree, path, base, replace)
    refuse("This tree lacks files that the patches build on:", missing)
    refuse("Files of this tree are in the way:", in_the_way)


def base_of(path: str, source: Path) -> str | None:
    """Where the fork's file of that path goes, if it is one that we build on."""
    is_ours = path.startswith("nemo/") and path.endswith(".py") and imports_its_base(source)
    return base_path(Path(path)).as_posix() if is_ours else None


def _entry(fork: Path, path: str, source: Path) -> Entry:
    moved_to, own = base_of(path, source), sha256(fork / path)
    if own is not None and moved_to is None:
        moved_to = unused(fork / (path + REPLACED)).relative_to(fork).as_posix()
    return Entry(path, str(sha256(source)), moved_to, own)


def _obstacles(tree: Tree, path: str, base: str | None, replace: Collection[str] | None) -> Iterator[str]:
    """A line for each thing in the way of one of our files."""
    if base and tree.has(base):
        yield f"{base}: patches were written here by hand; take them out first"
    if tree.has(path) and not tree.has_file(path):
        yield f"{path}: is a link or a folder"
    elif not base and tree.has(path) and replace is not None and path not in replace:
        yield f"{path}: --replace moves it to {path}{REPLACED}, and --revert brings it back"
    for folder in list(Path(path).parents)[:-1]:
        if tree.has_file(folder.as_posix()):
            yield f"{folder.as_posix()}: is a file, {path} needs a folder"
    same = path[: -len(DOOR)] + ".py" if path.endswith(DOOR) else path[: -len(".py")] + DOOR
    if path.startswith("nemo/") and path.endswith(".py") and tree.has(same):
        yield f"{same}: has the same module name as our {path}, and Python takes one of the two"


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
    refuse("This tree lacks names that the patches build on:", map(str, of_ours))
    of_fork = [name for name in missing if name.importer.relative_to(fork).as_posix() not in ours]
    title = "Modules of this tree need names that other modules of it lack, with or without the patches:"
    return titled(title, map(str, of_fork))


def changed(fork: Path) -> list[str]:
    """Lines for methods that the fork has changed and the patches replace or extend: some of it is lost."""
    title = "This tree has changed methods that the patches replace or extend:"
    return titled(title, change_lines(fork / "nemo", nemo_version(fork)))
