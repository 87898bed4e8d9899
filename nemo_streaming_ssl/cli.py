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
from typing import List, Optional

from nemo_streaming_ssl import NEWEST_NEMO, OLDEST_NEMO, __version__, finder
from nemo_streaming_ssl.check import add_check
from nemo_streaming_ssl.plot import add_plot


def main(argv=None) -> int:
    """Runs one command and returns its exit code."""
    parser = argparse.ArgumentParser(prog='nemo-streaming-ssl', description='Patches over NeMo for streaming SSL.')
    parser.add_argument('--version', action='version', version=__version__)
    commands = parser.add_subparsers(dest='command', required=True)
    for add in COMMANDS:
        add(commands)
    args = _parse(parser, argv)
    return args.run(args)


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
    parser.set_defaults(run=_run_status)


# One function per command: adds its parser and sets `run`, which takes the arguments and returns the exit code.
COMMANDS = [_add_status, add_check, add_plot]


def _run_status(args) -> int:
    status = read_status()
    print('\n'.join(status.lines()))
    return 0 if status.ok else 1


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

    def lines(self) -> List[str]:
        """The report, one item per line."""
        rows = [('patches', self.patches), ('overlay', str(self.overlay or 'not found')), ('NeMo', self._nemo_line())]
        if self.nemo:
            rows.append(('version', self._version_line()))
        for title, paths in (('shadowed', self.shadowed), ('new', self.new)):
            rows.append((title, str(len(paths)) + (' file' if len(paths) == 1 else ' files')))
            rows.extend(('', path.as_posix()) for path in paths)
        rows.extend(('missing', f'{self.nemo.parent / path}, shadowed but not in this NeMo') for path in self.missing)
        return [f'{title:<10}{text}' for title, text in rows]

    def _nemo_line(self) -> str:
        return str(self.nemo) if self.nemo else "not found: pip install 'nemo_toolkit[asr]'"

    def _version_line(self) -> str:
        verdict = 'supported' if is_supported(self.version) else 'NOT supported'
        return f'{self.version or "unknown"}, {verdict} ({OLDEST_NEMO} to {NEWEST_NEMO})'


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
    return version is not None and _release(OLDEST_NEMO) <= _release(version) <= _release(NEWEST_NEMO)


def _release(version: str) -> tuple:
    numbers = [int(number) for number in re.match(r'[\d.]*', version).group().split('.') if number]
    return tuple((numbers + [0, 0, 0])[:3])
