# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Options of a command line as one object, checked before anything is made."""

import argparse
from collections.abc import Sequence
from typing import Any


def options_of(kind: Any, flags: argparse.ArgumentParser, arguments: Sequence[str] | None) -> Any:
    """An object of `kind` with the values of the flags; exits with status 2 and a message if they cannot be."""
    values = vars(flags.parse_args(arguments))
    try:
        return kind(**{key: tuple(value) if isinstance(value, list) else value for key, value in values.items()})
    except ValueError as error:
        flags.error(str(error))


def require(fine: bool, name: str, value: Any, allowed: str) -> None:
    """Raises a ValueError that names an option, unless it is fine."""
    if not fine:
        raise ValueError(f"{name}={value}: must be {allowed}")


def require_device(device: str, *kinds: str) -> None:
    """Raises a ValueError unless it is a device of one of these kinds."""
    allowed = f"{', '.join(kinds[:-1])} or {kinds[-1]}, with an index if there are several"
    require(device.partition(":")[0] in kinds, "device", device, allowed)
