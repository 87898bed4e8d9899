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

"""Time per chunk of the streaming session and of NeMo's own cache-aware loop, in one process, turn by turn.

    python -m benchmarks.speed.streaming                     # rows into benchmarks/results/streaming.csv
    python -m benchmarks.speed.streaming --minutes 10        # is the last minute of a long stream as fast as the first?
    python -m benchmarks.speed.streaming --device cuda --streams 1 8 32 128

Both sides have the same weights and get the same features, chunk by chunk. NeMo's side is the installed NeMo's own
`ConformerEncoder` with `cache_aware_stream_step`, fed as NeMo's `CacheAwareStreamingAudioBuffer` feeds it. Rows
`front_end=True` are the session from raw audio; NeMo's buffer makes the features of the whole file beforehand, so it
has no such row. Chunks before the left context is full are not timed, all are compared.
"""

import argparse
import csv
import platform
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Dict, Iterator, List, Optional

import numpy as np
import torch
from omegaconf import OmegaConf

import nemo
from nemo.collections.asr.models.ssl_models import EncDecMaskedTokenPredModel
from nemo.collections.asr.modules import _conformer_encoder_base
from nemo.collections.asr.parts.streaming import StreamingEncoderSession
from nemo.utils import logging

ROOT = Path(__file__).resolve().parents[2]
CONFIG = ROOT / "examples/asr/conf/ssl/nest/nest_fast-conformer_streaming.yaml"
RESULTS = ROOT / "benchmarks/results/streaming.csv"
FRAME_MS = 80
CONTEXTS = (("regular", [40, 0]), ("chunked_limited", [70, 1]), ("chunked_limited", [70, 6]))
CUTS = (1, 2, 7)  # encoder frames: 80, 160 and 560 ms
PERCENTILES = (20, 50, 80)


@dataclass
class Times:
    """Wall and CPU time of each call, in seconds."""

    wall: List[float]
    cpu: List[float]

    def columns(self, skip: int, chunk_ms: float) -> Dict[str, str]:
        """Percentiles in ms and the real-time factor of a batch, without the first calls."""
        wall, cpu = (1000.0 * np.percentile(times[skip:], PERCENTILES) for times in (self.wall, self.cpu))
        columns = {f"wall_p{p}_ms": f"{value:.3f}" for p, value in zip(PERCENTILES, wall)}
        columns.update({f"cpu_p{p}_ms": f"{value:.3f}" for p, value in zip(PERCENTILES, cpu)})
        return {**columns, "real_time_factor": f"{1000.0 * np.mean(self.wall[skip:]) / chunk_ms:.4f}"}


class Side:
    """One of the two that are compared: a step function, its outputs and its times."""

    def __init__(self, name: str, step: Callable[[int], torch.Tensor], device: torch.device):
        self.name, self.step, self.device = name, step, device
        self.outputs, self.times = [], Times([], [])

    def run(self, index: int):
        """One step, timed from an idle device to an idle device."""
        self._wait()
        wall, cpu = time.perf_counter(), time.process_time()
        output = self.step(index)
        self._wait()
        self.times.wall.append(time.perf_counter() - wall)
        self.times.cpu.append(time.process_time() - cpu)
        self.outputs.append(output)

    def _wait(self):
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


def build_model(args, style: str, context: List[int]) -> EncDecMaskedTokenPredModel:
    """The shipped streaming model in the size of the benchmark, with random weights."""
    torch.manual_seed(0)
    cfg = OmegaConf.load(CONFIG).model
    cfg.train_ds = cfg.validation_ds = None
    cfg.num_classes = 64  # the decoder and the quantizer are not run
    cfg.encoder.update(d_model=args.d_model, n_layers=args.layers, n_heads=args.heads)
    cfg.encoder.update(att_context_size=context, att_context_style=style)
    return EncDecMaskedTokenPredModel(cfg=cfg).eval().to(args.device)


def nemo_encoder(model, args, frames: int):
    """The installed NeMo's own encoder with the model's weights, set up for chunks of `frames` encoder frames."""
    ours = ("_target_", "hierarchical_context", "banded_attention")
    settings = {key: value for key, value in model.cfg.encoder.items() if key not in ours}
    encoder = _conformer_encoder_base.ConformerEncoder(**settings)
    encoder.load_state_dict(model.encoder.state_dict())
    if frames == encoder.att_context_size[1] + 1:
        encoder.setup_streaming_params()
    else:
        encoder.setup_streaming_params(chunk_size=frames, shift_size=frames)
    return encoder.eval().to(args.device, getattr(torch, args.dtype))


def nemo_takes(context: List[int], frames: int) -> bool:
    """Whether NeMo's loop can be given chunks of so many frames without changing what the model sees."""
    return frames == context[1] + 1 or context[1] == 0


