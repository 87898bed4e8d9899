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

"""Manifests: what is checked before training starts, and which line an entry stands in."""

from nemo.collections.asr.parts.manifests.check import ON_BAD_AUDIO, check_manifests
from nemo.collections.asr.parts.manifests.description import describe_entry
from nemo.collections.asr.parts.manifests.lines import manifests_of
from nemo.collections.asr.parts.manifests.problems import MOST_BAD, too_many
from nemo.collections.asr.parts.manifests.ranks import check_on_ranks, raise_on_all_ranks
from nemo.collections.asr.parts.manifests.readers import lacking_program

__all__ = [
    "MOST_BAD",
    "ON_BAD_AUDIO",
    "check_manifests",
    "check_on_ranks",
    "describe_entry",
    "lacking_program",
    "manifests_of",
    "raise_on_all_ranks",
    "too_many",
]
