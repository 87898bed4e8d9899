# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Checks of single options: each raises a ValueError that names the option, its value and what is allowed."""

import numbers
from collections.abc import Collection, Mapping, Sequence
from difflib import get_close_matches

from nemo.utils.options import OPTIONS, Integers


def check_integer(name: str, value, minimum: int) -> int:
    """Returns `value` if it is an integer >= minimum (a bool is none)."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < minimum:
        raise ValueError(f"{name}={value!r}: must be an integer >= {minimum}")
    return int(value)


def check_number(name: str, value, low: float, high: float, above_low: bool = False) -> float:
    """Returns `value` if it is a number from low to high (both included; low left out with `above_low`)."""
    is_number = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if not is_number or not low <= value <= high or (above_low and value == low):
        lower = f"above {low}" if above_low else f"{low}"
        raise ValueError(f"{name}={value!r}: must be a number from {lower} to {high}")
    return float(value)


def check_choice(name: str, value, choices: Sequence):
    """Returns `value` if it is one of the choices."""
    if value not in choices:
        allowed = ", ".join("null" if choice is None else str(choice) for choice in choices)
        raise ValueError(f"{name}={value!r}: must be one of {allowed}")
    return value


def check_section(name: str, value) -> Mapping:
    """Returns `value` if it is a section of a config."""
    if not isinstance(value, Mapping):
        raise ValueError(f"{name}={value!r}: must be a section with options of its own")
    return value


def check_known_keys(section: str, options: Mapping, allowed: Collection[str]):
    """Raises a ValueError if `options` (a config section) has a key that is not allowed."""
    for key in options:
        if key not in allowed:
            raise ValueError(f"{section}.{key}={options[key]!r}: unknown option; allowed are {', '.join(allowed)}")


def near_miss(key: str, names: Collection[str]) -> str | None:
    """The name that `key` is a misspelling of; None if it is one of them, or a name of its own.

    A misspelling differs in a few letters (`target_normalise`), in the order of its words (`context_curriculum`), or
    lacks the last ones (`curriculum`). What has all words of a name and more (`streaming_cfg`) is another name.
    """
    words = key.split("_")
    if key in names or any(set(name.split("_")) < set(words) for name in names):
        return None
    for name in names:
        cut_short = name.startswith(f"{key}_") and 2 * len(key) >= len(name)
        if cut_short or sorted(name.split("_")) == sorted(words):
            return name
    return next(iter(get_close_matches(key, names, n=1, cutoff=0.83)), None)


def check_option(name: str, value, shown: str | None = None):
    """Returns `value` if the table of options allows it.

    Args:
        name: the option's, with its section: `model.seed`
        value: of the config, or of an argument of the same meaning
        shown: what the error calls it; None is `name`
    """
    section, _, key = name.rpartition(".")
    values, shown = OPTIONS[section][key].values, shown or name
    if isinstance(values, Integers):
        return None if value is None and values.or_null else check_integer(shown, value, values.minimum)
    return check_choice(shown, value, values)


def read_option(name: str, section: Mapping):
    """The checked value of an option in its section of a config, its default where it is left out; `check_option`."""
    path, _, key = name.rpartition(".")
    return check_option(name, section.get(key, OPTIONS[path][key].default))


def read_block(name: str, block: Mapping | None) -> dict | None:
    """The options of a block of the model's, such as `curriculum_context`, with defaults for what is left out.

    None if there is no block, or it is not enabled. A ValueError for a key that is not known; values, but `enabled`,
    are for the class that takes them to check.
    """
    if block is None:
        return None
    options = OPTIONS[f"model.{name}"]
    check_known_keys(name, check_section(name, block), options)
    values = {key: block.get(key, option.default) for key, option in options.items()}
    return values if check_option(f"model.{name}.enabled", values.pop("enabled"), f"{name}.enabled") else None
