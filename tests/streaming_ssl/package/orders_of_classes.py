# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Writes in which order Python looks for the methods of the classes that the patches replace.

    python orders_of_classes.py orders.json
"""

import importlib
import inspect
import json
import re
import sys
from pathlib import Path

import nemo.utils.shadowing as shadowing

ORIGINAL = re.compile(r"(nemo\..+)\._(\w+)_base")


def order(cls: type) -> list:
    """The classes of NeMo and of ours among its bases, and whether each is one of ours."""
    found = [base for base in inspect.getmro(cls) if base.__module__.startswith("nemo.")]
    overlay = Path(inspect.getfile(shadowing)).parents[1]  # an environment may lie beside it
    return [f"{base.__name__} {Path(inspect.getfile(base)).is_relative_to(overlay)}" for base in found]


def orders() -> dict:
    """`order` of each class in a shadowing module that has an original among its bases."""
    bases = [name for name in sys.modules if ORIGINAL.fullmatch(name)]
    modules = [sys.modules[ORIGINAL.sub(r"\1.\2", name)] for name in bases]
    classes = [cls for module in modules for cls in vars(module).values() if inspect.isclass(cls)]
    # an original that is replaced has the name of its module
    found = [cls for cls in classes if any(base.__module__ in bases for base in cls.__mro__[1:])]
    return {f"{cls.__module__}.{cls.__name__}": order(cls) for cls in found}


if __name__ == "__main__":
    importlib.import_module("nemo.collections.asr.models")
    Path(sys.argv[1]).write_text(json.dumps(orders()))
