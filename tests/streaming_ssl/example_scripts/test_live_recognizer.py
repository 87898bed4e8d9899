# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""The live page: what the server says is what `transcribe` says, and a browser with a microphone shows it."""

import asyncio
import importlib
import json
import shutil

import numpy as np
import pytest
import recognizer_models
import soundfile
from aiohttp import ClientSession, WSMsgType
from aiohttp.test_utils import TestClient, TestServer

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
# resolves when the page shows some text and both times
TEXT_IS_THERE = """new Promise(done => {
  const there = () => document.getElementById("text").textContent.length > 3
    && document.getElementById("answer").textContent.endsWith("ms") && done(document.body.innerText);
  new MutationObserver(there).observe(document.body, {subtree: true, childList: true});
})"""


@pytest.fixture(scope="module")
def live():
    return importlib.import_module("live_recognizer")


@pytest.fixture(scope="module")
def model(nest_config):
    return recognizer_models.build(nest_config, "ctc")


@pytest.fixture(scope="module")
def sounds():
    return recognizer_models.sounds(1, 40000)[0].numpy()


@pytest.fixture(scope="module")
def expected(model, sounds):
    return recognizer_models.transcribe(model, [sounds])[0].text


async def said(client, pieces):
    """What the server answers to pieces of audio, and at their end."""
    answers = []
    async with client.ws_connect("/audio") as socket:
        for piece in pieces:
            await socket.send_bytes(piece.astype("<f4").tobytes())
            answers.append(json.loads((await socket.receive()).data))
        await socket.send_str("end")
        answers.append(json.loads((await socket.receive()).data))
    return answers


def with_client(app, use):
    """Runs `use(client)` against a server."""

    async def run():
        async with TestClient(TestServer(app)) as client:
            return await use(client)

    return asyncio.run(run())


