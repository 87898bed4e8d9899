# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""The end of a run in three lines: where the model lies, which step it is and why that one, and what to run next."""

import os
import shlex
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Trainer

from nemo.collections.asr.parts.checkpoints.measured import MeasuredCheckpoint, measured_checkpoints
from nemo.collections.asr.parts.manifests import manifests_of
from nemo.collections.asr.parts.manifests.lines import Entry, full_path, parse_entry, read_lines
from nemo.collections.asr.parts.streaming.requirements import require_streamable
from nemo.utils import logging

KEY = "manifest_filepath"
LINES = 100  # of a manifest, in which a file is looked for


def fit_and_say(trainer: Trainer, model: Any, script: Path) -> None:
    """Trains, and says in three lines what came out, also after Ctrl-C and SIGTERM.

    Names of checkpoints get no metric that was not measured, see `MeasuredCheckpoint`.

    Args:
        trainer: Lightning's, with what NeMo's `exp_manager` adds
        model: to train
        script: streaming_inference_example.py, which is what to run next
    """
    checkpoints = measured_checkpoints(trainer)
    try:
        trainer.fit(model)
    except SystemExit:
        _say(trainer, ("Checkpoint", *_stopped(trainer, checkpoints)))
        raise
    _say(trainer, ("Model", *_ended(trainer, model, checkpoints, script)))


def _say(trainer: Trainer, what: tuple[str, str, str, str]) -> None:
    if trainer.is_global_zero:
        name, where, which, then = what
        logging.info(f"\n{name}: {where}\nStep: {which}\nNext: {then}")


def _stopped(trainer: Trainer, checkpoints: Any) -> tuple[str, str, str]:
    path = getattr(checkpoints, "last_model_path", "")
    where = path if path and os.path.exists(path) else "none was saved"
    command = shlex.join([sys.executable, *sys.argv])
    return where, f"{trainer.global_step}, where the run was stopped", f"the same command goes on there: {command}"


def _ended(trainer: Trainer, model: Any, checkpoints: Any, script: Path) -> tuple[str, str, str]:
    path = checkpoints._format_nemo_checkpoint_name() if checkpoints is not None else ""
    if not path or not os.path.exists(path):
        return "none was saved", f"{trainer.global_step}, the last one", "train with exp_manager's checkpoints"
    return path, _which(trainer, checkpoints), _next(model, path, script)


def _which(trainer: Trainer, checkpoints: Any) -> str:
    """The step of the model in the `.nemo` file, and why it is that one."""
    saved = getattr(checkpoints, "saved", None)
    if saved is None and isinstance(checkpoints, MeasuredCheckpoint):
        return f"{trainer.global_step}: nothing was left to train, the file is an earlier run's"
    if saved is None:
        return f"up to {trainer.global_step}, as {type(checkpoints).__name__} has saved it"
    metric = checkpoints.monitor
    if saved.best:
        newest = f", the newest of {saved.equals} with this value" if saved.equals > 1 else ""
        score = "" if saved.score is None else f": {saved.score:.4f}"
        older = " of the validation before" if saved.is_older else ""
        return f"{_step_of(saved.best)} of {saved.step}, the best by {metric}{older}{score}{newest}"
    if checkpoints.save_best_model:
        return f"{saved.step}, the last one: {metric} was not measured"
    best = checkpoints.best_k_models.get(checkpoints.best_model_path)
    other = "" if best is None else f"; the best by {metric}, {float(best):.4f}, is {checkpoints.best_model_path}"
    return f"{saved.step}, the last one{other}"


def _step_of(checkpoint: str) -> str:
    try:
        return str(torch.load(checkpoint, map_location="cpu", mmap=True, weights_only=False)["global_step"])
    except (OSError, RuntimeError, KeyError):  # a folder, or not on this machine
        return os.path.basename(checkpoint)


def _next(model: Any, path: str, script: Path) -> str:
    """A command that streams a file of the data through the model; or why none does."""
    try:
        require_streamable(model, None)
    except ValueError as error:
        return " ".join(str(error).split())
    options: list[str] = [] if hasattr(model, "decoding") else ["--compare-offline"]
    audio = _some_audio(model.cfg) or "AUDIO.wav"
    return shlex.join([sys.executable, os.path.abspath(script), "--model", path, *options, audio])


def _some_audio(config: Mapping) -> str | None:
    """A file of the validation data, or of the training data; None if none of them lies here."""
    for section in ("validation_ds", "train_ds"):
        data = config.get(section) or {}
        for manifest in [] if data.get("use_lhotse") else manifests_of(data.get(KEY)):
            if file := next(_files(manifest), None):
                return file
    return None


def _files(manifest: str) -> Iterator[str]:
    if not os.path.isfile(os.path.expanduser(manifest)):
        return
    for number, (line, text) in enumerate(read_lines(manifest, None)):
        entry = parse_entry(KEY, line, text)
        file = full_path(entry.files[0], manifest) if isinstance(entry, Entry) else ""
        if os.path.isfile(file):
            yield os.path.abspath(file)
        if number >= LINES:
            return
