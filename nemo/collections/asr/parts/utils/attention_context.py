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

"""What a streaming encoder sees: attention contexts `[left, right]` in encoder frames, -1 for unlimited."""

from typing import List, Optional


def attention_contexts(encoder) -> List[List[int]]:
    """The contexts `[left, right]` that the encoder's next forward may use; empty if it has none to tell.

    While it trains, NeMo's Conformer draws one of `att_context_size_all` for each forward.
    """
    if encoder.training and getattr(encoder, "att_context_size_all", None):
        return [list(context) for context in encoder.att_context_size_all]
    context = getattr(encoder, "att_context_size", None)
    return [] if context is None else [list(context)]


def tightest_left_context(encoder) -> Optional[int]:
    """The smallest finite left context, in encoder frames; None if every one is unlimited."""
    return min((left for left, _ in attention_contexts(encoder) if left >= 0), default=None)
