# Copyright (c) 2026, the streaming-ssl authors.
#
# Licensed under the Apache License, Version 2.0 (the "License");
# you may not use this file except in compliance with the License.
# You may obtain a copy of the License at
#
#     http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS,
# WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
# See the License for the specific language governing permissions and
# limitations under the License.

"""The command line, `nemo-streaming-ssl`. No command imports NeMo or torch before it has to."""

import argparse
import ast
import os
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Dict, List, Optional

from nemo_streaming_ssl import NEWEST_NEMO, OLDEST_NEMO, TESTED_NEMO, __version__, finder
from nemo_streaming_ssl.check import add_check
from nemo_streaming_ssl.imports import failing_imports
from nemo_streaming_ssl.plot import add_plot


def main(argv=None) -> int:
    """Runs one command and returns its exit code."""
    parser = argparse.ArgumentParser(prog='nemo-streaming-ssl', description='Patches over NeMo for streaming SSL.')
    parser.add_argument('--version', action='version', version=__version__)
    commands = parser.add_subparsers(dest='command', required=True)
    for add in COMMANDS:
        add(commands)
    args = _parse(parser, argv)
    try:
        code = args.run(args)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader has gone, as in `... | head -1`. Python flushes once more at its end, so that goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return code


def _parse(parser, argv):
    """Overrides may stand before and after options; argparse by itself takes only those before."""
    args, rest = parser.parse_known_args(argv)
    if rest and ('overrides' not in args or any(word.startswith('-') for word in rest)):
        parser.error(f'unrecognized arguments: {" ".join(rest)}')
    if rest:
        args.overrides = [*args.overrides, *rest]
    return args


def _add_status(commands) -> None:
    parser = commands.add_parser('status', help='which NeMo was found, what is shadowed, what is new')
    parser.add_argument('--no-import', action='store_true', help='do not try to import the modules (takes seconds)')
    parser.set_defaults(run=_run_status)


# One function per command: adds its parser and sets `run`, which takes the arguments and returns the exit code.
COMMANDS = [_add_status, add_check, add_plot]


def _run_status(args) -> int:
    status = read_status()
    print('\n'.join(status.lines()), flush=True)
    if args.no_import or not status.can_be_imported:
        return 0 if status.ok else 1
    names = [_dotted(path) for path in [*status.shadowed, *status.new]]
    failing = failing_imports(names, str(status.overlay.parent))
    print('\n'.join(_import_lines(len(names), failing)))
    return 0 if status.ok and not failing else 1


def _dotted(path: Path) -> str:
    parts = path.with_suffix('').parts
    return '.'.join(parts[:-1] if parts[-1] == '__init__' else parts)


def _import_lines(count: int, failing: Dict[str, str]) -> List[str]:
    title = f'{count - len(failing)} of {count} shadowed and new modules can be imported'
    return _rows([('imports', title), *(('failed', f'{name}: {reason}') for name, reason in failing.items())])


def _rows(rows) -> List[str]:
    return [f'{title:<10}{text}' for title, text in rows]


@dataclass
class Status:
    """What `status` reports."""

    patches: str  # 'on' or 'off', and why
    overlay: Optional[Path]  # the folder that holds the overlay's files, `.../nemo`
    nemo: Optional[Path]  # the folder of the NeMo that was found
    version: Optional[str]  # its version
    shadowed: List[Path] = field(default_factory=list)  # relative to the overlay's parent, like all three
    new: List[Path] = field(default_factory=list)
    missing: List[Path] = field(default_factory=list)  # shadowing files without an original

    @property
    def ok(self) -> bool:
        return None not in (self.overlay, self.nemo) and is_supported(self.version) and not self.missing

    @property
    def can_be_imported(self) -> bool:
        """True if NeMo and the overlay are there and in effect, so that an import says something."""
        return None not in (self.overlay, self.nemo) and self.patches == 'on'

    def lines(self) -> List[str]:
        """The report, one item per line."""
        rows = [('patches', self.patches), ('overlay', str(self.overlay or 'not found')), ('NeMo', self._nemo_line())]
        if self.nemo:
            rows.append(('version', self._version_line()))
        for title, paths in (('shadowed', self.shadowed), ('new', self.new)):
            rows.append((title, str(len(paths)) + (' file' if len(paths) == 1 else ' files')))
            rows.extend(('', path.as_posix()) for path in paths)
        rows.extend(('missing', f'{self.nemo.parent / path}, shadowed but not in this NeMo') for path in self.missing)
        return _rows(rows)

    def _nemo_line(self) -> str:
        return str(self.nemo) if self.nemo else "not found: pip install 'nemo_toolkit[asr]'"

    def _version_line(self) -> str:
        supported = f'supported ({OLDEST_NEMO} to {NEWEST_NEMO})'
        if not is_supported(self.version):
            return f'{self.version or "unknown"}, NOT {supported}'
        if is_tested(self.version):
            return f'{self.version}, tested'
        return f'{self.version}, {supported}, not tested: tested are {", ".join(TESTED_NEMO)}'


