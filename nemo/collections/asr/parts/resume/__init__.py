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

"""A run that is stopped and started again is the run that was never stopped.

`ExactResume` is the callback that does it. A model for self-supervised pretraining gives it to its trainer itself
(`resume_of_config`), and has it order its training data (`resumed_loader`). A script calls `recover_checkpoints`
first.
"""

from nemo.collections.asr.parts.resume.callback import ExactResume, resume_of_config, resumed_loader, stoppable_loader
from nemo.collections.asr.parts.resume.checkpoint_files import recover_checkpoints
from nemo.collections.asr.parts.resume.stop_signals import deafen_workers

__all__ = [
    "ExactResume",
    "deafen_workers",
    "recover_checkpoints",
    "resume_of_config",
    "resumed_loader",
    "stoppable_loader",
]
