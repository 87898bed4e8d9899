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

"""`channel_selector` of a data section: which values there are, and what comes out of a file's channels."""

from collections.abc import Sequence
from typing import Any, Mapping


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
