"""The caller's side of a conversation, against a service made of a list of events."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from typing import Any, Self

import pytest

from voice.talk import line
from voice.talk.client import Caller, CallerOptions, websocket_url
from voice.talk.errors import ServiceSilent, ServiceUnreachable
from voice.talk.recording import from_pcm

CREATED = {"type": "session.created", "session": {"model": "test", "audio": {"input": {"transcription": {}}}}}
UPDATED = {**CREATED, "type": "session.updated"}


class ServiceDouble:
    """Stands for a connection: what it is given to say arrives, what is sent to it is kept."""

    close_code = 1000
    close_reason = ""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []
        self._incoming: asyncio.Queue[str | None] = asyncio.Queue()
        self.was_read_to_its_end = asyncio.Event()
        self.say(CREATED)

    def say(self, event: dict[str, Any]) -> None:
        self._incoming.put_nowait(json.dumps(event))

    def hang_up(self) -> None:
        self._incoming.put_nowait(None)

    async def send(self, text: str) -> None:
        self.sent.append(json.loads(text))
        if self.sent[-1]["type"] == "session.update":
            self.say(UPDATED)

    def __aiter__(self) -> AsyncIterator[str]:
        return self

    async def __anext__(self) -> str:
        text = await self._incoming.get()
        if text is None:
            self.was_read_to_its_end.set()
            raise StopAsyncIteration
        return text

    async def close(self) -> None:
        """Wait, as websockets does, until what came before the end was read: for ten seconds, there."""
        self.hang_up()
        await self.was_read_to_its_end.wait()

    def kinds(self) -> list[str]:
        return [event["type"] for event in self.sent if event["type"] != "input_audio_buffer.append"]

    @classmethod
    def installed(cls, monkeypatch: pytest.MonkeyPatch) -> Self:
        double = cls()

        async def connect(*args: object, **kwargs: object) -> Self:
            return double

        monkeypatch.setattr(line, "connect", connect)
        return double


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> ServiceDouble:
    return ServiceDouble.installed(monkeypatch)


def audio(response: str, item: str, duration_ms: int) -> dict[str, Any]:
    delta = base64.b64encode(b"\x01\x00" * 24 * duration_ms).decode()
    return {
        "type": "response.output_audio.delta",
        "response_id": response,
        "item_id": item,
        "content_index": 0,
        "delta": delta,
    }


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://127.0.0.1:8080", "ws://127.0.0.1:8080/v1/realtime?model=a%20b"),
        ("https://voice.example/v1", "wss://voice.example/v1/realtime?model=a%20b"),
        ("127.0.0.1:9", "ws://127.0.0.1:9/v1/realtime?model=a%20b"),
        ("ws://h/v1/realtime?x=1", "ws://h/v1/realtime?x=1&model=a%20b"),
    ],
)
def test_a_service_is_named_in_any_usual_way(url: str, expected: str) -> None:
    assert websocket_url(url, "a b") == expected


async def test_a_session_that_does_not_transcribe_is_asked_to(service: ServiceDouble) -> None:
    async with Caller(CallerOptions()):
        assert service.kinds() == ["session.update"]
    asked = service.sent[0]["session"]
    assert asked["type"] == "realtime"
    assert asked["audio"]["input"]["transcription"]["model"]


async def test_push_to_talk_and_mu_law_are_asked_for_together(service: ServiceDouble) -> None:
    session = {"instructions": "Be brief.", "audio": {"output": {"voice": "heart"}}}
    async with Caller(CallerOptions(wire="audio/pcmu", push_to_talk=True, session=session)):
        asked = service.sent[0]["session"]
    assert asked["audio"]["input"]["turn_detection"] is None
    assert asked["audio"]["input"]["format"] == {"type": "audio/pcmu"}
    assert asked["audio"]["output"] == {"voice": "heart"}
    assert asked["instructions"] == "Be brief."


async def test_a_barge_in_stops_playing_and_says_what_was_heard(service: ServiceDouble) -> None:
    async with Caller(CallerOptions()) as caller:
        service.say({"type": "response.created", "response": {"id": "r1"}})
        service.say(audio("r1", "a1", 10_000))
        service.say({"type": "input_audio_buffer.speech_started", "item_id": "u1", "audio_start_ms": 0})
        service.say(audio("r1", "a1", 10_000))
        service.say({"type": "response.created", "response": {"id": "r2"}})
        service.say(audio("r2", "a2", 500))
        await caller.wait_for(lambda: len(caller.events) >= 8, 5, "all events")
        truncate = next(event for event in service.sent if event["type"] == "conversation.item.truncate")
        assert (truncate["item_id"], truncate["content_index"]) == ("a1", 0)
        assert truncate["audio_end_ms"] < 5_000
        assert caller.player.end_sample < caller.sample_at(caller.started_s + 9)
        assert b"\x01\x00" in caller.player.render()
        assert caller.log.greeting.interrupted


async def test_hanging_up_is_told_to_whoever_waits(service: ServiceDouble) -> None:
    async with Caller(CallerOptions()) as caller:
        service.hang_up()
        with pytest.raises(ServiceSilent, match="hung up before an answer"):
            await caller.wait_for(lambda: False, 5, "an answer")


async def test_waiting_ends(service: ServiceDouble) -> None:
    async with Caller(CallerOptions()) as caller:
        with pytest.raises(ServiceSilent, match="did not send an answer"):
            await caller.wait_for(lambda: False, 0.0, "an answer")


async def test_nobody_there_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    async def connect(*args: object, **kwargs: object) -> None:
        raise ConnectionRefusedError(111, "Connection refused")

    monkeypatch.setattr(line, "connect", connect)
    with pytest.raises(ServiceUnreachable, match="voice serve"):
        async with Caller(CallerOptions()):
            pass


async def test_the_callers_track_has_each_recording_where_it_was_said(service: ServiceDouble) -> None:
    async with Caller(CallerOptions()) as caller:
        recording = from_pcm("ones", b"\x01\x00" * 2_400)
        turn = caller.say(recording)
        track = caller.caller_track()
        start = caller.sample_at(caller.utterances[0].start_s)
        assert track == bytes(2 * max(0, start)) + recording.pcm
        assert turn.speech_end_s - turn.speech_start_s == pytest.approx(0.1)


async def test_who_hangs_up_in_the_middle_of_an_answer_reads_to_the_end_of_the_line(service: ServiceDouble) -> None:
    async with asyncio.timeout(5), Caller(CallerOptions()) as caller:
        for count in range(50):
            service.say(audio("resp_1", f"item_{count}", 100))
    assert service.was_read_to_its_end.is_set()
    assert not [event for _, event in caller.events if event["type"] == "response.output_audio.delta"]
