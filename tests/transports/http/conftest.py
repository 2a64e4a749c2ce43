"""The application on a loopback socket, in front of sessions that are scripted here."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest
import uvloop
from aiohttp import ClientSession, web

from transports.http.app import build_app
from transports.http.auth import KeyRing
from transports.http.calls import Calls
from transports.port import Transport
from transports.webrtc.settings import WebRtcSettings
from transports.websocket import WebSocketLimits
from voice.agent import Agent
from voice.errors import ContractError
from voice.protocol.client_events import ClientEvent, InvalidEvent
from voice.protocol.server_events import ErrorBody, ErrorEvent, InputAudioBufferCleared
from voice.protocol.session_config import SessionConfig, SessionUpdateBody, merge
from voice.room import Room
from voice.tooling import PhoneCall


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Run every test here on both loops: they buffer, report and drop what is written each in its own way."""
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


Talk = Callable[[Transport], Awaitable[None]]
Serve = Callable[[web.Application], Awaitable[ClientSession]]

AGENTS = [
    Agent(name="receptionist", engine="cascade"),
    Agent(name="gpt-realtime", engine="cascade", bare=True),
]


async def answer_everything(transport: Transport) -> None:
    """Send `input_audio_buffer.cleared` first and for each event, an `error` for a bad one."""
    transport.send_event(InputAudioBufferCleared(event_id="event_0"))
    count = 0
    async for event in transport.client_events():
        count += 1
        if isinstance(event, InvalidEvent):
            body = ErrorBody(
                type=event.type, code=event.code, message=event.message, param=event.param, event_id=event.event_id
            )
            transport.send_event(ErrorEvent(event_id=f"event_{count}", error=body))
        else:
            transport.send_event(InputAudioBufferCleared(event_id=f"event_{count}"))


class FakePlace:
    session_id = "sess_fake"

    def __init__(self, sessions: "FakeSessions") -> None:
        self._sessions = sessions

    async def run(self, transport: Transport, phone: PhoneCall | None = None) -> None:
        try:
            await self._sessions.talk(transport)
        finally:
            self.release()

    async def receive(self, event: ClientEvent) -> None:
        self._sessions.steer(event)

    def stop(self, code: int, reason: str) -> None:
        self._sessions.stopped.append((code, reason))

    def release(self) -> None:
        self._sessions.active -= 1
        if not self._sessions.active:
            self._sessions.empty.set()


class FakeSessions:
    """Knows two agents; `refusal` is raised instead of giving a place, `talk` holds the session."""

    def __init__(self) -> None:
        self.problem: str | None = None
        self.active = 0
        self.empty = asyncio.Event()
        self.refusal: Exception | None = None
        self.talk: Talk = answer_everything
        self.steer: Callable[[ClientEvent], None] = lambda event: None
        """Takes what sidebands send."""
        self.admitted: list[tuple[str, str | None]] = []
        self.openings: list[SessionUpdateBody | None] = []
        self.safety_identifiers: list[str | None] = []
        self.stopped: list[tuple[int, str]] = []

    def resolve(self, model: str | None) -> Agent:
        for agent in AGENTS:
            if model in (None, agent.name):
                return agent
        raise ContractError(f"The model '{model}' does not exist.", code="model_not_found", param="model")

    def models(self) -> list[Agent]:
        return AGENTS

    def preview(self, agent: Agent, opening: SessionUpdateBody) -> dict[str, Any]:
        config = SessionConfig(id="sess_0", model=agent.name, expires_at=0)
        return merge(config, opening, voice_is_fixed=False).to_wire()

    def room(self, key_id: str | None) -> Room:
        return Room.of(5, self.active)

    def admit(
        self,
        agent: Agent,
        *,
        key_id: str | None,
        opening: SessionUpdateBody | None = None,
        safety_identifier: str | None = None,
    ) -> FakePlace:
        if self.refusal is not None:
            raise self.refusal
        self.admitted.append((agent.name, key_id))
        self.openings.append(opening)
        self.safety_identifiers.append(safety_identifier)
        self.active += 1
        self.empty.clear()
        return FakePlace(self)


class Service:
    """A started application: `client` for requests, `sessions` to script."""

    def __init__(
        self, sessions: FakeSessions, client: ClientSession, runner: web.AppRunner, port: int, calls: Calls
    ) -> None:
        self.sessions = sessions
        self.calls = calls
        self.client = client
        self.runner = runner
        self.port = port

    async def ended(self) -> None:
        """Return when no session holds a place any more."""
        async with asyncio.timeout(10):
            await self.sessions.empty.wait()


Start = Callable[..., Awaitable[Service]]


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """Return a function that starts the application with given keys and limits."""
    async with AsyncExitStack() as stack:

        async def start(
            keys: dict[str, str] | None = None,
            limits: WebSocketLimits | None = None,
            webrtc: WebRtcSettings | None = None,
            translates_beta: bool = False,
        ) -> Service:
            sessions, calls = FakeSessions(), Calls()
            app = build_app(
                sessions, KeyRing(keys), limits=limits, webrtc=webrtc, calls=calls, translates_beta=translates_beta
            )
            runner = web.AppRunner(app)
            await runner.setup()
            stack.push_async_callback(runner.cleanup)
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            port = runner.addresses[0][1]
            client = await stack.enter_async_context(ClientSession(f"http://127.0.0.1:{port}"))
            return Service(sessions, client, runner, port, calls)

        yield start


@pytest.fixture
async def service(start: Start) -> Service:
    """A service without keys."""
    return await start()


@pytest.fixture
async def locked(start: Start) -> Service:
    """A service with two keys."""
    return await start({"ops": "sk-ops.with-dots_and-more", "kiosk": "sk-kiosk"})


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Start an application on a free port; gives a client of it."""
    async with AsyncExitStack() as stack:

        async def start(app: web.Application) -> ClientSession:
            runner = web.AppRunner(app)
            await runner.setup()
            stack.push_async_callback(runner.cleanup)
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            return await stack.enter_async_context(ClientSession(f"http://127.0.0.1:{runner.addresses[0][1]}"))

        yield start
