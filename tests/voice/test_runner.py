"""A live session over the memory transport: effects are performed in order, and everything ends with the session."""

import asyncio
import json
from collections.abc import AsyncGenerator, Callable
from functools import partial
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from transports.memory import MemoryTransport
from voice.activity import ActivityService
from voice.agent import Agent
from voice.audio.frames import CORE_RATE_HZ, AudioFrame
from voice.engines.port import (
    AudioDelta,
    Capabilities,
    EngineDone,
    EngineSettings,
    ResponseEvent,
    ResponseRequest,
    TextDelta,
    ToolCallDone,
    ToolCallStarted,
    TranscriptDone,
    TranscriptionEvent,
    TranscriptionRequest,
)
from voice.errors import EngineError, EngineUnavailable
from voice.manager import SessionManager
from voice.metrics import Metrics
from voice.places import AgentRuntime, SessionLimits
from voice.protocol import server_events as wire_events
from voice.protocol.codec import decode_client_event
from voice.runner import Runner
from voice.tooling import ServiceTools, ToolContext, ToolResult, ToolSpec

CREATE = '{"type":"response.create"}'
CANCEL = '{"type":"response.cancel"}'
WORDS = (
    '{"type":"conversation.item.create","item":{"type":"message","role":"user",'
    '"content":[{"type":"input_text","text":"hello"}]}}'
)
SECOND = AudioFrame(b"\x03\x00" * CORE_RATE_HZ, CORE_RATE_HZ)

Answer = Callable[[ResponseRequest], AsyncGenerator[ResponseEvent, None]]


class FakeEngine:
    """Answers as the test says; notes what it was told."""

    capabilities = Capabilities()

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self.configured: list[EngineSettings] = []
        self.is_open = False
        self.failure: EngineError | None = None

    async def open(self, settings: EngineSettings) -> None:
        if self.failure is not None:
            raise self.failure
        self.is_open = True

    def configure(self, settings: EngineSettings) -> None:
        self.configured.append(settings)

    def hear(self, item_id: str, frame: AudioFrame) -> None:
        """Nothing to do."""

    def drop(self, item_id: str) -> None:
        """Nothing to do."""

    def respond(self, request: ResponseRequest) -> AsyncGenerator[ResponseEvent, None]:
        return self._answer(request)

    async def transcribe(self, request: TranscriptionRequest) -> AsyncGenerator[TranscriptionEvent, None]:
        yield TranscriptDone("hello")

    async def aclose(self) -> None:
        self.is_open = False


class FakeTools(ServiceTools):
    """One tool, which waits until it is let go."""

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.contexts: list[ToolContext] = []
        self.was_cancelled = False

    def specs(self) -> list[ToolSpec]:
        return [ToolSpec("book", "Books.", {"type": "object"}, server_label="fake")]

    async def run(self, name: str, arguments: str, context: ToolContext) -> ToolResult:
        self.contexts.append(context)
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.was_cancelled = True
            raise
        return ToolResult("done")


class NoTools(ServiceTools):
    def specs(self) -> list[ToolSpec]:
        return []

    async def run(self, name: str, arguments: str, context: ToolContext) -> ToolResult:
        raise AssertionError("there is no tool")


async def hello(request: ResponseRequest) -> AsyncGenerator[ResponseEvent, None]:
    yield TextDelta("Hello.")
    yield AudioDelta(SECOND)
    yield EngineDone()


def make_manager(engine: FakeEngine, tools: ServiceTools | None = None, **limits: float) -> SessionManager:
    runtime = AgentRuntime(Agent("test", "fake"), lambda _: engine, tools or NoTools())
    bounds = SessionLimits(**{"max_sessions": 2, **limits})  # type: ignore[arg-type]
    return SessionManager({"test": runtime}, "test", ActivityService(None), bounds, Metrics(CollectorRegistry()))


