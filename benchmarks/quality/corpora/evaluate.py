# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Stage 3: error rates by greedy CTC, and whether the stream gives the same."""

import time

import torch

from benchmarks.quality.corpora import manifests
from benchmarks.quality.corpora.loaders import test_loader, text_dataset
from benchmarks.quality.corpora.prepared import Prepared
from nemo.collections.asr.metrics.wer import word_error_rate, word_error_rate_detail
from nemo.collections.asr.parts.streaming import StreamingEncoderSession

BATCH_SIZE = 32
STREAMED = 3  # utterances whose stream is compared
PUSHED = 40  # feature frames at a time
MAX_CONTEXT = 1000  # encoder frames that a stream keeps where the context is unlimited: 80 s


def evaluate(model, data: Prepared, name: str) -> dict:
    """What a row has of the test on `test` or `dev`."""
    started = time.perf_counter()
    said, meant = recognised(model, data, name)
    rate = word_error_rate(said, meant, use_cer=True)
    _, count, insertions, deletions, substitutions = word_error_rate_detail(said, meant, use_cer=True)
    return {
        "error": rate,
        "substitutions": substitutions,
        "deletions": deletions,
        "insertions": insertions,
        "labels_tested": count,
        "stream_difference": stream_difference(model, data, name),
        "test_seconds": time.perf_counter() - started,
    }


@torch.no_grad()
def recognised(model, data: Prepared, name: str) -> tuple[list[str], list[str]]:
    """What the model reads out of each utterance, and what it should be."""
    meant = [entry["text"] for entry in manifests.read(data.labelled(name), ("text",))]
    said: list[str] = []
    for signal, lengths, *_ in test_loader(text_dataset(data.labelled(name), data.labels), BATCH_SIZE, 0):
        log_probs, encoded_len, _ = model(
            input_signal=signal.to(model.device), input_signal_length=lengths.to(model.device)
        )
        found = model.decoding.ctc_decoder_predictions_tensor(log_probs, decoder_lengths=encoded_len)
        said += [getattr(hypothesis, "text", hypothesis) for hypothesis in found]
    return said, meant


@torch.no_grad()
def stream_difference(model, data: Prepared, name: str) -> float | None:
    """The largest difference of an encoder's value between the whole utterance and its stream.

    None for a model that looks ahead and so cannot stream.
    """
    try:
        session = StreamingEncoderSession(model, max_context=MAX_CONTEXT)
    except ValueError:
        return None
    dataset, largest = text_dataset(data.labelled(name), data.labels), 0.0
    for index in range(min(STREAMED, len(dataset))):
        signal = dataset[index][0].unsqueeze(0).to(model.device)
        length = torch.tensor([signal.size(1)], device=model.device)
        feats, feats_len = model.preprocessor(input_signal=signal, length=length)
        feats = feats[:, :, : int(feats_len)]
        whole, encoded_len = model.encoder(audio_signal=feats, length=feats_len)
        streamed = streamed_features(session, feats)
        if streamed.size(2) != int(encoded_len):
            raise RuntimeError(f"the stream has {streamed.size(2)} encoder frames, the utterance {int(encoded_len)}")
        largest = max(largest, float((streamed - whole[:, :, : int(encoded_len)]).abs().max()))
    return largest


def streamed_features(session: StreamingEncoderSession, feats: torch.Tensor) -> torch.Tensor:
    """Encoder frames (1, D, T') of features (1, F, T) that come in pieces."""
    outputs = [session.push_features(feats[:, :, i : i + PUSHED]) for i in range(0, feats.size(2), PUSHED)]
    return torch.cat([output.features for output in [*outputs, session.flush()]], dim=2)
