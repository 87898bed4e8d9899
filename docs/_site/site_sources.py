# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Links from the reference to the code, where it is known at which address of the web that is."""

import inspect
import os
import sys
from collections.abc import Mapping
from functools import reduce
from pathlib import Path

from site_pages import ROOT, repository_address


def linkcode_resolve(domain: str, info: Mapping[str, str]) -> str | None:
    """Sphinx calls this with every object that it shows: the address of its first line, or None for no link."""
    address = repository_address(os.environ)
    return address and line_of(address, info["module"], info["fullname"])


def line_of(address: str, module: str, name: str) -> str | None:
    """The address of an object's first line; None for one that is no code of this repository."""
    try:
        shown = reduce(getattr, name.split("."), sys.modules[module])
        code = inspect.unwrap(getattr(shown, "fget", None) or shown)
        file, (_, line) = Path(inspect.getsourcefile(code)).resolve(), inspect.getsourcelines(code)
    except (KeyError, AttributeError, TypeError, OSError):  # a field of a dataclass, a constant
        return None
    return f"{address}/{file.relative_to(ROOT).as_posix()}#L{line}" if file.is_relative_to(ROOT) else None
