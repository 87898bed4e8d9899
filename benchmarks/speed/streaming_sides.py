# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""The two sides of the benchmarks of streaming: NeMo's cache-aware loop and the streaming session, chunk by chunk.

Both have the same weights and get the same features. NeMo's side is the installed NeMo's own encoder with
`cache_aware_stream_step`, fed as NeMo's `CacheAwareStreamingAudioBuffer` feeds it.
"""

from argparse import Namespace
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from benchmarks.shipped import UNIFORM, shipped_config
from benchmarks.speed.plain_nemo import encoders, originals
from benchmarks.speed.timing import Times, alternating
from nemo.collections.asr.models.ssl_models import EncDecMaskedTokenPredModel
from nemo.collections.asr.parts.streaming import StreamingEncoderSession

FRAME_MS = 80
Chunk = Callable[[int], torch.Tensor]  # the output of the chunk with this number


@dataclass
class Side:
    """What is measured: a step for each chunk, its outputs and its times."""

    name: str
    step: Chunk
    device: torch.device
    outputs: list[torch.Tensor] = field(default_factory=list)
    times: Times = field(default_factory=Times)

    def run(self, index: int) -> None:
        """Takes the chunk with this number."""
        self.outputs.append(self.times.add(lambda: self.step(index), self.device))

    @property
    def output(self) -> torch.Tensor:
        """Of all chunks, (B, D, T)."""
        return torch.cat(self.outputs, dim=2)

    def difference(self, other: torch.Tensor) -> str:
        """The largest absolute difference over the frames that both have."""
        mine = self.output
        frames = min(mine.size(2), other.size(2))
        return f"{float((mine[:, :, :frames] - other[:, :, :frames]).abs().max()):.1e}"

    def median(self, skip: int) -> float:
        """Of the wall times in ms, without the first chunks."""
        return float(np.median(self.times.wall[skip:]))

    def real_time_factor(self, skip: int, frames: int) -> float:
        """Computing time over the time of the audio, in chunks of so many encoder frames."""
        return float(np.mean(self.times.wall[skip:])) / (frames * FRAME_MS)


def interleaved(steps: dict[str, Chunk], count: int, device: torch.device) -> list[Side]:
    """Runs all sides chunk by chunk, in alternating order."""
    sides = {name: Side(name, step, device) for name, step in steps.items()}
    for index in range(count):
        for name in alternating(sides, index + 1):
            sides[name].run(index)
    return list(sides.values())


def minutes(
    sessions: dict[str, Any], streams: int, count: int, seconds: int, device: torch.device
) -> Iterator[tuple[int, list[Side]]]:
    """Runs long streams of raw audio, the same minute again and again, in the pieces that suit the first session.

    Args:
        sessions: by their names; what takes arrays gets arrays
        streams: of each session
        count: minutes
        seconds: of a minute
    """
    first = next(iter(sessions.values()))
    size = first.chunk_samples
    chunks = seconds * first.sample_rate // size
    audio = make_audio(streams, chunks * size / first.sample_rate).numpy()
    for minute in range(1, count + 1):
        steps = {name: audio_step(session, audio, size) for name, session in sessions.items()}
        yield minute, interleaved(steps, chunks, device)


def build_model(args: Namespace, style: str, context: list[int]) -> EncDecMaskedTokenPredModel:
    """The shipped streaming model in the size of the benchmark, with random weights."""
    torch.manual_seed(0)
    cfg = shipped_config(UNIFORM).model
    cfg.train_ds = cfg.validation_ds = None
    cfg.num_classes = 64  # the decoder and the quantizer are not run
    cfg.objective = "masked_tokens"  # next tokens refuse a look-ahead
    cfg.encoder.update(d_model=args.d_model, n_layers=args.layers, n_heads=args.heads)
    cfg.encoder.update(att_context_size=context, att_context_style=style)
    return EncDecMaskedTokenPredModel(cfg=cfg).eval().to(args.device)


def nemo_encoder(model: Any, args: Namespace, frames: int) -> Any:
    """The installed NeMo's own encoder with the model's weights, set up for chunks of `frames` encoder frames."""
    ours = ("_target_", "hierarchical_context", "banded_attention")
    settings = {key: value for key, value in model.cfg.encoder.items() if key not in ours}
    with originals():
        encoder = encoders.ConformerEncoder(**settings)
        if frames == encoder.att_context_size[1] + 1:
            encoder.setup_streaming_params()
        else:
            encoder.setup_streaming_params(chunk_size=frames, shift_size=frames)
    encoder.load_state_dict(model.encoder.state_dict())
    return encoder.eval().to(args.device, getattr(torch, args.dtype))


def nemo_takes(context: list[int], frames: int) -> bool:
    """True if NeMo's loop can be given chunks of so many frames without changing what the model sees."""
    return frames == context[1] + 1 or context[1] == 0


def nemo_step(encoder: Any, feats: torch.Tensor, bounds: list[int]) -> Chunk:
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


def new_session(model: Any, streams: int) -> StreamingEncoderSession:
    """A session whose first, slower calls are behind it."""
    session = StreamingEncoderSession(model, batch_size=streams)
    for _ in range(3):
        session.push(torch.zeros(streams, session.chunk_samples))
    session.reset()
    return session


def session_step(session: Any, feats: torch.Tensor | np.ndarray, bounds: list[int]) -> Chunk:
    """A session from features (B, D, F), of its kind; chunk i ends at feature frame `bounds[i]`."""
    begins = [0, *bounds]
    return lambda i: torch.as_tensor(session.push_features(feats[:, :, begins[i] : bounds[i]]).features)


def audio_step(session: Any, audio: torch.Tensor | np.ndarray, size: int) -> Chunk:
    """A session from audio (B, N), of its kind, in pieces of `size` samples."""
    return lambda i: torch.as_tensor(session.push(audio[:, i * size : (i + 1) * size]).features)


def make_audio(streams: int, seconds: float) -> torch.Tensor:
    """Noise (B, N) on the CPU, where audio comes from."""
    generator = torch.Generator().manual_seed(0)
    return 0.1 * torch.randn(streams, int(16000 * seconds), generator=generator)


def features_of(model: Any, audio: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """The features (B, D, F) of whole audio."""
    audio = audio.to(model.device)
    lengths = torch.full((audio.size(0),), audio.size(1), device=audio.device)
    with torch.inference_mode():
        feats, count = model.preprocessor(input_signal=audio, length=lengths)
    return feats[:, :, : int(count[0])].to(dtype)


def chunk_bounds(frames: int, available: int) -> list[int]:
    """Where chunks of `frames` encoder frames end, in feature frames.

    The first chunk has 7 feature frames fewer, as NeMo's has; then `frames` encoder frames come out of every chunk.
    """
    return list(range(1 + 8 * (frames - 1), available + 1, 8 * frames))


def offline(model: Any, feats: torch.Tensor) -> torch.Tensor:
    """The model's own forward of all features."""
    lengths = torch.full((feats.size(0),), feats.size(2), device=feats.device)
    with torch.inference_mode():
        return model.encoder(audio_signal=feats, length=lengths)[0]
