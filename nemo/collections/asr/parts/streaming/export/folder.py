# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""An export folder: all of it is written, or nothing."""

import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from torch import nn

from nemo.collections.asr.parts.lookahead import LookaheadReport
from nemo.collections.asr.parts.streaming.encoder import StreamingEncoder
from nemo.collections.asr.parts.streaming.export.description import (
    ARRAYS_FILE,
    FORMAT,
    describe,
    feature_arrays,
)
from nemo.collections.asr.parts.streaming.export.onnx_graph import write_graph, write_quantized_graph
from nemo.collections.asr.parts.streaming.log_mel import StreamingLogMel
from nemo.collections.asr.parts.streaming.proof import prove_encoder, prove_front_end
from nemo.collections.asr.parts.streaming.requirements import (
    require_eval_mode,
    require_known_features,
    require_streamable,
)
from nemo.collections.asr.parts.streaming.step import StreamingStep
from nemo.collections.asr.parts.streaming.step.head import Ctc, find_ctc
from nemo.collections.asr.parts.streaming.without_gradients import without_gradients

DESCRIPTION_FILE = "model.json"
GRAPH_FILES = {"float32": "model.onnx", "int8": "model.int8.onnx"}


def export_streaming(
    model: nn.Module,
    folder: str | Path,
    max_context: int | None = None,
    int8: bool = False,
    replace: bool = False,
    allow_changed: Sequence[str] = (),
    verify: bool = True,
) -> dict[str, Any]:
    """Writes the streaming step of a model's encoder, and of its CTC decoder if it has one, as ONNX.

    Args:
        model: any NeMo model that a `StreamingEncoderSession` takes, in eval mode
        folder: is made; it may be there if it is empty
        max_context: left context, in encoder frames, of the layers whose own is unlimited
        int8: write a second graph with quantised weights
        replace: a folder that holds an earlier export may be replaced
    Returns:
        what `model.json` says

    Raises:
        ValueError: listing every reason why the model cannot stream; a model in train mode; a preprocessor or CTC
            decoder that cannot be exported; a folder that holds something else
    """
    check_folder(Path(folder), replace)
    exported = _prepared(model, max_context, allow_changed, verify)
    graphs = {name: file for name, file in GRAPH_FILES.items() if int8 or name == "float32"}
    description = describe(exported.step, exported.report, exported.front_end, exported.ctc, graphs)
    target = Path(folder).resolve()
    part = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        _write(part, exported.step, exported.front_end, description)
        _put(part, target)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return description


class _Exported(NamedTuple):
    """The parts of a model that are exported, and its look-ahead."""

    step: StreamingStep
    front_end: StreamingLogMel
    ctc: Ctc | None
    report: LookaheadReport


@without_gradients
def _prepared(model: Any, max_context: int | None, allow_changed: Sequence[str], verify: bool) -> _Exported:
    """Raises a ValueError for a model that cannot be exported."""
    plan = require_streamable(model, max_context, allow_changed)
    require_eval_mode(model, *model.encoder.modules())
    require_known_features(model.preprocessor)
    front_end, ctc = StreamingLogMel(model.preprocessor.featurizer), find_ctc(model)
    head, factor = None if ctc is None else ctc.head, plan.report.timing.stride
    step = StreamingStep(model.encoder, plan.contexts, factor, front_end.num_features, head)
    if verify:
        prove_front_end(model.preprocessor, front_end)
        contexts = plan.contexts, plan.report.contexts
        prove_encoder(model.encoder, StreamingEncoder(step), front_end, factor, *contexts)
    return _Exported(step, front_end, ctc, plan.report)


def check_folder(folder: Path, replace: bool) -> None:
    """Raises a ValueError for a folder that must not be written to."""
    if not folder.exists():
        if not folder.resolve().parent.is_dir():
            raise ValueError(f"{folder}: there is no folder {folder.resolve().parent}")
        return
    if not folder.is_dir():
        raise ValueError(f"{folder}: is a file, must be a folder")
    names = sorted(os.listdir(folder))
    if names and not _is_export(folder):
        raise ValueError(f"{folder}: holds something else ({', '.join(names[:3])}): must be a new or an empty folder")
    if names and not replace:
        raise ValueError(f"{folder}: holds an export; --force (replace=True) replaces it")


def _is_export(folder: Path) -> bool:
    """True for a folder that holds an export and nothing else."""
    try:
        values = json.loads((folder / DESCRIPTION_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(values, dict) and values.get("format") == FORMAT and not _strangers(folder)


def _strangers(folder: Path) -> list[str]:
    """The names in a folder that no export has."""
    own = {DESCRIPTION_FILE, ARRAYS_FILE, *GRAPH_FILES.values()}
    return [name for name in os.listdir(folder) if name not in own]


def _write(part: Path, step: StreamingStep, front_end: StreamingLogMel, description: dict[str, Any]) -> None:
    part.mkdir()
    graphs = description["graphs"]
    write_graph(step, part / graphs["float32"])
    if "int8" in graphs:
        write_quantized_graph(part / graphs["float32"], part / graphs["int8"])
    np.savez(part / ARRAYS_FILE, **feature_arrays(front_end))
    (part / DESCRIPTION_FILE).write_text(json.dumps(description, indent=1) + "\n", encoding="utf-8")


def _put(part: Path, target: Path) -> None:
    """Puts a folder in the place of another one, which is empty or an earlier export."""
    if target.exists():
        old = part.with_name(f"{part.name}.old")
        os.replace(target, old)
        try:
            os.replace(part, target)
        except OSError:
            os.replace(old, target)
            raise
        shutil.rmtree(old)
    else:
        os.replace(part, target)
