"""The sessions of a process: who is let in, by which name and with what, and how they end when the service stops."""

import asyncio
import json

import pytest
import structlog
from prometheus_client import CollectorRegistry

from tools.dispatch import Dispatcher
from transports.memory import MemoryTransport
from voice.activity import ActivityService
from voice.agent import Agent
from voice.audio.frames import CORE_RATE_HZ
from voice.engines.script import Script
from voice.engines.scripted import ScriptedEngine
from voice.errors import CapacityError, ContractError, KeyLimitReached
from voice.manager import SessionManager
from voice.metrics import Metrics
from voice.places import AgentRuntime, SessionLimits
from voice.protocol import server_events as wire_events
from voice.protocol.codec import decode_client_event
from voice.protocol.session_config import SessionUpdateBody
from voice.room import Room

CREATE = '{"type":"response.create"}'


def make_manager(**limits: float) -> SessionManager:
    runtime = AgentRuntime(Agent("test", "fake"), lambda _: ScriptedEngine(Script()), Dispatcher([]))
    bounds = SessionLimits(**{"max_sessions": 2, **limits})  # type: ignore[arg-type]
    return SessionManager({"test": runtime}, "test", ActivityService(None), bounds, Metrics(CollectorRegistry()))


@pytest.fixture
def transport() -> MemoryTransport:
    return MemoryTransport()


async def test_the_manager_admits_no_more_than_it_may():
    manager = make_manager()
    agent = manager.resolve(None)
    first, _ = manager.admit(agent), manager.admit(agent)
    with pytest.raises(CapacityError):
        manager.admit(agent)
    first.release()
    manager.admit(agent)


async def test_nobody_has_that_name():
    with pytest.raises(ContractError, match="nobody"):
        make_manager().resolve("nobody")


async def test_a_key_holds_no_more_sessions_than_it_may() -> None:
    manager = make_manager(max_sessions=9, max_sessions_per_key=1)
    agent = manager.resolve(None)
    first = manager.admit(agent, key_id="kiosk")
    with pytest.raises(KeyLimitReached):
        manager.admit(agent, key_id="kiosk")
    manager.admit(agent, key_id="ops").release()
    first.release()
    manager.admit(agent, key_id="kiosk").release()


async def test_the_room_of_a_key_is_what_ends_first() -> None:
    manager = make_manager(max_sessions=3, max_sessions_per_key=2)
    agent = manager.resolve(None)
    assert (manager.room("kiosk"), manager.room(None)) == (Room(2, 2), Room(3, 3))
    places = [manager.admit(agent, key_id="kiosk"), manager.admit(agent, key_id="ops")]
    assert (manager.room("kiosk"), manager.room(None)) == (Room(2, 1), Room(3, 1))
    places.append(manager.admit(agent, key_id="kiosk"))
    assert (manager.room("kiosk"), manager.room("ops")) == (Room(2, 0), Room(3, 0))
    for place in places:
        place.release()
    await manager.drain(0.0)
    assert manager.room("kiosk") == Room(2, 0)


async def test_a_session_begins_with_the_configuration_that_opened_it() -> None:
    manager = make_manager()
    agent = manager.resolve(None)
    opening = SessionUpdateBody(type="realtime", instructions="Be brief.")
    assert manager.preview(agent, opening)["expires_at"] == 0
    transport = MemoryTransport()
    running = asyncio.create_task(manager.admit(agent, opening=opening).run(transport))
    async with asyncio.timeout(5):
        created = await transport.until("session.created")
        assert isinstance(created, wire_events.SessionCreated)
        assert created.session["instructions"] == "Be brief."
        transport.hang_up()
        await running


@pytest.mark.parametrize("detects_turns", [True, False])
async def test_semantic_turns_can_be_asked_for_from_the_start_where_the_engine_finds_them(detects_turns: bool) -> None:
    agent = Agent("test", "fake", turn_detection={"type": "semantic_vad", "eagerness": "low"})
    runtime = AgentRuntime(agent, lambda _: ScriptedEngine(Script()), Dispatcher([]), detects_turns=detects_turns)
    metrics = Metrics(CollectorRegistry())
    manager = SessionManager({"test": runtime}, "test", ActivityService(None), SessionLimits(), metrics)
    detection = manager.preview(agent, SessionUpdateBody(type="realtime"))["audio"]["input"]["turn_detection"]
    assert detection["type"] == ("semantic_vad" if detects_turns else "server_vad")
    asked = {"type": "realtime", "audio": {"input": {"turn_detection": {"type": "semantic_vad", "eagerness": "high"}}}}
    opening = SessionUpdateBody.model_validate(asked)
    if not detects_turns:
        with pytest.raises(ContractError, match="semantic_vad"):
            manager.preview(agent, opening)
    else:
        assert manager.preview(agent, opening)["audio"]["input"]["turn_detection"]["eagerness"] == "high"


async def test_a_sideband_steers_a_session_between_the_clients_own_events(transport):
    manager = make_manager()
    place = manager.admit(manager.resolve(None))
    await place.receive(decode_client_event(CREATE))
    session = asyncio.create_task(place.run(transport))
    await transport.until("session.created")
    assert "response.created" not in [event.type for event in transport.sent]
    await place.receive(decode_client_event(CREATE))
    await transport.until("response.done")
    transport.hang_up()
    await session
    await place.receive(decode_client_event(CREATE))


async def test_audio_that_nobody_committed_in_time_is_counted_in_the_log(transport):
    manager = make_manager(input_capacity_s=0.5)
    session = asyncio.create_task(manager.admit(manager.resolve(None)).run(transport))
    update = {"type": "session.update", "session": {"type": "realtime", "audio": {"input": {"turn_detection": None}}}}
    with structlog.testing.capture_logs() as logs:
        transport.push_text(json.dumps(update))
        await transport.until("session.updated")
        transport.push_audio(bytes(CORE_RATE_HZ * 2))  # a second
        transport.push_text('{"type":"input_audio_buffer.commit"}')
        await transport.until("input_audio_buffer.committed")
        transport.hang_up()
        await session
    assert [log["lost_ms"] for log in logs if log["event"] == "input audio lost"] == [500]


async def test_a_place_that_was_stopped_before_it_began_is_never_run(transport):
    manager = make_manager()
    place = manager.admit(manager.resolve(None))
    await manager.drain(0.0)
    await place.run(transport)
    assert transport.closed == (1001, "The service is stopping.")
    assert transport.sent == []


async def test_draining_ends_sessions_that_do_not_end_by_themselves(transport):
    manager = make_manager()
    session = asyncio.create_task(manager.admit(manager.resolve(None)).run(transport))
    await transport.until("session.created")
    await manager.drain(0.0)
    await session
    assert transport.closed is not None
    assert transport.closed[0] == 1001
    assert not manager.ready
    with pytest.raises(CapacityError):
        manager.admit(manager.resolve(None))
