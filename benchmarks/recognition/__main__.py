# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Error rates of a recogniser on a manifest: its own `transcribe`, its stream, its exported graphs; and random cuts.

    python -m benchmarks.recognition asr.nemo test.json --exported exported   # into benchmarks/results/recognition.csv
    python -m benchmarks.recognition asr.nemo test.json --cuts 1000 --utterances 100

Each side reads the same utterances. `first_token_p50_ms` is how long after the beginning of the encoder frame that
decided it the first token of an utterance is there, if audio comes in real time and in pieces that suit the model.
`--cuts` streams utterances in pieces of random sizes, and counts the texts that equal `transcribe`'s. A new run
replaces the rows of the same model, manifest and side.
"""

import argparse
import sys
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

import nemo
from benchmarks.recognition.streams import Graph, Heard, Recognizer, hear
from benchmarks.table import RESULTS, print_row, replace_rows
from benchmarks.transcribed import transcribed
from nemo.collections.asr.metrics.wer import word_error_rate
from nemo.collections.asr.models import ASRModel
from nemo.collections.asr.parts.streaming import StreamingRecognizer
from nemo.utils import logging
from nemo_streaming_ssl.onnx_session import OnnxStreamingSession
from nemo_streaming_ssl.onnx_session.description import read_description
from nemo_streaming_ssl.transcribe import entries_of, read_audio

COLUMNS = """
    model manifest side utterances seconds wer cer first_token_p50_ms first_token_p95_ms cuts equal_cuts threads torch
    nemo
""".split()
KEYS = "model manifest side".split()
GRAPHS = {"float32": "onnx", "int8": "onnx int8"}
LARGEST = (400, 9600)  # samples of the largest piece of a stream that is cut at random


def equal_cuts(recognizer: Recognizer, audio: list[np.ndarray], expected: list[str], args: Namespace) -> int:
    """How many streams in random pieces give the expected text; the utterances take turns."""
    random, equal = np.random.default_rng(args.seed), 0
    for turn in range(args.cuts):
        index = turn % len(audio)
        most = int(random.integers(*LARGEST))
        sizes = random.integers(0, most, endpoint=True, size=2 * len(audio[index]) // most)
        equal += recognizer.hear_pieces(audio[index], sizes.tolist()) == expected[index]
    return equal


def rates(said: list[str], meant: list[str]) -> dict[str, str]:
    """Word and character error rate."""
    return {name: f"{word_error_rate(said, meant, use_cer=name == 'cer'):.4f}" for name in ("wer", "cer")}


def delays(heard: list[Heard]) -> dict[str, str]:
    """Percentiles of how late first tokens were."""
    known = [each.first_token_ms for each in heard if each.first_token_ms is not None]
    return {f"first_token_p{p}_ms": f"{np.percentile(known, p):.1f}" for p in (50, 95) if known}


def measure(args: Namespace) -> Iterator[dict[str, Any]]:
    """The rows of each side."""
    model = ASRModel.restore_from(str(args.model), map_location="cpu").eval()
    entries = list(entries_of([args.manifest]))[: args.utterances]
    recognizer = StreamingRecognizer(model)
    audio = [read_audio(entry, recognizer.sample_rate) for entry in entries]
    seconds = sum(map(len, audio)) / recognizer.sample_rate
    meant = [entry["text"] for entry in entries]
    common = {"utterances": len(audio), "seconds": f"{seconds:.0f}"}
    offline = transcribed(model, audio)
    yield {"side": "transcribe", **common, **rates(offline, meant)}
    stream = Recognizer(recognizer)
    heard = [hear(stream, samples) for samples in audio]
    counts = {"cuts": args.cuts, "equal_cuts": equal_cuts(stream, audio, offline, args)}
    yield {"side": "session", **common, **rates([each.text for each in heard], meant), **delays(heard), **counts}
    for side, graph in graphs(args):
        heard = [hear(graph, samples) for samples in audio]
        yield {"side": side, **common, **rates([each.text for each in heard], meant), **delays(heard)}


def graphs(args: Namespace) -> Iterator[tuple[str, Graph]]:
    """The exported graphs by name, if there are any."""
    if args.exported is None:
        return
    description = read_description(args.exported)
    for precision in description.values["graphs"]:
        session = OnnxStreamingSession(args.exported, precision=precision, threads=args.threads, return_tokens=True)
        yield GRAPHS[precision], Graph(session)


def parse_arguments(argv: list[str] | None) -> Namespace:
    parser = argparse.ArgumentParser(description="Error rates of a recogniser: whole, streamed, exported.")
    parser.add_argument("model", type=Path, help="a .nemo file of a recogniser")
    parser.add_argument("manifest", type=Path, help="utterances with text")
    parser.add_argument("--exported", type=Path, help="what `nemo-streaming-ssl export` wrote of the model")
    parser.add_argument("--utterances", type=int, help="the first of the manifest; all by default")
    parser.add_argument("--cuts", type=int, default=0, help="streams in random pieces")
    parser.add_argument("--seed", type=int, default=0, help="of the pieces")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--output", type=Path, default=RESULTS / "recognition.csv")
    args = parser.parse_args(argv)
    if args.cuts < 0 or args.threads < 1 or (args.utterances is not None and args.utterances < 1):
        parser.error("--utterances and --threads must be 1 or more, --cuts 0 or more")
    return args


def main(argv: list[str] | None = None) -> int:
    args = parse_arguments(argv)
    logging.setLevel(logging.ERROR)
    torch.set_num_threads(args.threads)
    around = {"model": args.model.name, "manifest": args.manifest.name, "threads": args.threads}
    around.update(torch=torch.__version__, nemo=nemo.__version__)
    for row in measure(args):
        print_row({**around, **row})
        replace_rows(args.output, [{**around, **row}], COLUMNS, KEYS)
    return 0


if __name__ == "__main__":
    sys.exit(main())
