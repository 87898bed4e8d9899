# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""A page on this machine that shows text while one speaks.

    python live_recognizer.py --model asr.nemo        # then open http://localhost:8000

The browser sends what the microphone hears, the server pushes it into a `StreamingRecognizer` and sends the text back.
It is meant for one's own machine: it listens on localhost, where browsers allow a microphone without encryption.
"""

import argparse
import asyncio
import json
import sys
import time
from pathlib import Path

import numpy as np
from aiohttp import WSCloseCode, WSMsgType, web

PAGE = Path(__file__).resolve().parent / "live_recognition" / "page.html"
MODEL = web.AppKey("model", object)
TURN = web.AppKey("turn", asyncio.Lock)
LARGEST = 2**22  # bytes of a message: 65 s at 16 kHz. A larger one is refused with the reason ...
NEVER_READ = 2**26  # ... and not even read from here on: the connection is closed, by the protocol's code alone
LONGEST_REASON = 120  # bytes; the protocol has room for 123


def parse_arguments(argv=None) -> argparse.Namespace:
    """The arguments."""
    parser = argparse.ArgumentParser(description="A page on localhost that shows text while one speaks.")
    parser.add_argument("--model", required=True, type=Path, help="a .nemo file of a recogniser that can stream")
    parser.add_argument("--port", type=int, default=8000, help="of localhost (default 8000)")
    parser.add_argument("--device", default="cpu", help="cpu, cuda ... (default cpu)")
    args = parser.parse_args(argv)
    if not args.model.is_file():
        parser.error(f"--model {args.model}: {'is a folder, not a file' if args.model.is_dir() else 'no such file'}")
    return args


def open_model(args: argparse.Namespace):
    """The model, in eval mode on its device.

    Raises:
        ValueError: it cannot be opened
    """
    from nemo.collections.asr.models import ASRModel

    try:
        return ASRModel.restore_from(str(args.model), map_location=args.device).eval()
    except Exception as error:  # a damaged archive, a config that does not build, another kind of model
        raise ValueError(f"--model {args.model}: cannot be opened: {error}") from error


def make_app(model) -> web.Application:
    """The server: the page, what the page must know, and the audio.

    Raises:
        ValueError: the model cannot stream, or has no text
    """
    recognizer = recognizer_of(model)
    settings = {name: getattr(recognizer, name) for name in ("sample_rate", "chunk_samples", "lookahead_ms")}
    app = web.Application()
    app[MODEL], app[TURN] = model, asyncio.Lock()  # pages take turns: one model computes for one of them at a time
    app.router.add_get("/", lambda request: web.FileResponse(PAGE))
    app.router.add_get("/settings", lambda request: web.json_response(settings))
    app.router.add_get("/audio", listen)
    return app


def recognizer_of(model):
    """A recogniser of one stream."""
    from nemo.collections.asr.parts.streaming import StreamingRecognizer

    return StreamingRecognizer(model, on_nonfinite="zero")


async def listen(request: web.Request) -> web.WebSocketResponse:
    """One page's audio: float32 samples in, text out; `end` ends it."""
    socket = web.WebSocketResponse(max_msg_size=NEVER_READ)
    await socket.prepare(request)
    recognizer = recognizer_of(request.app[MODEL])
    async for message in socket:
        if message.type is WSMsgType.ERROR:  # aiohttp has closed the connection, and said why in its code
            break
        try:
            ended = message.type is WSMsgType.TEXT
            check_message(message.data)
            async with request.app[TURN]:  # in a thread, so that the server goes on listening
                answer = await asyncio.to_thread(take, recognizer, None if ended else message.data)
        except ValueError as error:
            too_big = len(message.data) > LARGEST
            code = WSCloseCode.MESSAGE_TOO_BIG if too_big else WSCloseCode.UNSUPPORTED_DATA
            await socket.close(code=code, message=str(error).encode()[:LONGEST_REASON])
            break
        await socket.send_str(json.dumps(answer))
    return socket


def check_message(data: bytes | str):
    """Raises a ValueError if a message is larger than one may be, or the beginning of a WAV file."""
    if len(data) > LARGEST:
        raise ValueError(f"{len(data)} bytes in one message: must be at most {LARGEST}; send shorter pieces")
    if data[:4] == b"RIFF":
        raise ValueError("a WAV file: must be its samples alone, float32 from -1 to 1, mono")


def take(recognizer, data) -> dict:
    """What is known after a piece of audio (bytes), or at its end (None)."""
    started = time.perf_counter()
    if data is None:
        nonfinite = recognizer.nonfinite_samples[0]  # which begins anew with a flush
        transcript = recognizer.flush()[0]
    else:
        if len(data) % 4:
            raise ValueError(f"{len(data)} bytes of audio: must be whole float32 samples")
        transcript = recognizer.push(np.frombuffer(data, "<f4")[None])[0]
        nonfinite = recognizer.nonfinite_samples[0]
    work = 1000 * (time.perf_counter() - started)
    known = {"text": transcript.text, "final": transcript.final, "nonfinite": nonfinite}
    return {**known, "ms": work, "ended": data is None}


def main(argv=None) -> int:
    """Serves until Ctrl-C; 2 for what cannot be used."""
    args = parse_arguments(argv)
    try:
        app = make_app(open_model(args))
    except ValueError as error:
        print(f"live_recognizer: {error}", file=sys.stderr)
        return 2
    web.run_app(app, host="localhost", port=args.port)
    return 0


if __name__ == "__main__":
    sys.exit(main())