def read_status() -> Status:
    """Looks at the installation, without importing NeMo."""
    root = finder.overlay_root()
    overlay = Path(root, 'nemo') if root else None
    nemo = _nemo_folder()
    status = Status(_patches(), overlay, nemo, _version(nemo) if nemo else None)
    for file in sorted(overlay.rglob('*.py')) if overlay else ():
        _sort_in(status, file)
    return status


def _patches() -> str:
    if finder.switched_off():
        return f'off ({finder.SWITCH}={os.environ[finder.SWITCH]})'
    if any(getattr(found, 'is_nemo_overlay', False) for found in sys.meta_path):
        return 'on'
    return 'off (not installed in this Python: pip install -e .)'


def _nemo_folder() -> Optional[Path]:
    spec = finder.find_original('nemo')
    return Path(spec.origin).parent if spec else None


def _sort_in(status: Status, file: Path) -> None:
    """Puts one overlay file under shadowed, new or missing."""
    path = file.relative_to(status.overlay.parent)
    if not imports_its_base(file):
        status.new.append(path)
    elif status.nemo and not (status.nemo.parent / path).is_file():
        status.missing.append(path)
    else:
        status.shadowed.append(path)


def imports_its_base(file: Path) -> bool:
    """True for a shadowing file: `x.py` that imports `_x_base`."""
    base = f'_{file.stem}_base'
    names = []
    for node in ast.walk(ast.parse(file.read_text(encoding='utf-8'))):
        if isinstance(node, ast.ImportFrom) and node.module:
            names.append(node.module)
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            names.extend(alias.name for alias in node.names)
    return any(name.rpartition('.')[2] == base for name in names)


def _version(nemo: Path) -> Optional[str]:
    """The version of the NeMo in a folder; of the installed distribution when the folder does not say."""
    try:
        text = (nemo / 'package_info.py').read_text(encoding='utf-8')
    except OSError:
        return _installed_version()
    # Read, not executed: NeMo 3.0.0's file asks for the installed distribution, which may be another NeMo, and git.
    values = dict(re.findall(r'^(\w+)\s*=\s*["\']?([\w.+-]*)["\']?\s*(?:#.*)?$', text, flags=re.MULTILINE))
    if {'MAJOR', 'MINOR', 'PATCH'} <= values.keys():
        return '{MAJOR}.{MINOR}.{PATCH}'.format(**values) + values.get('PRE_RELEASE', '')
    return values.get('__version__') or _installed_version()


def _installed_version() -> Optional[str]:
    # Imported here: it is slow to import and seldom needed.
    from importlib import metadata

    try:
        return metadata.version('nemo_toolkit')
    except metadata.PackageNotFoundError:
        return None


def is_supported(version: Optional[str]) -> bool:
    """True when the release is in the supported range; a release candidate counts as its release."""
    found = _release(version)
    return found is not None and _release(OLDEST_NEMO) <= found <= _release(NEWEST_NEMO)


def is_tested(version: str) -> bool:
    """True for exactly the releases that were tested; a candidate or a local version is another one."""
    # Imported here: this module is imported where NeMo, which brings it, is not.
    from packaging.version import Version

    return Version(version) in map(Version, TESTED_NEMO)


def _release(version: Optional[str]):
    """The version without what follows its numbers; None if it is none."""
    from packaging.version import InvalidVersion, Version

    try:
        return Version(Version(version or '').base_version)
    except InvalidVersion:
        return None
