# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""`nemo-streaming-ssl status`: which NeMo was found, what is shadowed, what is new, and whether it can be imported."""

import argparse
import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from nemo_streaming_ssl import NEWEST_NEMO, OLDEST_NEMO, TESTED_NEMO, finder
from nemo_streaming_ssl.imports import failing_imports
from nemo_streaming_ssl.inputs import Subcommands
from nemo_streaming_ssl.missing_names import MissingName, missing_names
from nemo_streaming_ssl.nemo_tree import (
    dotted_name,
    imports_its_base,
    is_supported,
    is_tested,
    modules_with_base,
    version_in,
)
from nemo_streaming_ssl.replaced_methods import change_lines
from nemo_streaming_ssl.vendoring.record import DONE, NAME, VendorError, read_record


def add_status(commands: Subcommands) -> None:
    """Adds the command to the command line."""
    parser = commands.add_parser("status", help="which NeMo was found, what is shadowed, what is new")
    parser.add_argument("--no-import", action="store_true", help="do not try to import the modules (takes seconds)")
    parser.set_defaults(run=_run_status)


def _run_status(args: argparse.Namespace) -> int:
    status = read_status()
    print("\n".join(status.lines()), flush=True)
    if args.no_import or not status.can_be_imported or status.overlay is None:
        return 0 if status.ok else 1
    names = [dotted_name(path) for path in [*status.shadowed, *status.new]]
    failing = failing_imports(names, str(status.overlay.parent))
    rows = [("imports", f"{len(names) - len(failing)} of {len(names)} shadowed and new modules can be imported")]
    by_reason: dict[str, list[str]] = {}  # a file that is no Python fails every module that needs it
    for name, reason in failing.items():
        by_reason.setdefault(reason, []).append(name)
    for reason, (first, *others) in by_reason.items():
        rows.append(("failed", f"{first} and {len(others)} more: {reason}" if others else f"{first}: {reason}"))
    print("\n".join(_rows(rows)))
    return 0 if status.ok and not failing else 1


def _rows(rows: Iterable[tuple[str, str]]) -> list[str]:
    return [f"{title:<10}{text}" for title, text in rows]


@dataclass
class Status:
    """What `status` reports."""

    patches: str  # 'on', 'off' or 'vendored', and why
    overlay: Path | None  # the folder that holds the overlay's files, `.../nemo`
    nemo: Path | None  # the folder of the NeMo that was found
    version: str | None  # its version
    shadowed: list[Path] = field(default_factory=list)  # relative to the overlay's parent, like all three
    new: list[Path] = field(default_factory=list)
    missing: list[Path] = field(default_factory=list)  # originals of shadowing files that are not there
    lacking: list[MissingName] = field(default_factory=list)  # names that the NeMo needs of shadowed modules and lacks
    broken: dict[Path, str] = field(default_factory=dict)  # files that are no Python, and why
    changed: list[str] = field(default_factory=list)  # lines on methods that a fork changed and the patches replace

    @property
    def ok(self) -> bool:
        """True if NeMo and the overlay are there, go together, and nothing in them is missing or broken."""
        is_complete = None not in (self.overlay, self.nemo) and not self.missing and not self.lacking
        return is_complete and not self.broken and is_supported(self.version)

    @property
    def can_be_imported(self) -> bool:
        """True if NeMo and the overlay are there and in effect, so that an import says something."""
        return None not in (self.overlay, self.nemo) and self.patches.startswith(("on", "vendored"))

    def lines(self) -> list[str]:
        """The report, one item per line."""
        found = self.nemo or "not found: pip install 'nemo_toolkit[asr]'"
        rows = [("patches", self.patches), ("overlay", str(self.overlay or "not found")), ("NeMo", str(found))]
        if self.nemo:
            rows.append(("version", self._version_line()))
        for title, paths in (("shadowed", self.shadowed), ("new", self.new)):
            rows.append((title, str(len(paths)) + (" file" if len(paths) == 1 else " files")))
            rows.extend(("", path.as_posix()) for path in paths)
        rows.extend(("missing", f"{original}, shadowed but not in this NeMo") for original in self.missing)
        rows.extend(("missing", str(name)) for name in self.lacking)
        rows.extend(("broken", f"{path.as_posix()}: {reason}") for path, reason in self.broken.items())
        rows.extend(("changed", line) for line in self.changed)
        return _rows(rows)

    def _version_line(self) -> str:
        supported = f"supported ({OLDEST_NEMO} to {NEWEST_NEMO})"
        if not is_supported(self.version):
            return f'{self.version or "unknown"}, NOT {supported}'
        if self.version and is_tested(self.version):
            return f"{self.version}, tested"
        return f'{self.version}, {supported}, not tested: tested are {", ".join(TESTED_NEMO)}'


def read_status() -> Status:
    """Looks at the installation, without importing NeMo."""
    nemo, root = _nemo_folder(), finder.overlay_root()
    version = version_in(nemo) if nemo else None
    if nemo and finder.is_vendored(str(nemo)):
        status = Status("vendored", overlay=nemo, nemo=nemo, version=version)
        files = _read_vendored(status, nemo)
    else:
        status = Status(_patches(), Path(root, "nemo") if root else None, nemo, version)
        files = sorted(status.overlay.rglob("*.py")) if status.overlay else []
    for file in files:
        _sort_in(status, file)
    if status.nemo and status.overlay:
        status.lacking = missing_names(status.nemo, status.shadowed, status.overlay)
        status.changed = change_lines(status.nemo, status.version)
    return status


def _read_vendored(status: Status, nemo: Path) -> list[Path]:
    """The modules of ours in a vendored NeMo. Says what they are; what is installed beside them is not in use."""
    try:
        record = read_record(nemo.parent)
    except VendorError as error:
        record, status.broken[Path(NAME)] = None, str(error)
    if record is None:  # installed from a vendored tree, whose record is beside `nemo/`
        return modules_with_base(nemo)
    status.patches = f"vendored ({record.name}, into NeMo {record.nemo_version})"
    if record.state != DONE:
        status.broken[Path(NAME)] = f"{record.state} was interrupted; run `vendor` again, or with --revert"
    return record.modules(nemo.parent)


def _patches() -> str:
    if finder.switched_off():
        return f"off ({finder.SWITCH}={os.environ[finder.SWITCH]})"
    if any(getattr(found, "is_nemo_overlay", False) for found in sys.meta_path):
        return "on"
    return "off (not installed in this Python: pip install -e .)"


def _nemo_folder() -> Path | None:
    spec = finder.find_original("nemo")
    return Path(spec.origin).parent if spec and spec.origin else None


def _sort_in(status: Status, file: Path) -> None:
    """Puts one overlay file under shadowed, new, missing or broken."""
    path = file.relative_to(status.overlay.parent) if status.overlay else file
    try:
        is_shadowing = imports_its_base(file)
    except SyntaxError as error:
        status.broken[path] = f"line {error.lineno}: {error.msg}"
        return
    except ValueError as error:  # no text, or null bytes in it
        status.broken[path] = str(error)
        return
    if not is_shadowing:
        status.new.append(path)
    elif status.nemo and not (status.nemo.parent / path).is_file():
        status.missing.append(status.nemo.parent / path)
    else:
        status.shadowed.append(path)
