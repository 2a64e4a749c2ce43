"""A service in this process, without sockets, for the kit to check; and the ways in which it may be made wrong."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from tools.dispatch import Dispatcher
from transports.memory import MemoryTransport
from transports.wire_audio import AudioDeltas
from voice.activity import ActivityService
from voice.agent import Agent
from voice.conformance import types_check
from voice.conformance.client import Settings
from voice.conformance.command import OWN_CONFIG
from voice.conformance.flows import chosen
from voice.conformance.play import play
from voice.conformance.results import FlowResult
from voice.conformance.verdict import NotServed
from voice.conformance.wire import Refused, WireClosed
from voice.engines.script import Script
from voice.engines.scripted import ScriptedEngine
from voice.ids import Ids
from voice.manager import SessionManager
from voice.metrics import Metrics
from voice.places import AgentRuntime, SessionLimits
from voice.protocol.codec import encode_server_event
from voice.protocol.server_events import ServerEvent
from voice.session.effects import FinishAudio, PlayAudio

Frame = dict[str, Any]
Fault = Callable[[Frame], list[Any]]
"""Takes each frame of the server; returns what goes out in its place: frames, texts, bytes, or an exception."""


class MemoryWire:
    """A session's end for the kit."""

    def __init__(self, transport: MemoryTransport, session: Awaitable[None], fault: Fault) -> None:
        self._transport = transport
        self._session = asyncio.ensure_future(session)
        self._fault = fault
        self._deltas = AudioDeltas(Ids("delta"))
        self._position = 0
        self._pending: list[Any] = []

    async def send(self, text: str) -> None:
        self._transport.push_text(text)

    async def receive(self) -> str | bytes:
        while not self._pending:
            while self._position >= len(self._transport.output):
                if self._transport.closed is not None:
                    raise WireClosed(*self._transport.closed)
                await self._transport._next_change()
            output = self._transport.output[self._position]
            self._position += 1
            self._pending += [each for text in self._texts(output) for each in self._fault(json.loads(text))]
        found = self._pending.pop(0)
        if isinstance(found, Exception):
            raise found
        return found if isinstance(found, (str, bytes)) else json.dumps(found)

    def _texts(self, output: Any) -> list[str]:
        if isinstance(output, PlayAudio):
            return list(self._deltas.encode(output))
        if isinstance(output, FinishAudio):
            return list(self._deltas.finish(output))
        assert isinstance(output, ServerEvent)
        return [encode_server_event(output)]

    async def aclose(self) -> None:
        self._transport.hang_up()
        await self._session


@dataclass
class FakeServer:
    """Opens sessions with the scripted engine, whose frames pass through `fault`."""

    settings: Settings
    fault: Fault = lambda frame: [frame]
    refuses: Refused | None = None
    is_call: bool = False
    manager: SessionManager = field(init=False)

    def __post_init__(self) -> None:
        script = Script.from_yaml(OWN_CONFIG.parent / "dialogue.yaml")

        async def at_once(_: float) -> None:
            await asyncio.sleep(0)

        runtime = AgentRuntime(
            Agent("test", "scripted"), lambda _: ScriptedEngine(script, sleep=at_once), Dispatcher(())
        )
        metrics = Metrics(CollectorRegistry())
        self.manager = SessionManager({"test": runtime}, "test", ActivityService(None), SessionLimits(), metrics)

    async def open(self, query: Any = None) -> MemoryWire:
        if self.refuses is not None:
            raise self.refuses
        transport = MemoryTransport()
        place = self.manager.admit(self.manager.resolve(None))
        return MemoryWire(transport, place.run(transport), self.fault)

    async def open_leg(self) -> MemoryWire:
        raise NotServed("there is no media")


@pytest.fixture
def server() -> FakeServer:
    """A server that is right, until a test sets its `fault`."""
    return FakeServer(Settings(timeout_s=0.3, quiet_s=0.02, paced=False))


Play = Callable[[str], Awaitable[FlowResult]]


@pytest.fixture
def play_flow(server: FakeServer) -> Play:
    """Play a flow by its name."""

    async def run(name: str) -> FlowResult:
        (flow,) = chosen([name])
        async with asyncio.timeout(20):
            return await play(server, flow, types_check.load())

    return run
