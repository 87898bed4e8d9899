# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""`nemo-streaming-ssl export`: the streaming step of a model as an ONNX graph, which needs neither torch nor NeMo."""

import argparse
import logging
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from nemo_streaming_ssl.inputs import InputError, Subcommands, require_file

NEEDED = ("onnx", "onnxruntime")


def add_export(commands: Subcommands) -> None:
    """Adds the command to the command line."""
    parser = commands.add_parser("export", help="the streaming step of a model as an ONNX graph")
    parser.add_argument("model", type=Path, help="a .nemo file")
    parser.add_argument("folder", type=Path, help="is made, and holds nothing else")
    parser.add_argument(
        "--max-context",
        type=int,
        metavar="FRAMES",
        help="left context, in encoder frames, of layers whose own is unlimited",
    )
    parser.add_argument("--int8", action="store_true", help="a second graph, with weights in int8")
    parser.add_argument("--force", action="store_true", help="replace an earlier export")
    parser.set_defaults(run=run_export)


def run_export(args: argparse.Namespace) -> int:
    """Writes the folder and says what it holds.

    Returns:
        0, or 2 if the model cannot be read or cannot stream, or the folder cannot be written
    """
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        print(f'export needs {" and ".join(missing)}: pip install {" ".join(missing)}', file=sys.stderr)
        return 2
    try:
        description = _export(args)
    except (InputError, ValueError, OSError) as error:  # each line of a ValueError is a reason
        print(error, file=sys.stderr)
        return 2
    for line in summary(args.folder, description):
        print(line)
    return 0


def _export(args: argparse.Namespace) -> dict[str, Any]:
    require_file(args.model)

    from nemo.collections.asr.parts.streaming.export import check_folder, export_streaming

    check_folder(args.folder, args.force)
    model = _restored(args.model)
    logging.getLogger().setLevel(logging.ERROR)  # what onnxruntime's quantisation advises
    return export_streaming(model, args.folder, args.max_context, args.int8, args.force)


def _restored(path: Path) -> Any:
    """The model of a .nemo file, in eval mode."""
    from nemo.core import ModelPT
    from nemo.utils import logging as nemo_logging

    try:
        with nemo_logging.temp_verbosity(nemo_logging.ERROR):
            return ModelPT.restore_from(str(path), map_location="cpu").eval()
    except Exception as error:  # tarfile, OmegaConf and the model's constructor have no common type
        raise InputError(str(path), error) from error


def summary(folder: Path, description: dict[str, Any]) -> list[str]:
    """What an export folder holds, in lines."""
    encoder, classes = description["encoder"], description["classes"]
    lefts = encoder["left_contexts_encoder_frames"]
    reach = f"{min(lefts)}" if min(lefts) == max(lefts) else f"{min(lefts)} to {max(lefts)}"
    return [
        f'{folder}: {", ".join(description["graphs"].values())}',
        f'encoder: {encoder["layers"]} layers, {encoder["attention_style"]}, up to {reach} frames of '
        f'{encoder["encoder_frame_ms"]:g} ms of left context, look-ahead {encoder["lookahead_ms"]:g} ms',
        (
            "log-probabilities: none (no CTC decoder)"
            if classes is None
            else f'log-probabilities: {classes["count"]} classes'
        ),
    ]
