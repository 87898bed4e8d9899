# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Checkpoint files that are whole or not there, and the one that a run goes on from."""

import os
import zipfile
from pathlib import Path
from typing import Any

import torch
from fsspec.implementations.local import LocalFileSystem
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO
from lightning.fabric.utilities.cloud_io import get_filesystem
from omegaconf import DictConfig, open_dict

from nemo.utils import logging
from nemo.utils.callbacks.nemo_model_checkpoint import NeMoModelCheckpoint

PART, TORN, OLD = ".part", ".torn", ".old"  # what is added to the names of files that nothing goes on from
ZIP, PICKLE = b"PK\x03\x04", b"\x80"  # how files of `torch.save` begin


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes a checkpoint beside its place and renames it when it is on the disk.

    Lightning's own writes to the folder for temporary files and moves it from there: across file systems that is a
    copy, which leaves half a checkpoint if the run is killed. What is not a local file is left to Lightning.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None) -> None:
        """Saves a checkpoint; if that fails, the file that was there is still there."""
        if storage_options is not None or not isinstance(get_filesystem(path), LocalFileSystem):
            return super().save_checkpoint(checkpoint, path, storage_options)
        place = Path(LocalFileSystem._strip_protocol(str(path)))
        place.parent.mkdir(parents=True, exist_ok=True)
        part = Path(f"{place}{PART}")
        try:
            with open(part, "wb") as file:
                torch.save(checkpoint, file)
                file.flush()
                os.fsync(file.fileno())
            os.replace(part, place)
        except BaseException:
            part.unlink(missing_ok=True)
            raise


def is_whole(file: Path) -> bool:
    """False for what cannot be a file of `torch.save`: it is missing or cut short. Reads its beginning and its end."""
    try:
        with open(file, "rb") as opened:
            start = opened.read(len(ZIP))
    except OSError:
        return False
    return zipfile.is_zipfile(file) if start == ZIP else start.startswith(PICKLE)


def recover_checkpoints(options: DictConfig | None) -> None:
    """Has NeMo's `exp_manager` go on from the last whole checkpoint, whatever a killed run has left.

    To be called before `exp_manager`, by every rank. It does nothing unless `resume_if_exists` is set.

    - A `*last.ckpt` that is cut short gets another name (`.torn`); if no other is whole, the newest checkpoint of the
      folder takes its place.
    - Of several whole ones the newest is taken; the others, which were to be deleted, get another name (`.old`).
    - A whole one that NeMo has marked as unfinished loses the mark.

    Args:
        options: those of `exp_manager`; `resume_from_checkpoint` is set where no `*last.ckpt` is left
    """
    folder = _folder(options) if options and options.get("resume_if_exists") else None
    if folder is None or not folder.is_dir():
        return
    for part in folder.glob(f"*.ckpt{PART}"):
        part.unlink(missing_ok=True)  # another rank may have been faster, here and below
    last = _newest_first(folder, "*last.ckpt")
    for file in folder.glob("*last.ckpt"):
        if file not in last and not file.is_dir():
            _set_aside(file, TORN, "is cut short: a run was killed while it was written")
    for file in last[1:]:
        _set_aside(file, OLD, f"is older than {last[0].name}, and was to be deleted")
    if last:
        NeMoModelCheckpoint.format_checkpoint_unfinished_marker_path(last[0]).unlink(missing_ok=True)
    elif list(folder.glob(f"*{TORN}")):
        _take_another(folder, options)


def _folder(options: Any) -> Path | None:
    """Where `exp_manager` looks for checkpoints; None if that is not a local folder."""
    given = (options.get("checkpoint_callback_params") or {}).get("dirpath")
    if given is None:
        version = options.get("version") or os.environ.get("NEMO_EXPM_VERSION") or ""
        given = options.get("explicit_log_dir") or os.path.join(
            options.get("exp_dir") or "nemo_experiments", options.get("name") or "default", version
        )
        given = os.path.join(given, "checkpoints")
    return None if "://" in str(given) else Path(given)


def _newest_first(folder: Path, pattern: str) -> list[Path]:
    """Whole checkpoint files; a folder, as sharded ones are, is none."""
    found = [file for file in folder.glob(pattern) if file.is_file() and is_whole(file)]
    return sorted(found, key=lambda file: file.stat().st_mtime_ns, reverse=True)


def _set_aside(file: Path, suffix: str, why: str) -> None:
    try:
        file.rename(f"{file}{suffix}")
        logging.warning(f"{file} {why}. It is now {file.name}{suffix}; delete it when you do not need it.")
    except FileNotFoundError:
        pass


def _take_another(folder: Path, options: Any) -> None:
    whole = [file for file in _newest_first(folder, "*.ckpt") if not file.stem.endswith("-EMA")]
    if not whole:
        logging.warning(f"{folder} has no checkpoint that is whole: training begins anew.")
    elif not options.get("resume_from_checkpoint"):
        logging.warning(f"The run goes on from {whole[0]}, the newest checkpoint that is whole.")
        with open_dict(options):
            options.update(resume_from_checkpoint=str(whole[0]), resume_ignore_no_checkpoint=True)
