"""A transcription session whose words are written down by a second instance: one such session there, and no answer."""

import asyncio
import base64
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from websockets.asyncio.client import connect

from voice.talk.recording import Recording
from voice.talk.service import ServiceProcess, free_port
from voice.upstream.faults import Fault

Frame = dict[str, Any]
ASKED: Frame = {"model": "gpt-4o-transcribe", "language": "en", "prompt": "a restaurant"}


@pytest.fixture(scope="module", params=["ours", "upstream"])
def front(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, int]]:
    """The first instance, and the port at which it looks for its upstream."""
    port, path = free_port(), tmp_path_factory.mktemp("front") / "config.yaml"
    path.write_text(
        f"engines:\n  up: {{type: upstream, url: 'ws://127.0.0.1:{port}/v1/realtime', model: plain, "
        f"turns: {request.param}}}\nagents: {{plain: {{engine: up}}}}\naliases: {{gpt-realtime: up}}\n"
        "log: {level: warning}\n"
    )
    with ServiceProcess("--config", str(path), ready_timeout_s=30) as service:
        yield service, port


async def write_down(url: str, recording: Recording, times: int) -> list[Frame]:
    """Say a recording so many times; return the frames up to the last transcript."""
    frames: list[Frame] = []
    async with asyncio.timeout(30), connect(f"{url}?intent=transcription") as socket:
        heard = {"transcription": ASKED, "turn_detection": {"type": "server_vad", "silence_duration_ms": 300}}
        session = {"type": "transcription", "audio": {"input": heard}}
        await socket.send(json.dumps({"type": "session.update", "session": session}))
        for turn in range(times):
            speech = recording.pcm + bytes(48_000)
            for start in range(0, len(speech), 9_600):
                audio = base64.b64encode(speech[start : start + 9_600]).decode()
                await socket.send(json.dumps({"type": "input_audio_buffer.append", "audio": audio}))
            while sum(frame["type"].endswith("transcription.completed") for frame in frames) <= turn:
                frames.append(json.loads(await socket.recv()))
    return frames


async def test_speech_is_written_down_by_a_transcription_session_there(
    stand_before: Any,
    front: tuple[ServiceProcess, int],
    scripted: ServiceProcess,
    say: Callable[[str], Recording],
    violations: Callable[[list[Frame]], list[str]],
) -> None:
    service, port = front
    proxy = stand_before(scripted.url, [Fault.NONE])
    async with proxy.serving(port=port):
        frames = await write_down(service.url, say("Good evening."), 2)
    assert violations(frames) == []
    assert not [frame for frame in frames if frame["type"].startswith("response.")]
    done = [frame for frame in frames if frame["type"].endswith("transcription.completed")]
    assert all(frame["transcript"] for frame in done)
    (passage,) = proxy.passages
    assert "intent=transcription" in passage.path
    assert "model=" not in passage.path
    there = [json.loads(message) for message in passage.to_client]
    assert there[0]["session"]["object"] == "realtime.transcription_session"
    assert [frame["usage"] for frame in done] == [
        event["usage"] for event in there if event["type"].endswith("transcription.completed")
    ]
    sent = [json.loads(message) for message in passage.to_upstream]
    update = [event for event in sent if event["type"] == "session.update"][-1]["session"]
    assert update["type"] == "transcription"
    assert update["audio"]["input"]["transcription"] == ASKED
