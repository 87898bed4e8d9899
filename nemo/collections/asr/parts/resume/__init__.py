# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""A run that is stopped and started again is the run that was never stopped.

`ExactResume` is the callback that does it. A model for self-supervised pretraining gives it to its trainer itself
(`resume_of_config`), and has it order its training data (`resumed_loader`). A script calls `recover_checkpoints`
first.
"""

from nemo.collections.asr.parts.resume.callback import ExactResume, resume_of_config, resumed_loader
from nemo.collections.asr.parts.resume.checkpoint_files import recover_checkpoints

__all__ = ["ExactResume", "recover_checkpoints", "resume_of_config", "resumed_loader"]
