# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""One step behind a microphone, on one thread: NeMo's loop, the streaming session, the exported graph in fp32 and
int8.

    python -m benchmarks.speed.live                              # rows of benchmarks/results/live.csv
    python -m benchmarks.speed.live --sizes small --streams 1    # a part of them
    python -m benchmarks.speed.live --sizes small --minutes 10   # is the last minute of a stream as fast as the first?

The encoders have random weights and the shipped context. All sides get the same features and take turns in one
process; steps before the left context is full are compared and not timed. `first_output_ms` is how long after a sound
its encoder frame is there at the latest: the piece, what the model looks ahead, and the median of computing. A new run
replaces the rows of the same settings.

With `--minutes` one stream of raw audio runs that long, in pieces of 80 ms, through each side but NeMo's loop, which
takes features only; a row is one minute of a side.
"""

import sys
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

from benchmarks.speed import streaming_sides as sides
from benchmarks.speed.harness import argument_parser, record
from benchmarks.table import RESULTS
from nemo.collections.asr.parts.streaming.export import export_streaming
from nemo_streaming_ssl.onnx_session import OnnxStreamingSession
from nemo_streaming_ssl.onnx_session.description import read_description

# d_model, heads, layers of the shipped sizes
SIZES = {"small": (176, 4, 16), "large": (512, 8, 17)}
STYLE, CONTEXT = "regular", [70, 0]
CUTS = (1, 2, 7)  # encoder frames: 80, 160 and 560 ms
MINUTE_SECONDS = 60
GRAPHS = {"onnx": "float32", "onnx int8": "int8"}
COLUMNS = """
    size streams chunk_ms side minute chunks p20_ms p50_ms p95_ms real_time_factor first_output_ms ratio_nemo_p50
    ratio_onnx_p50 diff_offline state_bytes weight_bytes d_model layers heads left device threads torch nemo
""".split()
KEYS = "size streams chunk_ms side minute device threads".split()


def graph_sessions(args: Namespace, folder: Path, streams: int) -> dict[str, OnnxStreamingSession]:
    """A session on each exported graph."""
    return {
        name: OnnxStreamingSession(folder, batch_size=streams, precision=precision, threads=args.threads)
        for name, precision in GRAPHS.items()
    }


def compare(args: Namespace, size: str, model: Any, folder: Path, streams: int, frames: int) -> Iterator[dict]:
    """The rows of one size, number of streams and chunk."""
    skip = -(-CONTEXT[0] // frames) + 1
    seconds = (skip + args.chunks + 1) * frames * sides.FRAME_MS / 1000
    feats = sides.features_of(model, sides.make_audio(streams, seconds), torch.float32)
    bounds, whole = sides.chunk_bounds(frames, feats.size(2))[: skip + args.chunks], sides.offline(model, feats)
    session, graphs = sides.new_session(model, streams), graph_sessions(args, folder, streams)
    encoder = sides.nemo_encoder(model, args, frames)
    steps = {
        "nemo": sides.nemo_step(encoder, feats, bounds),
        "session": sides.session_step(session, feats, bounds),
        **{name: sides.session_step(graph, feats.numpy(), bounds) for name, graph in graphs.items()},
    }
    measured = sides.interleaved(steps, len(bounds), args.device)
    memory = {"session": session.state_bytes(), **{name: graph.state_bytes() for name, graph in graphs.items()}}
    weights = {**dict.fromkeys(("nemo", "session"), bytes_of(encoder)), **graph_bytes(folder)}
    common = {"size": size, "streams": streams, "chunks": args.chunks}
    for side, times in zip(measured, columns(measured, skip, frames, session.lookahead_ms)):
        own = {"state_bytes": memory.get(side.name, ""), "weight_bytes": weights[side.name]}
        yield {**common, **times, **own, "diff_offline": side.difference(whole)}


def long_streams(args: Namespace, size: str, model: Any, folder: Path) -> Iterator[dict]:
    """The rows of one stream of each session, one for each minute: audio of a minute, again and again."""
    sessions: dict[str, Any] = {"session": sides.new_session(model, 1), **graph_sessions(args, folder, 1)}
    for minute, measured in sides.minutes(sessions, 1, args.minutes, MINUTE_SECONDS, args.device):
        for side, times in zip(measured, columns(measured, 0, 1, sessions["session"].lookahead_ms)):
            common = {"size": size, "streams": 1, "minute": minute, "chunks": len(side.outputs)}
            yield {**common, **times, "state_bytes": sessions[side.name].state_bytes()}


def columns(measured: list[sides.Side], skip: int, frames: int, lookahead_ms: float) -> Iterator[dict[str, Any]]:
    """The columns of each side's times, and its ratios to NeMo's loop and to the graph in float32."""
    p50 = {side.name: side.median(skip) for side in measured}
    chunk_ms = frames * sides.FRAME_MS
    for side in measured:
        values = {f"p{p}_ms": float(np.percentile(side.times.wall[skip:], p)) for p in (20, 50, 95)}
        values["first_output_ms"] = lookahead_ms + chunk_ms + p50[side.name]
        ratios = {"ratio_nemo_p50": "nemo", "ratio_onnx_p50": "onnx" if side.name.startswith("onnx") else ""}
        yield {
            "side": side.name,
            "chunk_ms": chunk_ms,
            "left": CONTEXT[0],
            **{name: f"{value:.2f}" for name, value in values.items()},
            "real_time_factor": f"{side.real_time_factor(skip, frames):.4f}",
            **{name: f"{p50[side.name] / p50[to]:.3f}" for name, to in ratios.items() if to in p50},
        }


def bytes_of(module: torch.nn.Module) -> int:
    """Memory of the parameters."""
    return sum(parameter.numel() * parameter.element_size() for parameter in module.parameters())


def graph_bytes(folder: Path) -> dict[str, int]:
    """The size of each graph."""
    description = read_description(folder)
    return {name: description.graph(precision).stat().st_size for name, precision in GRAPHS.items()}


def measurements(args: Namespace) -> Iterator[Iterator[dict]]:
    """Groups of rows; each is measured when it is its turn."""
    for size in args.sizes:
        args.d_model, args.heads, args.layers = SIZES[size]
        model = sides.build_model(args, STYLE, CONTEXT)
        with TemporaryDirectory() as folder:
            export_streaming(model, Path(folder) / "exported", int8=True)
            if args.minutes:
                yield long_streams(args, size, model, Path(folder) / "exported")
                continue
            for streams in args.streams:
                for frames in CUTS:
                    yield compare(args, size, model, Path(folder) / "exported", streams, frames)


def parse_arguments(argv: list[str] | None) -> Namespace:
    parser = argument_parser("Times one step behind a microphone.", RESULTS / "live.csv")
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=list(SIZES))
    parser.add_argument("--streams", type=int, nargs="+", default=[1, 8, 32])
    parser.add_argument("--chunks", type=int, default=30, help="steps that are timed")
    parser.add_argument("--minutes", type=int, default=0, help="one long stream of each session instead")
    parser.set_defaults(threads=1, dtype="float32")
    args = parser.parse_args(argv)
    if min(args.chunks, args.threads, *args.streams) < 1 or args.minutes < 0:
        parser.error("--chunks, --threads and --streams must be 1 or more, --minutes 0 or more")
    if args.device.type != "cpu":
        parser.error(f"--device {args.device}: the exported graph is run on a CPU")
    return args


def main(argv: list[str] | None = None) -> int:
    args = parse_arguments(argv)
    record(args, measurements(args), COLUMNS, KEYS)
    return 0


if __name__ == "__main__":
    sys.exit(main())
