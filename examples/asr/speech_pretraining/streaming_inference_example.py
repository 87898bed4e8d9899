# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Text of audio that comes in pieces, as it comes, from a recogniser; encoder features from any model that can stream.

    python streaming_inference_example.py --model asr.nemo a.wav b.flac                   # or a manifest: test.json
    python streaming_inference_example.py --model asr.nemo --streams 8 test.json          # 8 files at a time
    python streaming_inference_example.py --model asr.nemo --compare-offline a.wav        # exit code 1 if it differs
    arecord -q -t raw -f S16_LE -r 16000 -c 1 | python streaming_inference_example.py --model asr.nemo -
    python streaming_inference_example.py --model asr.nemo --mic                          # until Ctrl-C
    python streaming_inference_example.py --model x.nemo --output features a.wav          # features in place of text

A model without text, as pretraining leaves it, is run without a result to show: for its speed, and --compare-offline.

Exit codes: 0; 1 if a file could not be read (the others are finished) or differs from the offline pass; 2 for an
argument that cannot be used.
"""

import argparse
import math
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
from streaming_inference.parallel import ParallelStreams, Stream
from streaming_inference.results import FeatureEngine, FeatureSink, TextSink
from streaming_inference.sources import MicrophoneSource, PcmSource, SourceError, list_entries, open_sources

TOLERANCE = 1e-4  # of --compare-offline
DECODERS = ("ctc", "rnnt")
PRECISIONS = {"32": "float32", "bf16": "bfloat16", "16": "float16"}


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    """The arguments, checked as far as that goes without the model."""
    parser = argparse.ArgumentParser(description="Streams audio through a model: text or encoder features.")
    parser.add_argument("inputs", nargs="*", help="audio files, manifests, or - for 16-bit mono PCM, raw or WAV")
    parser.add_argument("--model", required=True, type=Path, help="a .nemo file")
    parser.add_argument("--chunk-ms", type=float, default=80.0, help="audio per step, ms (default 80)")
    parser.add_argument("--streams", type=int, default=1, help="files that are streamed side by side (default 1)")
    parser.add_argument("--output", type=Path, help="folder for features, one .npy (T', D) float32 per file; no text")
    parser.add_argument("--decoder", choices=DECODERS, help="of a hybrid model (default: the one in use)")
    parser.add_argument("--max-context", type=int, help="encoder frames kept where left context is unlimited")
    parser.add_argument("--compare-offline", action="store_true", help="compare with one pass over the whole file")
    parser.add_argument("--mic", action="store_true", help="take audio from the sound card")
    parser.add_argument("--device", help="cpu, cuda, cuda:1 ... (default: cuda where there is one)")
    parser.add_argument("--precision", choices=PRECISIONS, default="32", help="of the weights (default 32)")
    parser.add_argument("--threads", type=int, help="threads of torch on the CPU; 1 on a busy machine")
    args = parser.parse_args(argv)
    problem = next(find_problems(args), None)
    if problem:
        parser.error(problem)
    return args


def find_problems(args: argparse.Namespace) -> Iterator[str]:
    """What is wrong with the arguments."""
    live = args.mic or "-" in args.inputs
    if not args.inputs and not args.mic:
        yield "nothing to stream: name audio files, manifests or -, or give --mic"
    if live and len(args.inputs) + args.mic > 1:
        yield "--mic and - are streamed alone, without other inputs"
    if live and args.streams != 1:
        yield f"--streams {args.streams}: --mic and - are one stream"
    if args.mic and args.compare_offline:
        yield "--compare-offline needs audio that ends, not --mic"
    if not math.isfinite(args.chunk_ms) or args.chunk_ms <= 0:
        yield f"--chunk-ms {args.chunk_ms:g}: must be above 0"
    if args.streams < 1:
        yield f"--streams {args.streams}: must be 1 or more"
    if args.decoder and args.output:
        yield f"--decoder {args.decoder} is for text, --output for features"
    if args.max_context is not None and args.max_context < 0:
        yield f"--max-context {args.max_context}: must be 0 or more"
    if args.compare_offline and args.precision != "32":
        yield f"--compare-offline compares within {TOLERANCE:g}, which needs --precision 32"
    if args.threads is not None and args.threads < 1:
        yield f"--threads {args.threads}: must be 1 or more"
    if not args.model.is_file():
        yield f"--model {args.model}: {'is a folder, not a file' if args.model.is_dir() else 'no such file'}"
    if args.output is not None and args.output.exists() and not args.output.is_dir():
        yield f"--output {args.output}: is not a folder"
    yield from find_device_problems(args)


def find_device_problems(args: argparse.Namespace) -> Iterator[str]:
    """What is wrong with --device; a missing one is chosen."""
    import torch

    if args.device is None:
        args.device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(1, device=args.device)
    except (AssertionError, RuntimeError, NotImplementedError) as error:
        yield f"--device {args.device}: {str(error).splitlines()[0]}"
    if args.precision == "16" and args.device == "cpu":
        yield "--precision 16 needs a GPU; --precision bf16 runs on a CPU too"


def open_model(args: argparse.Namespace):
    """The model, in eval mode on its device.

    Raises:
        ValueError: the file holds no model that can be opened
    """
    import torch

    from nemo.core import ModelPT
    from nemo.utils import logging

    logging.setLevel(logging.ERROR)
    torch.set_num_threads(args.threads or torch.get_num_threads())
    try:
        model = ModelPT.restore_from(str(args.model), map_location=torch.device(args.device))
    except Exception as error:  # a damaged archive, a config that does not build, weights that do not fit
        raise ValueError(f"--model {args.model}: cannot be opened: {error}") from error
    model = model.eval().to(args.device)
    model.encoder.to(getattr(torch, PRECISIONS[args.precision]))
    return model


def open_engine(args: argparse.Namespace, model):
    """What the audio goes into: text where the model has any and no features are asked for.

    Raises:
        ValueError: the model cannot stream, or its decoding cannot
    """
    from nemo.collections.asr.parts.streaming import StreamingEncoderSession, StreamingRecognizer

    if args.output or not hasattr(model, "decoding"):
        return FeatureEngine(StreamingEncoderSession(model, args.streams, args.max_context, on_nonfinite="zero"))
    return StreamingRecognizer(model, args.streams, args.max_context, args.decoder, on_nonfinite="zero")


def warm_up(args: argparse.Namespace, engine):
    """Puts the first chunk, which is slower than others, behind an engine."""
    session = engine.session
    if args.max_context is not None:  # the offline pass is to have the same contexts
        session.model.encoder.set_layer_contexts(session.contexts)
    count = 2 * session.chunk_samples
    engine.push(np.zeros((args.streams, count), np.float32), [count] * args.streams)
    engine.reset()


def open_sources_of(args: argparse.Namespace, sample_rate: int, chunk: int, problems: list[str]) -> Iterator:
    """The sources that the arguments name; what cannot be read is added to `problems`."""
    if args.mic:
        return iter([MicrophoneSource(sample_rate, chunk)])
    if args.inputs == ["-"]:
        return iter([PcmSource("stdin", sys.stdin.buffer, sample_rate)])
    entries, found = list_entries(args.inputs)
    problems += found
    return open_sources(entries, sample_rate, problems)


def offline_features(model, samples: np.ndarray) -> np.ndarray:
    """The encoder's features (T', D) of a whole file in one pass."""
    import torch

    signal = torch.from_numpy(samples).unsqueeze(0).to(model.device)
    length = torch.tensor([len(samples)], device=model.device)
    with torch.inference_mode():
        feats, feats_len = model.preprocessor(input_signal=signal, length=length)
        encoded, encoded_len = model.encoder(audio_signal=feats, length=feats_len)
    return encoded[0, :, : int(encoded_len)].T.float().cpu().numpy()


def offline_text(model, samples: np.ndarray) -> str:
    """What the model's own `transcribe` makes of a whole file."""
    config = model.get_transcribe_config()
    config.verbose = False
    config.pad_min_duration = 0.0  # newer NeMos make a second of what is shorter
    found = model.transcribe([samples], override_config=config)
    model.eval()  # NeMo leaves parts of it in train mode
    return (found[0] if isinstance(found, tuple) else found)[0].text


