# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Time per chunk of the streaming session and of NeMo's own cache-aware loop, in one process, turn by turn.

    python -m benchmarks.speed.streaming                # rows of benchmarks/results/streaming.csv
    python -m benchmarks.speed.streaming --minutes 10   # is the last minute of a long stream as fast as the first?
    python -m benchmarks.speed.streaming --device cuda --streams 1 8 32 128

The sides are those of streaming_sides.py. Rows with `front_end=True` are the session from raw audio; NeMo's buffer
makes the features of the whole file beforehand, so NeMo has no such row. Chunks before the left context is full are
compared but not timed. A new run replaces the rows of the same settings; other rows stay.
"""

import sys
from argparse import Namespace
from collections.abc import Iterator
from typing import Any

import torch

from benchmarks.speed import streaming_sides as sides
from benchmarks.speed.harness import argument_parser, check_sizes, record
from benchmarks.speed.timing import percentiles
from benchmarks.table import RESULTS

CONTEXTS = (("regular", [40, 0]), ("chunked_limited", [70, 1]), ("chunked_limited", [70, 6]))
CUTS = (1, 2, 7)  # encoder frames: 80, 160 and 560 ms
COLUMNS = """
    style left right streams chunk_ms side front_end minute chunks wall_p20_ms wall_p50_ms wall_p80_ms cpu_p20_ms
    cpu_p50_ms cpu_p80_ms real_time_factor ratio_session_nemo_p50 diff_session_nemo diff_offline state_bytes
    d_model layers heads device dtype threads torch nemo
""".split()
# A new run replaces the rows that have the same values here.
KEYS = """
    style left right streams chunk_ms side front_end minute d_model layers heads device dtype threads
""".split()


def compare(args: Namespace, style: str, context: list[int], frames: int, streams: int) -> Iterator[dict]:
    """The rows of one context, chunk and number of streams."""
    dtype = getattr(torch, args.dtype)
    model = sides.build_model(args, style, context)
    model.encoder.to(dtype)
    audio = sides.make_audio(streams, args.seconds)
    feats = sides.features_of(model, audio, dtype)
    bounds, whole = sides.chunk_bounds(frames, feats.size(2)), sides.offline(model, feats)
    steps = {"session": sides.session_step(sides.new_session(model, streams), feats, bounds)}
    if sides.nemo_takes(context, frames):
        steps["nemo"] = sides.nemo_step(sides.nemo_encoder(model, args, frames), feats, bounds)
    session, *nemo = sides.interleaved(steps, len(bounds), args.device)
    skip, both = min(len(bounds) // 2, -(-context[0] // frames)), {}
    for other in nemo:
        both["ratio_session_nemo_p50"] = f"{session.median(skip) / other.median(skip):.3f}"
        both["diff_session_nemo"] = session.difference(other.output)
    common = {**settings(style, context, streams), "chunk_ms": frames * sides.FRAME_MS}
    for side in (session, *nemo):
        row = {"side": side.name, "front_end": False, "chunks": len(bounds) - skip, **both}
        yield {**common, **row, **columns(side, skip, frames), "diff_offline": side.difference(whole)}
    from_audio = sides.new_session(model, streams)
    size = frames * from_audio.chunk_samples // from_audio.chunk
    chunks, steps = audio.size(1) // size, {"session": sides.audio_step(from_audio, audio, size)}
    (side,) = sides.interleaved(steps, chunks, args.device)
    row = {"side": side.name, "front_end": True, "chunks": chunks - skip}
    yield {**common, **row, **columns(side, skip, frames), "diff_offline": side.difference(whole)}


def long_stream(args: Namespace, style: str, context: list[int]) -> Iterator[dict]:
    """The first and the last minute of a long stream: time per push and memory of the state."""
    model = sides.build_model(args, style, context)
    model.encoder.to(getattr(torch, args.dtype))
    session = sides.new_session(model, args.streams[0])
    common = {**settings(style, context, args.streams[0]), "chunk_ms": session.chunk * sides.FRAME_MS}
    for minute, (side,) in sides.minutes({"session": session}, args.streams[0], args.minutes, 60, args.device):
        if minute in (1, args.minutes):
            row = {"side": side.name, "front_end": True, "minute": minute, "chunks": len(side.outputs)}
            times = columns(side, 0, session.chunk)
            yield {**common, **row, **times, "state_bytes": session.state_bytes()}


def settings(style: str, context: list[int], streams: int) -> dict[str, Any]:
    """The columns that say what is measured."""
    return {"style": style, "left": context[0], "right": context[1], "streams": streams}


def columns(side: sides.Side, skip: int, frames: int) -> dict[str, str]:
    """Percentiles in ms and the real-time factor of a side, without the first chunks, of so many encoder frames."""
    times = {
        **percentiles(side.times.wall[skip:], "wall_"),
        **percentiles(side.times.cpu[skip:], "cpu_"),
    }
    factor = {"real_time_factor": f"{side.real_time_factor(skip, frames):.4f}"}
    return {**{name: f"{value:.3f}" for name, value in times.items()}, **factor}


def measurements(args: Namespace) -> Iterator[Iterator[dict]]:
    """Groups of rows; each is measured when it is its turn."""
    for style, context in CONTEXTS:
        if args.minutes:
            yield long_stream(args, style, context)
            continue
        for streams in args.streams:
            for frames in CUTS if streams == args.streams[0] else (context[1] + 1,):
                yield compare(args, style, context, frames, streams)


def parse_arguments(argv: list[str] | None) -> Namespace:
    parser = argument_parser("Times the streaming session against NeMo's own loop.", RESULTS / "streaming.csv")
    parser.add_argument(
        "--dtype", choices=["float32", "bfloat16", "float16"], default="float32", help="of the encoder"
    )
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--streams", type=int, nargs="+", default=[1, 8, 32])
    parser.add_argument("--seconds", type=float, default=20.0, help="audio per stream, at least 10")
    parser.add_argument("--minutes", type=int, default=0, help="one long stream per context instead")
    args = parser.parse_args(argv)
    check_sizes(parser, args, args.layers, *args.streams)
    if args.seconds < 10 or args.minutes < 0:
        parser.error("--seconds must be 10 or more, --minutes 0 or more")
    return args


def main(argv: list[str] | None = None) -> int:
    args = parse_arguments(argv)
    record(args, measurements(args), COLUMNS, KEYS)
    return 0


if __name__ == "__main__":
    sys.exit(main())
