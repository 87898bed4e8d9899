# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""`channel_selector` of a data section: which values there are, and what comes out of a file's channels."""

from collections.abc import Mapping, Sequence
from typing import Any


def check_selector(config: Mapping):
    """Raises a ValueError if NeMo can select no channel by the section's `channel_selector`.

    NeMo looks at it when it reads a file. A name is one of Lhotse's: `use_lhotse` takes it.
    """
    selector = config.get("channel_selector")
    if selector is None or selector == "average" or _is_index(selector):
        return
    if not isinstance(selector, str) and isinstance(selector, Sequence) and selector and all(map(_is_index, selector)):
        return
    raise ValueError(
        f"channel_selector={selector!r}: must be null, average, the number of a channel, from 0, or a list of one "
        "number. The name of a key of the manifest's lines needs use_lhotse=true."
    )


def gives_one_channel(channel_selector: Any, channels: int) -> bool:
    """True if NeMo makes one channel of so many, by a selector that `check_selector` lets pass."""
    if channel_selector is None:
        return channels == 1
    if channel_selector == "average":
        return True
    if isinstance(channel_selector, int):
        return channel_selector == 0 if channels == 1 else -channels <= channel_selector < channels
    return channels > 1 and len(channel_selector) == 1 and -channels <= channel_selector[0] < channels


def _is_index(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