async def converse(engine: FakeEngine, transport: MemoryTransport, tools: ServiceTools | None = None) -> None:
    manager = make_manager(engine, tools)
    async with asyncio.timeout(5):
        await manager.admit(manager.resolve(None)).run(transport)
    assert manager.active == 0
    others = asyncio.all_tasks() - {asyncio.current_task()}
    assert not [task.get_name() for task in others if not task.get_name().startswith("Task-")]


@pytest.fixture
def transport() -> MemoryTransport:
    return MemoryTransport()


async def test_a_response_reaches_the_transport_in_the_order_it_was_decided(transport):
    async def client() -> None:
        await transport.until("session.created")
        transport.push_text(CREATE)
        await transport.until("response.done")
        transport.hang_up()

    engine = FakeEngine(hello)
    await asyncio.gather(converse(engine, transport), client())
    kinds = [getattr(each, "type", type(each).__name__) for each in transport.output]
    assert kinds[0] == "session.created"
    assert kinds.index("response.output_audio_transcript.delta") < kinds.index("PlayAudio")
    assert kinds.index("PlayAudio") < kinds.index("FinishAudio") < kinds.index("response.output_audio.done")
    assert not engine.is_open
    assert transport.closed == (1000, "")


async def test_a_cancelled_response_gives_nothing_more_and_its_task_ends(transport):
    ended = asyncio.Event()

    async def endless(request: ResponseRequest) -> AsyncGenerator[ResponseEvent, None]:
        try:
            while True:
                yield AudioDelta(AudioFrame(b"\x00\x00" * 480, CORE_RATE_HZ))
                await asyncio.sleep(0)
        finally:
            ended.set()

    async def client() -> None:
        await transport.until("session.created")
        transport.push_text(CREATE)
        await transport.until("response.content_part.added")
        transport.push_text(CANCEL)
        await transport.until("response.done")
        played = len(transport.played)
        await ended.wait()
        assert len(transport.played) == played
        transport.hang_up()

    await asyncio.gather(converse(FakeEngine(endless), transport), client())


async def test_a_failing_engine_fails_the_response_and_the_next_one_works(transport):
    calls = 0

    async def flaky(request: ResponseRequest) -> AsyncGenerator[ResponseEvent, None]:
        nonlocal calls
        calls += 1
        yield TextDelta("I")
        if calls == 1:
            raise EngineUnavailable("The model died.")
        yield EngineDone()

    async def client() -> None:
        await transport.until("session.created")
        transport.push_text(CREATE)
        first = await transport.until("response.done")
        assert isinstance(first, wire_events.ResponseDone)
        assert first.response.status == "failed"
        transport.push_text(CREATE)
        second = await transport.until("response.done", 2)
        assert isinstance(second, wire_events.ResponseDone)
        assert second.response.status == "completed"
        transport.hang_up()

    await asyncio.gather(converse(FakeEngine(flaky), transport), client())


async def test_an_engine_that_just_stops_fails_the_response(transport):
    async def silent(request: ResponseRequest) -> AsyncGenerator[ResponseEvent, None]:
        yield TextDelta("I")

    async def client() -> None:
        await transport.until("session.created")
        transport.push_text(CREATE)
        done = await transport.until("response.done")
        assert isinstance(done, wire_events.ResponseDone)
        assert done.response.status_details is not None
        assert done.response.status_details.error is not None
        assert done.response.status_details.error.code == "engine_protocol_error"
        transport.hang_up()

    await asyncio.gather(converse(FakeEngine(silent), transport), client())


async def test_audio_waits_for_the_transport_and_events_do_not(transport):
    slow = MemoryTransport(plays_in_real_time=True, buffer_ms=100)

    async def client() -> None:
        await slow.until("session.created")
        slow.push_text(CREATE)
        await slow.until("response.content_part.added")
        for _ in range(20):
            await asyncio.sleep(0)
        assert "response.done" not in [event.type for event in slow.sent]
        slow.push_text('{"type":"input_audio_buffer.clear"}')
        await slow.until("input_audio_buffer.cleared")
        slow.advance(1000)
        await slow.until("output_audio_buffer.stopped")
        slow.hang_up()

    await asyncio.gather(converse(FakeEngine(hello), slow), client())


