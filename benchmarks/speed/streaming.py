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
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from benchmarks.speed import streaming_sides as sides
from benchmarks.speed.harness import argument_parser, check_sizes, record
from benchmarks.speed.timing import Times, alternating, percentiles
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


@dataclass
class Side:
    """What is measured: a step for each chunk, its outputs and its times."""

    name: str
    step: sides.Chunk
    device: torch.device
    outputs: list[torch.Tensor] = field(default_factory=list)
    times: Times = field(default_factory=Times)

    def run(self, index: int) -> None:
        """Takes the chunk with this number."""
        self.outputs.append(self.times.add(lambda: self.step(index), self.device))

    def columns(self, skip: int, chunk_ms: float) -> dict[str, str]:
        """Percentiles in ms and the real-time factor of a batch, without the first calls."""
        wall, cpu = self.times.wall[skip:], self.times.cpu[skip:]
        columns = {**percentiles(wall, "wall_"), **percentiles(cpu, "cpu_")}
        factor = np.mean(wall) / chunk_ms
        return {**{name: f"{value:.3f}" for name, value in columns.items()}, "real_time_factor": f"{factor:.4f}"}


def interleave(measured: list[Side], count: int) -> None:
    """Runs all sides chunk by chunk, in alternating order."""
    by_name = {side.name: side for side in measured}
    for index in range(count):
        for name in alternating(by_name, index + 1):
            by_name[name].run(index)


def difference(a: torch.Tensor, b: torch.Tensor) -> str:
    """The largest absolute difference over the frames that both have."""
    frames = min(a.size(2), b.size(2))
    return f"{float((a[:, :, :frames] - b[:, :, :frames]).abs().max()):.1e}"


def compare(args: Namespace, style: str, context: list[int], frames: int, streams: int) -> Iterator[dict]:
    """The rows of one context, chunk and number of streams."""
    dtype, chunk_ms = getattr(torch, args.dtype), frames * sides.FRAME_MS
    model = sides.build_model(args, style, context)
    model.encoder.to(dtype)
    audio = sides.make_audio(streams, args.seconds)
    feats = sides.features_of(model, audio, dtype)
    bounds, whole = sides.chunk_bounds(frames, feats.size(2)), sides.offline(model, feats)
    measured = [Side("session", sides.session_step(sides.new_session(model, streams), feats, bounds), args.device)]
    if sides.nemo_takes(context, frames):
        nemo = sides.nemo_step(sides.nemo_encoder(model, args, frames), feats, bounds)
        measured.append(Side("nemo", nemo, args.device))
    interleave(measured, len(bounds))
    skip = min(len(bounds) // 2, -(-context[0] // frames))
    common = dict(style=style, left=context[0], right=context[1], streams=streams, chunk_ms=chunk_ms)
    for row in compared_rows(measured, whole, skip, chunk_ms):
        yield {**common, "front_end": False, "chunks": len(bounds) - skip, **row}
    yield {**common, **front_end_row(model, audio, whole, frames, skip)}


def compared_rows(measured: list[Side], whole: torch.Tensor, skip: int, chunk_ms: float) -> Iterator[dict]:
    """The columns of each side: its times, and how far it is from the offline pass and from the other side."""
    outputs = [torch.cat(side.outputs, dim=2) for side in measured]
    both = {}
    if len(measured) > 1:
        session, nemo = (np.median(side.times.wall[skip:]) for side in measured)
        both = {"ratio_session_nemo_p50": f"{session / nemo:.3f}", "diff_session_nemo": difference(*outputs)}
    for side, output in zip(measured, outputs):
        times = side.columns(skip, chunk_ms)
        yield {"side": side.name, **times, "diff_offline": difference(output, whole), **both}


def front_end_row(model: Any, audio: torch.Tensor, whole: torch.Tensor, frames: int, skip: int) -> dict[str, Any]:
    """The columns of the session from raw audio."""
    session = sides.new_session(model, audio.size(0))
    size = frames * session.chunk_samples // session.chunk
    chunks = audio.size(1) // size
    side = Side("session", sides.audio_step(session, audio, size), model.device)
    interleave([side], chunks)
    own = {"side": "session", "front_end": True, "chunks": chunks - skip}
    output = difference(torch.cat(side.outputs, dim=2), whole)
    return {**own, **side.columns(skip, frames * sides.FRAME_MS), "diff_offline": output}


def long_stream(args: Namespace, style: str, context: list[int]) -> Iterator[dict]:
    """The first and the last minute of a long stream: time per push and memory of the state."""
    model = sides.build_model(args, style, context)
    model.encoder.to(getattr(torch, args.dtype))
    session, streams = sides.new_session(model, args.streams[0]), args.streams[0]
    chunks = 60 * session.sample_rate // session.chunk_samples
    audio = sides.make_audio(streams, chunks * session.chunk_samples / session.sample_rate)
    common = dict(style=style, left=context[0], right=context[1], streams=streams, side="session", front_end=True)
    chunk_ms = session.chunk * sides.FRAME_MS
    for minute in range(1, args.minutes + 1):
        side = Side("session", sides.audio_step(session, audio, session.chunk_samples), model.device)
        interleave([side], chunks)
        if minute in (1, args.minutes):
            row = {**common, "chunk_ms": chunk_ms, "minute": minute, "chunks": chunks}
            yield {**row, **side.columns(0, chunk_ms), "state_bytes": session.state_bytes()}


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
