# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""The class that a section of a config names with `_target_`."""

import inspect
from typing import Any

from hydra.utils import get_object

from nemo.core.classes import common


def class_of_target(option: str, path: Any) -> type:
    """Imports a class; only what the installed NeMo would import is imported.

    Args:
        option: the option's name, for errors
        path: the class's dotted path
    Raises:
        ValueError: it is none, or not allowed, cannot be imported or is no class
    """
    if not isinstance(path, str):
        raise ValueError(f"{option}={path!r}: must be the dotted path of a class")
    allowed = tuple(getattr(common, "ALLOWED_TARGET_PREFIXES", ("",)))
    if not path.startswith(allowed):
        raise ValueError(f"{option}={path}: this NeMo takes only targets in {', '.join(allowed)}")
    try:
        found = inspect.unwrap(get_object(path))  # NeMo wraps classes that it calls experimental
    except Exception as error:  # whatever a module raises while it is imported
        raise ValueError(f"{option}={path}: cannot be imported: {error}") from error
    if not isinstance(found, type):
        raise ValueError(f"{option}={path}: must be a class, not {type(found).__name__}")
    return found
