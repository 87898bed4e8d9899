# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""The check of manifests where a model is built on many ranks: one rank reads the audio, and all of them fail alike.

When a model is built there is no process group yet. So every rank checks the manifests' lines, which NeMo reads on
each anyhow and where all find the same, and rank 0 reads the audio headers. If it raised then what it alone knows, the
others would wait for it in the start of the process group. So it keeps the error until they are all there.
"""

from collections.abc import Mapping

from lightning.pytorch import Trainer

from nemo.collections.asr.parts.manifests.check import check_audio, check_lines
from nemo.utils.get_rank import is_global_rank_zero


def check_on_ranks(config: Mapping, on_bad_audio: str | None, trainer: Trainer | None) -> str:
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


def raise_on_all_ranks(unreadable: str, trainer: Trainer | None):
    """Raises a ValueError on each rank if rank 0 has found audio that cannot be read; all ranks call it."""
    if _is_alone(trainer):
        return
    unreadable = trainer.strategy.broadcast(unreadable)
    if unreadable:
        raise ValueError(unreadable.strip())


def _is_alone(trainer: Trainer | None) -> bool:
    return trainer is None or trainer.world_size == 1
