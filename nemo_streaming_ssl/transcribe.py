# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""`nemo-streaming-ssl transcribe`: text from an exported CTC model, with onnxruntime and NumPy alone."""

import argparse
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nemo_streaming_ssl.inputs import InputError, Subcommands

if TYPE_CHECKING:  # the command line itself needs nothing but Python
    import numpy as np

MANIFESTS = (".json", ".jsonl")
MOST_SECONDS = 1e9  # more, times a sample rate, may be no number any more
WORD = "\u2581"  # what SentencePiece puts before the first piece of a word


def add_transcribe(commands: Subcommands) -> None:
    """Adds the command to the command line."""
    parser = commands.add_parser("transcribe", help="text from an exported CTC model, piece by piece")
    parser.add_argument("folder", type=Path, help="what `nemo-streaming-ssl export` wrote")
    parser.add_argument("inputs", nargs="+", type=Path, help="audio files, or manifests (.json)")
    parser.add_argument("--int8", action="store_true", help="run the graph with weights in int8")
    parser.add_argument("--threads", type=int, help="of onnxruntime")
    parser.add_argument("--output", type=Path, metavar="MANIFEST", help="also write a manifest with pred_text")
    parser.set_defaults(run=run_transcribe)


def run_transcribe(args: argparse.Namespace) -> int:
    """Prints a line of text for each file.

    Returns:
        0; 1 if audio could not be used (the others are finished); 2 for a folder that cannot be used

    Raises:
        InputError: a manifest cannot be used
    """
    from nemo_streaming_ssl.onnx_session import OnnxStreamingSession

    try:
        precision = "int8" if args.int8 else "float32"
        options = {"precision": precision, "threads": args.threads, "return_tokens": True, "on_nonfinite": "zero"}
        session = OnnxStreamingSession(args.folder, **options)
        if session.vocabulary is None:
            raise ValueError(f"{args.folder}: was exported without the texts of its classes")
        entries = list(entries_of(args.inputs))
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    return transcribe_all(session, entries, args.output)


def transcribe_all(session: Any, entries: list[dict], output: Path | None) -> int:
    """Prints, and writes, the text of each entry; 1 if one could not be read."""
    import numpy as np

    failed, lines = 0, []
    for entry in entries:
        try:
            samples = read_audio(entry, session.sample_rate)
            pieces = folded(classes_of(session, samples), blank=len(session.vocabulary))
            text = text_of(session.vocabulary, [token for tokens in pieces for _, token in tokens])
        except (OSError, RuntimeError, ValueError) as error:
            print(f'{entry["audio_filepath"]}: {error}', file=sys.stderr)
            failed = 1
            session.reset()
            continue
        if nonfinite := int((~np.isfinite(samples)).sum()):
            where = entry["audio_filepath"]
            print(f"{where}: {nonfinite} samples are not finite: taken as silence", file=sys.stderr)
        print(f'{Path(entry["audio_filepath"]).stem}: {text}', flush=True)
        lines.append(json.dumps({**entry, "pred_text": text}, ensure_ascii=False))
    if output is not None:
        output.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return failed


def entries_of(paths: Sequence[Path]) -> Iterator[dict]:
    """What is to be transcribed; paths of a manifest are relative to it.

    Raises:
        InputError: a manifest that cannot be read, or a line of it that names no audio
    """
    for path in paths:
        if path.suffix not in MANIFESTS:
            yield {"audio_filepath": str(path)}
            continue
        try:
            lines = path.read_text(encoding="utf-8-sig").splitlines()  # with a byte order mark or without
        except (OSError, ValueError) as error:
            raise InputError(str(path), error) from error
        for number, line in enumerate(lines, 1):
            if line.strip():
                yield entry_of(line, f"{path}, line {number}", path.parent)


def entry_of(line: str, where: str, folder: Path) -> dict:
    """A line of a manifest, with the path of its audio."""
    try:
        entry = json.loads(line)
        found = {**entry, "audio_filepath": str(folder / entry["audio_filepath"])}
    except (ValueError, TypeError, KeyError) as error:
        raise InputError(where, ValueError(f"no JSON object with audio_filepath ({error})")) from error
    for name in ("offset", "duration"):
        value = entry.get(name)
        if value is not None and not is_time(value):
            raise InputError(where, ValueError(f"{name}={value!r}: must be a number of seconds, 0 or more"))
    return found


def is_time(value: Any) -> bool:
    """True for seconds, which neither `true` nor NaN is."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value <= MOST_SECONDS


def read_audio(entry: dict, sample_rate: int) -> "np.ndarray":
    """Samples (N,) float32 of an entry, channels averaged.

    Raises:
        ValueError: the audio is at another rate, or is a folder
    """
    import soundfile

    if Path(entry["audio_filepath"]).is_dir():
        raise ValueError("is a folder, not a file")
    with soundfile.SoundFile(entry["audio_filepath"]) as file:
        if file.samplerate != sample_rate:
            raise ValueError(f"is at {file.samplerate} Hz: must be at {sample_rate} Hz, the rate of the model")
        file.seek(round((entry.get("offset") or 0) * sample_rate))
        duration = entry.get("duration")
        frames = -1 if duration is None else round(duration * sample_rate)
        return file.read(frames, dtype="float32", always_2d=True).mean(axis=1)


def folded(pieces: Iterable[list[int]], blank: int) -> Iterator[list[tuple[int, int]]]:
    """The tokens of each piece, with the frame of the stream that each came with; repeats and blanks are left out.

    Args:
        pieces: the class of each frame, piece by piece
        blank: the class that is no token
    """
    previous, frame = blank, 0
    for classes in pieces:
        tokens = []
        for token in classes:
            if token not in (previous, blank):
                tokens.append((frame, token))
            previous, frame = token, frame + 1
        yield tokens


def classes_of(session: Any, samples: "np.ndarray") -> Iterator[list[int]]:
    """The most probable class of each frame, piece by piece."""
    size = session.chunk_samples
    outputs = (session.push(samples[None, begin : begin + size]) for begin in range(0, len(samples), size))
    for output in outputs:
        yield output.tokens[0, : output.lengths[0]].tolist()
    last = session.flush()
    yield last.tokens[0, : last.lengths[0]].tolist()


def text_of(vocabulary: Sequence[str], tokens: Sequence[int]) -> str:
    """The text of some tokens, of characters or of SentencePiece's pieces."""
    text = "".join(vocabulary[token] for token in tokens)
    is_pieces = any(WORD in piece for piece in vocabulary)
    return text.replace(WORD, " ").removeprefix(" ") if is_pieces else text
