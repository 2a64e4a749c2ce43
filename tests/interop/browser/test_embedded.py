"""The page with the embedded models: what it played is what its captions say."""

import io
import re
import wave
from collections.abc import Callable
from pathlib import Path

import httpx
import numpy as np
from playwright.async_api import expect

from bench.chromium import read_tape, write_microphone
from tests.interop.browser.conftest import Visit
from voice.talk.recording import Recording
from voice.talk.service import ServiceProcess


async def test_a_spoken_question_is_understood_and_what_is_played_is_what_the_captions_say(
    visit: Visit, cascade: ServiceProcess, say: Callable[[str], Recording], tmp_path: Path
) -> None:
    question = write_microphone(tmp_path / "question.wav", 3.0, say("What is the capital of France?"), 60.0)
    caller = await visit(question, recorded=True)
    await caller.visit(cascade.http_url, "gpt-realtime")
    await caller.talk()
    stopped = "recorder.events.some(({event}) => event.type === 'output_audio_buffer.stopped')"
    await caller.page.wait_for_function(stopped, timeout=40_000)
    await expect(caller.page.locator(".line.caller p")).to_contain_text("capital of France")
    caption = await caller.page.locator(".line.agent p").inner_text()
    tape = await read_tape(caller.page)
    begin_s = tape.of("output_audio_buffer.started")[0][0]
    heard = io.BytesIO()
    with wave.open(heard, "wb") as file:
        file.setparams((1, 2, 24_000, 0, "NONE", ""))
        file.writeframes((tape.agent[int(begin_s * 24_000) :] * 32767).astype(np.int16).tobytes())
    async with httpx.AsyncClient(base_url=cascade.http_url, timeout=30) as client:
        files = {"file": ("heard.wav", heard.getvalue())}
        answer = await client.post("/v1/audio/transcriptions", files=files, data={"model": "whisper-1"})
        assert answer.status_code == 200, answer.text
    spoken = set(re.findall(r"[a-z]+", answer.json()["text"].lower()))
    written = set(re.findall(r"[a-z]+", caption.lower()))
    assert written
    assert len(spoken & written) >= 0.6 * len(written), (answer.json()["text"], caption)
