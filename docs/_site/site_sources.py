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

"""Links from the reference to the code, where it is known at which address of the web that is."""

import inspect
import os
import sys
from functools import reduce
from pathlib import Path
from typing import Mapping, Optional

from site_pages import ROOT, repository_address


def linkcode_resolve(domain: str, info: Mapping[str, str]) -> Optional[str]:
    """Sphinx calls this with every object that it shows: the address of its first line, or None for no link."""
    address = repository_address(os.environ)
    return address and line_of(address, info['module'], info['fullname'])


def line_of(address: str, module: str, name: str) -> Optional[str]:
    """The address of an object's first line; None for one that is no code of this repository."""
    try:
        shown = reduce(getattr, name.split('.'), sys.modules[module])
        code = inspect.unwrap(getattr(shown, 'fget', None) or shown)
        file, (_, line) = Path(inspect.getsourcefile(code)).resolve(), inspect.getsourcelines(code)
    except (KeyError, AttributeError, TypeError, OSError):  # a field of a dataclass, a constant
        return None
    return f'{address}/{file.relative_to(ROOT).as_posix()}#L{line}' if file.is_relative_to(ROOT) else None