async def test_a_flush_truncates_at_what_was_heard():
    transport = MemoryTransport(plays_in_real_time=True)

    async def client() -> None:
        await transport.until("session.created")
        transport.push_text(CREATE)
        await transport.until("response.done")
        transport.advance(400)
        transport.push_text('{"type":"output_audio_buffer.clear"}')
        await transport.until("output_audio_buffer.cleared")
        truncated = await transport.until("conversation.item.truncated")
        assert isinstance(truncated, wire_events.ConversationItemTruncated)
        assert truncated.audio_end_ms == 400
        transport.hang_up()

    await asyncio.gather(converse(FakeEngine(hello), transport), client())


async def test_a_slow_tool_runs_beside_the_session_and_its_result_is_answered(transport):
    tools = FakeTools()

    async def think(request: ResponseRequest) -> AsyncGenerator[ResponseEvent, None]:
        if not request.items:
            yield TextDelta("One moment.")
            yield AudioDelta(SECOND)
            yield ToolCallStarted("c1", "book")
            yield ToolCallDone("c1", "book", "{}")
        else:
            yield TextDelta("It is booked.")
        yield EngineDone()

    async def client() -> None:
        await transport.until("session.created")
        transport.push_text(CREATE)
        await transport.until("response.mcp_call.in_progress")
        transport.push_text('{"type":"input_audio_buffer.clear"}')
        await transport.until("input_audio_buffer.cleared")
        tools.go.set()
        await transport.until("response.done", 2)
        transport.hang_up()

    await asyncio.gather(converse(FakeEngine(think), transport, tools), client())
    assert tools.contexts[0].agent == "test"


async def test_a_client_that_hangs_up_in_mid_tool_leaves_nothing_running(transport):
    tools = FakeTools()

    async def think(request: ResponseRequest) -> AsyncGenerator[ResponseEvent, None]:
        yield ToolCallStarted("c1", "book")
        yield ToolCallDone("c1", "book", "{}")
        yield EngineDone()

    async def client() -> None:
        await transport.until("session.created")
        transport.push_text(CREATE)
        await transport.until("response.mcp_call.in_progress")
        await asyncio.sleep(0)  # the tool begins
        transport.hang_up()

    await asyncio.gather(converse(FakeEngine(think), transport, tools), client())
    assert len(tools.contexts) == 1
    assert tools.was_cancelled


async def test_an_engine_that_cannot_open_ends_the_session_with_an_error(transport):
    engine = FakeEngine(hello)
    engine.failure = EngineUnavailable("No model.")
    await converse(engine, transport)
    assert [event.type for event in transport.sent] == ["error"]
    assert transport.closed is not None
    assert transport.closed[0] == 1013


async def test_a_fault_of_the_engine_costs_the_response_and_not_the_call(transport):
    async def broken(request: ResponseRequest) -> AsyncGenerator[ResponseEvent, None]:
        yield TextDelta("I")
        raise ZeroDivisionError

    async def client() -> None:
        await transport.until("session.created")
        transport.push_text(CREATE)
        done = await transport.until("response.done")
        assert isinstance(done, wire_events.ResponseDone)
        assert done.response.status == "failed"
        transport.hang_up()

    await asyncio.gather(converse(FakeEngine(broken), transport), client())
    assert transport.closed == (1000, "")


async def test_a_fault_of_ours_ends_that_session_only(transport, monkeypatch):
    def broken(*_: object) -> None:
        raise ZeroDivisionError

    async def client() -> None:
        await transport.until("session.created")
        monkeypatch.setattr("voice.session.session.Session.receive_engine_event", broken)
        transport.push_text(CREATE)

    await asyncio.gather(converse(FakeEngine(hello), transport), client())
    assert transport.closed == (1011, "The server had an error.")