def nemo_step(encoder, feats: torch.Tensor, bounds: List[int]) -> Callable[[int], torch.Tensor]:
    """NeMo's loop over features (B, D, F); chunk i ends at feature frame `bounds[i]`."""
    history = encoder.streaming_cfg.pre_encode_cache_size[1]
    dropped = encoder.streaming_cfg.drop_extra_pre_encoded
    cache = encoder.get_initial_cache_state(batch_size=feats.size(0), dtype=feats.dtype, device=feats.device)

    def step(index: int) -> torch.Tensor:
        nonlocal cache
        begin = bounds[index - 1] if index else 0
        chunk = feats[:, :, max(0, begin - history) if index else 0 : bounds[index]]
        missing = max(0, history - begin) if index else 0  # NeMo's buffer fills it up with zeros
        if missing:
            chunk = torch.nn.functional.pad(chunk, (missing, 0))
        lengths = torch.full((chunk.size(0),), chunk.size(2), device=chunk.device)
        with torch.inference_mode():
            encoded, encoded_len, *cache = encoder.cache_aware_stream_step(
                chunk, lengths, *cache, keep_all_outputs=False, drop_extra_pre_encoded=dropped if index else 0
            )
        return encoded

    return step


def session_step(session, feats: torch.Tensor, bounds: List[int]) -> Callable[[int], torch.Tensor]:
    """The session from features (B, D, F): what `push` does behind its front end."""

    def step(index: int) -> torch.Tensor:
        begin = bounds[index - 1] if index else 0
        chunk = feats[:, :, begin : bounds[index]].transpose(1, 2)
        with torch.inference_mode():
            return session._output(chunk, [chunk.size(1)] * chunk.size(0)).features

    return step


def audio_step(session, audio: torch.Tensor, size: int) -> Callable[[int], torch.Tensor]:
    """The session from audio (B, N) in pieces of `size` samples."""
    return lambda index: session.push(audio[:, index * size : (index + 1) * size]).features


def make_audio(args, streams: int, seconds: float) -> torch.Tensor:
    """Noise on the CPU, where audio comes from."""
    generator = torch.Generator().manual_seed(0)
    return 0.1 * torch.randn(streams, int(16000 * seconds), generator=generator)


def offline(model, feats: torch.Tensor) -> torch.Tensor:
    """The model's own forward of all features."""
    lengths = torch.full((feats.size(0),), feats.size(2), device=feats.device)
    with torch.inference_mode():
        return model.encoder(audio_signal=feats, length=lengths)[0]


