"""Speech is written down by sessions that never answer, by intent and by client secret, with the embedded models."""

import asyncio
import base64
import json
from collections.abc import Callable
from typing import Any

from openai import AsyncOpenAI
from websockets.asyncio.client import ClientConnection, connect

from voice.talk.recording import Recording
from voice.talk.service import ServiceProcess

Frame = dict[str, Any]


async def write_down(socket: ClientConnection, recording: Recording) -> list[Frame]:
    """Send a recording and a second of silence; return the frames up to its transcript."""
    frames: list[Frame] = []
    speech = recording.pcm + bytes(48_000)
    for start in range(0, len(speech), 9_600):
        audio = base64.b64encode(speech[start : start + 9_600]).decode()
        await socket.send(json.dumps({"type": "input_audio_buffer.append", "audio": audio}))
    async with asyncio.timeout(30):
        while not frames or not frames[-1]["type"].endswith("transcription.completed"):
            frames.append(json.loads(await socket.recv()))
    return frames


async def test_speech_is_written_down_by_intent(
    cascade: ServiceProcess, say: Callable[[str], Recording], violations: Callable[[list[Frame]], list[str]]
) -> None:
    async with connect(f"{cascade.url}?intent=transcription") as socket:
        frames = await write_down(socket, say("Hello, I would like to book a table."))
    assert frames[0]["session"]["object"] == "realtime.transcription_session"
    assert "table" in frames[-1]["transcript"]
    assert not [frame for frame in frames if frame["type"].startswith("response.")]
    assert violations(frames) == []


async def test_speech_is_written_down_by_a_client_secret(
    cascade: ServiceProcess, say: Callable[[str], Recording]
) -> None:
    heard: Any = {"transcription": {"model": "whisper-1", "language": "en"}, "turn_detection": {"type": "server_vad"}}
    session: Any = {"type": "transcription", "audio": {"input": heard}}
    async with AsyncOpenAI(api_key="none", base_url=f"{cascade.http_url}/v1") as client:
        secret = await client.realtime.client_secrets.create(session=session)
    assert secret.session.type == "transcription"
    headers = {"Authorization": f"Bearer {secret.value}"}
    async with connect(cascade.url, additional_headers=headers) as socket:
        frames = await write_down(socket, say("Where can I park the car?"))
    assert frames[0]["session"]["audio"]["input"]["transcription"]["model"] == "whisper-1"
    assert "park" in frames[-1]["transcript"]
