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

"""Numbers of the look-ahead report in words."""

import math


def frames_text(count: float) -> str:
    """A number of encoder frames."""
    return f"{count} encoder frame{'' if count == 1 else 's'}"


def layers_text(first: int, last: int) -> str:
    """A range of layers."""
    return str(first) if first == last else f"{first}-{last}"


def number_text(ms: float) -> str:
    """Milliseconds without a unit, and without zeros that say nothing."""
    return "unlimited" if ms == math.inf else f"{ms:.2f}".rstrip("0").rstrip(".")


def ms_text(ms: float) -> str:
    """Milliseconds with their unit."""
    return "unlimited" if ms == math.inf else f"{number_text(ms)} ms"
