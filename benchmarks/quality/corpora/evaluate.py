# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Error rates by greedy CTC, and whether the stream gives the same."""

import time
from pathlib import Path
from typing import Any

import torch

from benchmarks.transcribed import transcribed
from nemo.collections.asr.metrics.wer import word_error_rate_detail
from nemo.collections.asr.parts.streaming import StreamingEncoderSession
from nemo_streaming_ssl.transcribe import entries_of, read_audio

STREAMED = 3  # utterances whose stream is compared
PUSHED = 40  # feature frames at a time
MAX_CONTEXT = 1000  # encoder frames that a stream keeps where the context is unlimited: 80 s


def evaluate(model: Any, manifest: Path) -> dict[str, Any]:
    """What a row has of the test of a recogniser on a manifest."""
    started = time.perf_counter()
    entries = list(entries_of([manifest]))
    audio = [read_audio(entry, model.cfg.sample_rate) for entry in entries]
    said, meant = transcribed(model, audio), [entry["text"] for entry in entries]
    rate, count, insertions, deletions, substitutions = word_error_rate_detail(said, meant, use_cer=True)
    return {
        "error": rate,
        "substitutions": substitutions,
        "deletions": deletions,
        "insertions": insertions,
        "labels_tested": count,
        "stream_difference": stream_difference(model, [torch.from_numpy(samples) for samples in audio[:STREAMED]]),
        "test_seconds": time.perf_counter() - started,
    }


@torch.no_grad()
def stream_difference(model: Any, audio: list[torch.Tensor]) -> float | None:
    """The largest difference of an encoder's value between the whole utterance and its stream.

    None for a model that looks ahead and so cannot stream.
    """
    try:
        session = StreamingEncoderSession(model, max_context=MAX_CONTEXT)
    except ValueError:
        return None
    largest = 0.0
    for samples in audio:
        signal, length = samples[None].to(model.device), torch.tensor([len(samples)], device=model.device)
        feats, feats_len = model.preprocessor(input_signal=signal, length=length)
        feats = feats[:, :, : int(feats_len)]
        whole, encoded_len = model.encoder(audio_signal=feats, length=feats_len)
        outputs = [session.push_features(piece) for piece in feats.split(PUSHED, dim=2)]
        streamed = torch.cat([output.features for output in [*outputs, session.flush()]], dim=2)
        if streamed.size(2) != int(encoded_len):
            raise RuntimeError(f"the stream has {streamed.size(2)} encoder frames, the utterance {int(encoded_len)}")
        largest = max(largest, float((streamed - whole[:, :, : int(encoded_len)]).abs().max()))
    return largest
