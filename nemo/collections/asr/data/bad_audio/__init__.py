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

"""Audio that turns out to be bad when it is loaded: an error that names it, or skipped, counted and listed."""

from nemo.collections.asr.data.bad_audio.loader import checked_loader
from nemo.collections.asr.data.bad_audio.report import BadAudioError, BadAudioLog, BadAudioReport

__all__ = ["BadAudioError", "BadAudioLog", "BadAudioReport", "checked_loader"]