async def test_a_fault_in_a_verdict_on_voice_ends_that_session_too(transport, monkeypatch):
    def broken(*_: object) -> None:
        raise ZeroDivisionError

    async def client() -> None:
        await transport.until("session.created")
        monkeypatch.setattr("voice.session.turn.Turn.receive_voice_activity", broken)
        transport.push_audio(bytes(2 * CORE_RATE_HZ))

    await asyncio.gather(converse(FakeEngine(hello), transport), client())
    assert transport.closed == (1011, "The server had an error.")


async def test_when_its_time_is_over_a_session_says_so_and_goes_away(transport):
    manager = make_manager(FakeEngine(hello), max_duration_s=0.01)
    async with asyncio.timeout(5):
        await manager.admit(manager.resolve(None)).run(transport)
    assert [event.type for event in transport.sent] == ["session.created", "error"]
    assert transport.sent[-1].error.code == "session_expired"
    assert transport.closed == (1001, transport.sent[-1].error.message)


async def test_a_fault_in_a_timer_ends_that_session_too(transport, monkeypatch):
    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("voice.session.session.Session.handle_timer", broken)
    manager = make_manager(FakeEngine(hello), max_duration_s=0.01)
    async with asyncio.timeout(5):
        await manager.admit(manager.resolve(None)).run(transport)
    assert transport.closed == (1011, "The server had an error.")


async def test_a_transcription_that_just_stops_has_failed_and_the_item_stays(transport):
    class Deaf(FakeEngine):
        async def transcribe(self, request: TranscriptionRequest) -> AsyncGenerator[TranscriptionEvent, None]:
            nothing: list[TranscriptionEvent] = []
            for event in nothing:
                yield event

    async def client() -> None:
        audio = {"input": {"turn_detection": None, "transcription": {"model": "whisper-1"}}}
        transport.push_text(json.dumps({"type": "session.update", "session": {"type": "realtime", "audio": audio}}))
        transport.push_audio(bytes(CORE_RATE_HZ))
        transport.push_text('{"type":"input_audio_buffer.commit"}')
        failed = await transport.until("conversation.item.input_audio_transcription.failed")
        transport.push_text(json.dumps({"type": "conversation.item.retrieve", "item_id": failed.item_id}))
        await transport.until("conversation.item.retrieved")
        transport.hang_up()

    await asyncio.gather(converse(Deaf(hello), transport), client())


async def test_a_session_that_has_ended_takes_nothing_more_and_lets_go_of_what_was_said(transport, monkeypatch):
    runners: list[Runner] = []
    init = Runner.__init__

    def noting(self: Runner, *given: Any, **named: Any) -> None:
        init(self, *given, **named)
        runners.append(self)

    monkeypatch.setattr(Runner, "__init__", noting)
    manager = make_manager(FakeEngine(hello))
    running = asyncio.create_task(manager.admit(manager.resolve(None)).run(transport))
    transport.push_text(WORDS)
    for _ in range(100):
        await asyncio.sleep(0)
    assert transport.sent[-1].type == "conversation.item.done"
    (runner,) = runners
    running.cancel()
    await asyncio.wait({running})
    sent = len(transport.sent)
    assert not runner._take_now(decode_client_event(WORDS))
    assert not runner._take_sound("resp_1", AudioDelta(AudioFrame(bytes(960), 24_000)))
    assert len(transport.sent) == sent
    assert runner._session.conversation.items == ()
    assert runner._alarm._handle is None


async def test_a_fault_in_an_event_that_is_taken_where_it_arrives_ends_the_session(transport, monkeypatch):
    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("voice.session.session.Session.receive_client_event", broken)
    monkeypatch.setattr(transport, "client_events", partial(_offered, decode_client_event(CREATE)))
    manager = make_manager(FakeEngine(hello))
    async with asyncio.timeout(5):
        await manager.admit(manager.resolve(None)).run(transport)
    assert transport.closed == (1011, "The server had an error.")


async def _offered(event: Any, take: Any) -> AsyncGenerator[Any, None]:
    assert take(event)
    await asyncio.Event().wait()
    yield
