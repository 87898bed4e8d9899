# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""The arguments of the class that a section of a config is built with, through all of its parents."""

import inspect
from typing import Any

REQUIRED = inspect.Parameter.empty  # the default of an argument that has none


def constructor_defaults(cls: type) -> dict[str, Any]:
    """Names and defaults of the arguments of a class, with those of its parents that it hands on by `**kwargs`."""
    found: dict[str, Any] = {}
    for parent in cls.__mro__:
        if "__init__" not in vars(parent):
            continue
        parameters = list(inspect.signature(vars(parent)["__init__"]).parameters.values())[1:]  # not self
        for parameter in parameters:
            if parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
                found.setdefault(parameter.name, parameter.default)
        if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
            break
    return found
