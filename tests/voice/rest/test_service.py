"""Requests outside sessions: each borrows an engine and gives it back, and too many at a time wait or are refused."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import aclosing

import numpy as np
import pytest

from tools.dispatch import Dispatcher
from voice.agent import Agent
from voice.audio.vad import Windows
from voice.engines.port import EngineDone, EngineSettings, ResponseRequest, SessionRef, TextDelta
from voice.engines.script import Script
from voice.engines.scripted import ScriptedEngine
from voice.errors import CapacityError, ContractError, EngineError, EngineUnavailable
from voice.places import AgentRuntime
from voice.rest import service
from voice.rest.service import SingleRequests
from voice.room import Room
from voice.tooling import ServiceTools

REQUEST = ResponseRequest("resp_1", (), EngineSettings(output_modality="text"), in_conversation=False)


class Loudness:
    def open_stream(self) -> None:
        return None

    def reset(self, stream: None) -> None:
        pass

    def judge(self, streams: Sequence[None], windows: Windows) -> list[float]:
        return [float(np.abs(window.astype(int)).max() > 1000) for window in windows]


class Desk:
    """Requests to engines that follow a script."""

    def __init__(self, script: Script | None = None, *, problem: str | None = None, max_requests: int = 8) -> None:
        self.engines: list[ScriptedEngine] = []
        tools: ServiceTools = Dispatcher(())

        def make(_: SessionRef) -> ScriptedEngine:
            self.engines.append(ScriptedEngine(script))
            return self.engines[-1]

        runtime = AgentRuntime(Agent("desk", "scripted"), make, tools, lambda: problem)

        def find(model: str | None) -> AgentRuntime:
            if model not in (None, "desk"):
                raise ContractError(f"no {model}", code="model_not_found", param="model")
            return runtime

        self.requests = SingleRequests(find, Loudness, {"whisper-1": "desk"}, max_requests=max_requests)


def recording(*seconds: float) -> bytes:
    """Loud and silent stretches by turns, beginning with a loud one, at 24 kHz."""
    pieces = [np.full(int(length * 24_000), 9000 * (number % 2 == 0)) for number, length in enumerate(seconds)]
    return np.concatenate(pieces).astype("<i2").tobytes()


async def test_a_recording_is_written_down_passage_by_passage() -> None:
    desk = Desk(Script(transcripts=("Hello.", "Bye.")))
    async with aclosing(desk.requests.transcribe("whisper-1", recording(1.0, 2.0, 1.0))) as segments:
        found = [segment async for segment in segments]
    assert [segment.text for segment in found] == ["Hello.", "Bye."]
    assert found[0].start_s == 0.0
    assert found[1].start_s == pytest.approx(2.75, abs=0.05)
    assert [engine.is_closed for engine in desk.engines] == [True]


async def test_silence_is_not_shown_to_speech_to_text() -> None:
    desk = Desk(Script(transcripts=("Thank you for watching.",)))
    async with aclosing(desk.requests.transcribe(None, bytes(48_000))) as segments:
        assert [segment async for segment in segments] == []


async def test_a_text_is_spoken() -> None:
    desk = Desk()
    async with aclosing(desk.requests.speak("desk", "One two three", voice="alloy", speed=1.0)) as runs:
        assert sum([len(pcm) async for pcm in runs]) > 0


async def test_leaving_early_gives_the_engine_back() -> None:
    desk = Desk(max_requests=1)
    for _ in range(3):
        async with aclosing(desk.requests.respond(None, REQUEST)) as events:
            async for event in events:
                assert isinstance(event, TextDelta)
                break
    assert [engine.is_closed for engine in desk.engines] == [True, True, True]


async def test_an_engine_that_fails_is_given_back_too() -> None:
    desk = Desk(Script.model_validate({"turns": [{"reply": [{"fail": "broken"}]}]}), max_requests=1)
    for _ in range(2):
        with pytest.raises(EngineError, match="broken"):
            async with aclosing(desk.requests.respond(None, REQUEST)) as events:
                assert [event async for event in events] == []
    assert all(engine.is_closed for engine in desk.engines)


async def test_one_request_too_many_waits_and_is_then_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "WAIT_S", 0.01)
    desk = Desk(max_requests=1)
    async with aclosing(desk.requests.respond(None, REQUEST)) as first:
        await anext(first)
        assert desk.requests.room() == Room(limit=1, remaining=0)
        with pytest.raises(CapacityError):
            await anext(desk.requests.respond(None, REQUEST))
    async with aclosing(desk.requests.respond(None, REQUEST)) as second:
        assert [event async for event in second][-1] == EngineDone()
    assert desk.requests.room() == Room(limit=1, remaining=1)


@pytest.mark.parametrize(
    ("ask", "error"),
    [
        (lambda desk: desk.requests.respond("nobody", REQUEST), ContractError),
        (lambda desk: desk.requests.speak("nobody", "x", voice="a", speed=1.0), ContractError),
        (lambda desk: desk.requests.transcribe("nobody", b""), ContractError),
    ],
)
async def test_an_unknown_name_is_refused(ask: Callable[[Desk], object], error: type[Exception]) -> None:
    with pytest.raises(error):
        await anext(ask(Desk()))  # type: ignore[call-overload]  # each is an iterator of its own kind


async def test_an_engine_that_is_not_there_is_told() -> None:
    with pytest.raises(EngineUnavailable, match="loading"):
        await anext(Desk(problem="The models are loading.").requests.respond(None, REQUEST))


async def test_a_cancelled_request_leaves_its_place() -> None:
    desk = Desk(Script.model_validate({"turns": [{"reply": [{"stall": True}]}]}), max_requests=1)

    async def ask() -> None:
        async with aclosing(desk.requests.respond(None, REQUEST)) as events:
            async for _ in events:
                pass

    for _ in range(2):
        task = asyncio.create_task(ask())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait({task})
    assert all(engine.is_closed for engine in desk.engines)