def compare(model, stream: Stream) -> bool:
    """Prints how far a stream is from the offline pass, and returns whether that is near enough."""
    name, sink = stream.source.name, stream.sink
    audio = np.concatenate(stream.audio)
    audio[~np.isfinite(audio)] = 0.0  # as the stream has heard it
    if not len(audio):
        print(f"{name}: no audio")
        return True
    if isinstance(sink, TextSink):
        expected = offline_text(model, audio)
        print(f"{name}: " + ("the same text offline" if sink.text == expected else f"offline: {expected}"))
        return sink.text == expected
    streamed, offline = np.concatenate(sink.features), offline_features(model, audio)
    if streamed.shape != offline.shape:
        print(f"{name}: shape {streamed.shape} streamed, {offline.shape} offline")
        return False
    difference = float(np.abs(streamed - offline).max(initial=0.0))
    print(f"{name}: {len(streamed)} frames, largest difference to offline {difference:.1e}")
    return difference <= TOLERANCE


def open_sink_of(args: argparse.Namespace, is_text: bool, source) -> FeatureSink | TextSink:
    """Where the results of a source go: the text of one stream alone is shown as it comes."""
    if is_text:
        return TextSink(source.name, live=args.streams == 1)
    return FeatureSink(args.output / f"{source.name}.npy" if args.output else None, keep=args.compare_offline)


def stream_all(args: argparse.Namespace, engine) -> bool:
    """Streams everything and prints the table; whether all could be read and is as it should be."""
    from tqdm import tqdm

    problems, near, session = [], True, engine.session
    chunk = max(1, round(args.chunk_ms * session.sample_rate / 1000.0))
    sources = open_sources_of(args, session.sample_rate, chunk, problems)
    if args.output:
        args.output.mkdir(parents=True, exist_ok=True)
    is_text = not isinstance(engine, FeatureEngine)
    # text is shown as it comes: no bar among its words, no table behind it
    with tqdm(unit="s", unit_scale=True, disable=True if is_text else None, desc="audio") as bar:
        open_sink = partial(open_sink_of, args, is_text)
        streams = ParallelStreams(engine, open_sink, chunk, args.compare_offline, bar.update)
        for stream in streams.run(sources):
            if stream.nonfinite:
                name = stream.source.name
                print(f"{name}: {stream.nonfinite} samples are not finite: taken as silence", file=sys.stderr)
            near &= not args.compare_offline or compare(session.model, stream)
    for problem in problems:
        print(problem, file=sys.stderr)
    table = "\n".join(streams.measured.table(session.lookahead_ms, session.state_bytes()))
    print(table, file=sys.stderr if is_text else sys.stdout)
    return near and not problems


def main(argv: list[str] | None = None) -> int:
    args = parse_arguments(argv)
    try:
        engine = open_engine(args, open_model(args))
        warm_up(args, engine)
    except ValueError as error:
        return refuse(error)
    try:
        with engine.session:
            return 0 if stream_all(args, engine) else 1
    except SourceError as error:
        return refuse(error)


def refuse(error: Exception) -> int:
    """Says what cannot be used."""
    print(f"streaming_inference_example: {error}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