def features(model, audio: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """The features (B, D, F) of whole audio."""
    audio = audio.to(model.device)
    lengths = torch.full((audio.size(0),), audio.size(1), device=audio.device)
    with torch.inference_mode():
        feats, count = model.preprocessor(input_signal=audio, length=lengths)
    return feats[:, :, : int(count[0])].to(dtype)


def difference(a: torch.Tensor, b: torch.Tensor) -> str:
    """The largest absolute difference over the frames that both have."""
    frames = min(a.size(2), b.size(2))
    return f"{float((a[:, :, :frames] - b[:, :, :frames]).abs().max()):.1e}"


def interleave(sides: List[Side], count: int):
    """Runs all sides chunk by chunk, in alternating order."""
    for index in range(count):
        for side in sides if index % 2 else sides[::-1]:
            side.run(index)


def chunk_bounds(frames: int, available: int) -> List[int]:
    """Where chunks of `frames` encoder frames end, in feature frames: NeMo's first chunk has 7 fewer, then `frames`
    come out of every chunk."""
    return list(range(1 + 8 * (frames - 1), available + 1, 8 * frames))


def compare(args, style: str, context: List[int], frames: int, streams: int) -> Iterator[dict]:
    """The rows of one context, chunk and number of streams."""
    model = build_model(args, style, context)
    model.encoder.to(getattr(torch, args.dtype))
    audio = make_audio(args, streams, args.seconds)
    feats = features(model, audio, getattr(torch, args.dtype))
    bounds, whole = chunk_bounds(frames, feats.size(2)), offline(model, feats)
    sides = [Side("session", session_step(new_session(model, streams), feats, bounds), model.device)]
    if nemo_takes(context, frames):
        sides.append(Side("nemo", nemo_step(nemo_encoder(model, args, frames), feats, bounds), model.device))
    interleave(sides, len(bounds))
    made = [torch.cat(side.outputs, dim=2) for side in sides]
    skip = min(len(bounds) // 2, -(-context[0] // frames))
    ratio = np.median(sides[0].times.wall[skip:]) / np.median(sides[-1].times.wall[skip:])
    common = dict(style=style, left=context[0], right=context[1], streams=streams, chunk_ms=frames * FRAME_MS)
    for side, out in zip(sides, made):
        row = {
            **common,
            "side": side.name,
            "front_end": False,
            "chunks": len(bounds) - skip,
            **side.times.columns(skip, frames * FRAME_MS),
        }
        row["diff_offline"] = difference(out, whole)
        if len(sides) > 1:
            row.update(ratio_session_nemo_p50=f"{ratio:.3f}", diff_session_nemo=difference(*made))
        yield row
    yield {**common, **front_end_row(model, audio, whole, frames, skip)}


def front_end_row(model, audio: torch.Tensor, whole: torch.Tensor, frames: int, skip: int) -> dict:
    """The session from raw audio."""
    session = new_session(model, audio.size(0))
    size = frames * session.chunk_samples // session.chunk
    side = Side("session", audio_step(session, audio, size), model.device)
    interleave([side], audio.size(1) // size)
    row = {
        "side": "session",
        "front_end": True,
        "chunks": audio.size(1) // size - skip,
        **side.times.columns(skip, frames * FRAME_MS),
    }
    return {**row, "diff_offline": difference(torch.cat(side.outputs, dim=2), whole)}


def new_session(model, streams: int) -> StreamingEncoderSession:
    """A session whose first, slower calls are behind it."""
    session = StreamingEncoderSession(model, batch_size=streams)
    for _ in range(3):
        session.push(torch.zeros(streams, session.chunk_samples))
    session.reset()
    return session


def long_stream(args, style: str, context: List[int]) -> Iterator[dict]:
    """The first and the last minute of a long stream: time per push and memory of the state."""
    model = build_model(args, style, context)
    model.encoder.to(getattr(torch, args.dtype))
    session, streams = new_session(model, args.streams[0]), args.streams[0]
    minute = 60 * session.sample_rate // session.chunk_samples * session.chunk_samples
    audio = make_audio(args, streams, minute / session.sample_rate)
    common = dict(style=style, left=context[0], right=context[1], streams=streams, side="session", front_end=True)
    for number in range(1, args.minutes + 1):
        side = Side("session", audio_step(session, audio, session.chunk_samples), model.device)
        interleave([side], minute // session.chunk_samples)
        if number in (1, args.minutes):
            row = {**common, "chunk_ms": session.chunk * FRAME_MS, "minute": number, "chunks": len(side.outputs)}
            yield {**row, **side.times.columns(0, session.chunk * FRAME_MS), "state_bytes": session.state_bytes()}


COLUMNS = """
    style left right streams chunk_ms side front_end minute chunks wall_p20_ms wall_p50_ms wall_p80_ms cpu_p20_ms
    cpu_p50_ms cpu_p80_ms real_time_factor ratio_session_nemo_p50 diff_session_nemo diff_offline state_bytes
    d_model layers heads device dtype threads torch nemo
""".split()


def surroundings(args) -> dict:
    """The columns that are the same in every row."""
    cuda = args.device.startswith("cuda")
    device = torch.cuda.get_device_name(args.device) if cuda else f"cpu {platform.machine()}"
    own = dict(d_model=args.d_model, layers=args.layers, heads=args.heads, device=device, dtype=args.dtype)
    return {**own, "threads": torch.get_num_threads(), "torch": torch.__version__, "nemo": nemo.__version__}


def all_rows(args) -> Iterator[dict]:
    """Every row of the benchmark, as it is measured."""
    for style, context in CONTEXTS:
        if args.minutes:
            yield from long_stream(args, style, context)
            continue
        for streams in args.streams:
            cuts = CUTS if streams == args.streams[0] else (context[1] + 1,)
            for frames in cuts:
                yield from compare(args, style, context, frames, streams)


def write_rows(args, rows: Iterator[dict]):
    """Writes rows as they come, and prints them."""
    args.output.parent.mkdir(parents=True, exist_ok=True)
    append = args.append and args.output.exists()
    same = surroundings(args)
    with open(args.output, "a" if append else "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        if not append:
            writer.writeheader()
        for row in rows:
            writer.writerow({**row, **same})
            file.flush()
            print("  ".join(f"{key}={value}" for key, value in row.items()), flush=True)


def parse_arguments(argv: Optional[List[str]]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Times the streaming session against NeMo's own loop.")
    parser.add_argument("--streams", type=int, nargs="+", default=[1, 8, 32])
    parser.add_argument("--seconds", type=float, default=20.0, help="audio per stream")
    parser.add_argument("--minutes", type=int, default=0, help="one long stream per context instead")
    parser.add_argument("--d-model", type=int, default=256)
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--heads", type=int, default=8)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--dtype", choices=["float32", "bfloat16", "float16"], default="float32")
    parser.add_argument("--threads", type=int, help="threads of torch on the CPU; 1 is steadiest")
    parser.add_argument("--output", type=Path, default=RESULTS)
    parser.add_argument("--append", action="store_true", help="keep the rows that are in the file")
    args = parser.parse_args(argv)
    if min(args.streams) < 1 or args.seconds < 10 or args.minutes < 0 or (args.threads or 1) < 1:
        parser.error("--streams and --threads must be 1 or more, --seconds 10 or more, --minutes 0 or more")
    return args


def main(argv: Optional[List[str]] = None) -> int:
    args = parse_arguments(argv)
    logging.setLevel(logging.ERROR)
    if args.threads:
        torch.set_num_threads(args.threads)
    write_rows(args, all_rows(args))
    return 0


if __name__ == "__main__":
    sys.exit(main())
