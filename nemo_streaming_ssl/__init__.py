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

"""Streaming self-supervised pretraining as a patch set over NeMo.

Every Python start imports this file (through the `.pth` file), so it imports nothing.
"""

__version__ = "0.1.0"

# The releases that the patches are tested with, oldest first; constraints/ has a file for each.
TESTED_NEMO = ("2.5.3", "2.6.2", "2.7.3", "3.0.0")
# Supported is what lies between them, both ends included.
OLDEST_NEMO = TESTED_NEMO[0]
NEWEST_NEMO = TESTED_NEMO[-1]
