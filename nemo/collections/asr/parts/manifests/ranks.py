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

"""The check of manifests where a model is built on many ranks: one rank reads the audio, and all of them fail alike.

When a model is built there is no process group yet. So every rank checks the manifests' lines, which NeMo reads on
each anyhow and where all find the same, and rank 0 reads the audio headers. If it raised then what it alone knows, the
others would wait for it in the start of the process group. So it keeps the error until they are all there.
"""

from typing import Mapping, Optional

from lightning.pytorch import Trainer

from nemo.collections.asr.parts.manifests.check import check_audio, check_lines
from nemo.utils.get_rank import is_global_rank_zero


def check_on_ranks(config: Mapping, on_bad_audio: Optional[str], trainer: Optional[Trainer]) -> str:
    """Checks a data section as `check_manifests` does.

    Returns:
        what to give to `raise_on_all_ranks`: empty if nothing was found, or this is not rank 0
    Raises:
        ValueError: a line of a manifest is bad, or there is one rank only and audio cannot be read
    """
    lines = check_lines(config)
    if not _is_alone(trainer) and not is_global_rank_zero():
        return ""
    try:
        check_audio(config, lines, on_bad_audio)
    except ValueError as error:
        if _is_alone(trainer):
            raise
        return f"{error}\n"
    return ""


def raise_on_all_ranks(unreadable: str, trainer: Optional[Trainer]):
    """Raises a ValueError on each rank if rank 0 has found audio that cannot be read; all ranks call it."""
    if _is_alone(trainer):
        return
    unreadable = trainer.strategy.broadcast(unreadable)
    if unreadable:
        raise ValueError(unreadable.strip())


def _is_alone(trainer: Optional[Trainer]) -> bool:
    return trainer is None or trainer.world_size == 1