class TestServerOfThePage:
    def test_the_text_is_what_transcribe_says(self, live, model, sounds, expected):
        answers = with_client(live.make_app(model), lambda client: said(client, np.array_split(sounds, 17)))
        assert answers[-1]["text"] == answers[-1]["final"] == expected and answers[-1]["ended"]
        texts = [answer["text"] for answer in answers]
        assert all(later.startswith(earlier) for earlier, later in zip(texts, texts[1:]))
        assert all(answer["ms"] > 0 for answer in answers)

    def test_pages_do_not_hear_each_other(self, live, model, sounds, expected):
        async def both(client):
            return await asyncio.gather(*(said(client, np.array_split(sounds, parts)) for parts in (5, 9)))

        for answers in with_client(live.make_app(model), both):
            assert answers[-1]["text"] == expected

    def test_the_page_and_what_it_must_know(self, live, model):
        async def get(client):
            page, settings = await client.get("/"), await client.get("/settings")
            return await page.text(), await settings.json()

        page, settings = with_client(live.make_app(model), get)
        assert "<button" in page
        assert settings == {"sample_rate": 16000, "chunk_samples": 1280, "lookahead_ms": 12.5}

    def test_samples_that_are_not_finite_are_silence_and_counted(self, live, model, sounds):
        bad, silent = sounds.copy(), sounds.copy()
        bad[[2000, 2001, 30000]], silent[[2000, 2001, 30000]] = (np.nan, np.inf, -np.inf), 0.0
        expected = recognizer_models.transcribe(model, [silent])[0].text
        answers = with_client(live.make_app(model), lambda client: said(client, np.array_split(bad, 10)))
        assert answers[-1]["text"] == expected != ""
        assert [answer["nonfinite"] for answer in answers] == [2] * 7 + [3] * 4
        assert 'show("nonfinite", answer.nonfinite)' in live.PAGE.read_text()

    def test_integers_taken_for_floats_end_the_connection_with_the_reason(self, live, model, sounds):
        async def send(client):
            async with client.ws_connect("/audio") as socket:
                await socket.send_bytes((32768 * sounds[20000:21000]).astype("<f4").tobytes())
                return await socket.receive()

        message = with_client(live.make_app(model), send)
        assert message.type is WSMsgType.CLOSE and "must be from -1 to 1" in message.extra

    @pytest.mark.parametrize(
        "data, code, reason",
        [
            (b"abc", 1003, "3 bytes of audio: must be whole float32 samples"),
            (b"RIFF" + bytes(40), 1003, "a WAV file: must be its samples alone"),
            (bytes(2**22 + 4), 1009, "4194308 bytes in one message: must be at most 4194304; send shorter pieces"),
            ("x" * (2**22 + 1), 1009, "4194305 bytes in one message"),
        ],
        ids=["odd", "WAV", "large", "large text"],
    )
    def test_what_is_no_audio_ends_the_connection_with_the_reason(self, live, model, caplog, data, code, reason):
        async def send(client):
            async with client.ws_connect("/audio") as socket:
                await (socket.send_str(data) if isinstance(data, str) else socket.send_bytes(data))
                message = await socket.receive()
            return message, await said(client, [np.zeros(1280)])

        message, answers = with_client(live.make_app(model), send)
        assert (message.type, message.data) == (WSMsgType.CLOSE, code) and reason in (message.extra or "")
        assert answers[-1]["ended"] and not [record for record in caplog.records if record.levelname == "ERROR"]

    def test_a_message_that_is_not_even_read_ends_its_own_connection_only(self, live, model, caplog):
        async def send(client):
            async with client.ws_connect("/audio") as socket:
                try:
                    await socket.send_bytes(bytes(live.NEVER_READ + 1))
                    assert (await socket.receive()).type in (WSMsgType.CLOSE, WSMsgType.CLOSED, WSMsgType.ERROR)
                except ConnectionError:  # closed while it was being sent
                    pass
            return await said(client, [np.zeros(1280)])

        assert with_client(live.make_app(model), send)[-1]["ended"]
        assert not [record for record in caplog.records if record.levelname == "ERROR"]

    def test_the_largest_message_is_heard(self, live, model):
        samples = np.zeros(live.LARGEST // 4, np.float32)
        answers = with_client(live.make_app(model), lambda client: said(client, [samples]))
        assert answers[-1]["ended"]

    def test_what_cannot_be_used(self, live, nest_config, tmp_path, capsys):
        (tmp_path / "x.nemo").write_text("no model")
        assert live.main(["--model", str(tmp_path / "x.nemo")]) == 2
        assert "x.nemo: cannot be opened" in capsys.readouterr().err
        with pytest.raises(ValueError, match="conv_context_size"):
            live.make_app(recognizer_models.build(nest_config, "ctc", "model.encoder.conv_context_size=null"))
        with pytest.raises(SystemExit):
            live.main(["--model", str(tmp_path / "none.nemo")])


@pytest.mark.long_run
@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
def test_in_a_browser_with_a_microphone(live, model, sounds, tmp_path):
    soundfile.write(tmp_path / "speech.wav", sounds, 16000, subtype="PCM_16")
    flags = f"""--headless --no-sandbox --remote-debugging-port=0 --user-data-dir={tmp_path / 'profile'}
        --use-fake-device-for-media-stream --use-fake-ui-for-media-stream
        --use-file-for-fake-audio-capture={tmp_path / 'speech.wav'}""".split()

    async def run():
        async with TestServer(live.make_app(model), host="localhost") as server:
            page = str(server.make_url("/"))
            browser = await asyncio.create_subprocess_exec(
                CHROMIUM, *flags, "about:blank", stderr=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.DEVNULL
            )
            try:
                return await asyncio.wait_for(use_page(browser, page), timeout=100)
            finally:
                browser.kill()
                await browser.wait()

    shown = asyncio.run(run())
    assert "Stop" in shown["while"] and "12.5 ms" in shown["while"]
    assert "Start the microphone" in shown["after"]


async def use_page(browser, page):
    """Starts the microphone, waits for text, stops it; what the page showed."""
    async for line in browser.stderr:
        if b"DevTools listening on" in line:
            address = line.split()[-1].decode().split("/")[2]
            break
    async with ClientSession() as session:
        pages = await (await session.get(f"http://{address}/json")).json()
        target = next(page for page in pages if page["type"] == "page")
        async with session.ws_connect(target["webSocketDebuggerUrl"]) as socket:
            await call(socket, "Page.enable")
            await call(socket, "Page.navigate", url=page)
            async for message in socket:
                if message.json().get("method") == "Page.loadEventFired":
                    break
            await evaluate(socket, "document.getElementById('button').click()", gesture=True)
            shown = {"while": await evaluate(socket, TEXT_IS_THERE)}
            await evaluate(socket, "document.getElementById('button').click()", gesture=True)
            shown["after"] = await evaluate(socket, "document.body.innerText")
            return shown


async def evaluate(socket, expression, gesture=False):
    """The value of a JavaScript expression on the page."""
    options = {"awaitPromise": True, "returnByValue": True, "userGesture": gesture}
    result = await call(socket, "Runtime.evaluate", expression=expression, **options)
    assert "exceptionDetails" not in result, result
    return result["result"].get("value")


async def call(socket, method, **parameters):
    """The result of a call of the browser's debugging protocol."""
    await socket.send_json({"id": 1, "method": method, "params": parameters})
    async for message in socket:
        answer = message.json()
        if answer.get("id") == 1:
            return answer["result"]
