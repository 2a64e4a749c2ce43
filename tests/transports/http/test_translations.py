"""`/v1/realtime/translations` over real sockets, with the scripted translator behind it."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest
from aiohttp import ClientSession, ClientWebSocketResponse, WSServerHandshakeError, web
from prometheus_client import CollectorRegistry
from structlog.contextvars import merge_contextvars
from structlog.testing import capture_logs

from tools.dispatch import Dispatcher
from transports.http.app import build_app
from transports.http.auth import KeyRing
from voice.activity import ActivityService
from voice.agent import Agent
from voice.engines.scripted import ScriptedEngine
from voice.engines.scripted_translator import ScriptedTranslator
from voice.manager import SessionManager
from voice.metrics import Metrics
from voice.places import AgentRuntime, SessionLimits

PATH = "/v1/realtime/translations"
KEY = {"Authorization": "Bearer sk-ops"}
SECOND = json.dumps({"type": "session.input_audio_buffer.append", "audio": base64.b64encode(bytes(48_000)).decode()})


class Service:
    def __init__(self, manager: SessionManager, client: ClientSession) -> None:
        self.manager = manager
        self.client = client

    async def connect(self, query: str = "", key: str = "sk-ops") -> ClientWebSocketResponse:
        return await self.client.ws_connect(PATH + query, headers={"Authorization": f"Bearer {key}"})

    async def refusal(self, query: str = "", key: str = "sk-ops") -> tuple[int, dict[str, Any]]:
        """What a client reads that asks for the upgrade and gets an answer instead."""
        headers = {"Authorization": f"Bearer {key}", "Upgrade": "websocket", "Connection": "Upgrade"}
        async with self.client.get(PATH + query, headers=headers) as answer:
            return answer.status, (await answer.json())["error"]

    async def secret(self, path: str, **session: Any) -> tuple[int, dict[str, Any]]:
        async with self.client.post(path, headers=KEY, json={"session": session}) as answer:
            return answer.status, await answer.json()


def runtime(name: str, *, translates: bool) -> AgentRuntime:
    make = (lambda _: ScriptedTranslator()) if translates else None
    return AgentRuntime(Agent(name, "scripted"), lambda _: ScriptedEngine(), Dispatcher(()), make_translator=make)


@pytest.fixture
async def start() -> AsyncIterator[Callable[..., Awaitable[Service]]]:
    async with AsyncExitStack() as stack:

        async def start(**limits: Any) -> Service:
            agents = {"polyglot": runtime("polyglot", translates=True)}
            agents |= {"native": runtime("native", translates=False)}
            manager = SessionManager(
                agents, "polyglot", ActivityService(None), SessionLimits(**limits), Metrics(CollectorRegistry())
            )
            keys = KeyRing({"ops": "sk-ops", "other": "sk-other"})
            runner = web.AppRunner(build_app(manager, keys, translations=manager))
            await runner.setup()
            stack.push_async_callback(runner.cleanup)
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            client = ClientSession(f"http://127.0.0.1:{runner.addresses[0][1]}")
            await stack.enter_async_context(client)
            return Service(manager, client)

        yield start


@pytest.fixture
async def service(start: Callable[..., Awaitable[Service]]) -> Service:
    return await start()


async def test_a_session_translates_until_it_is_closed(service: Service) -> None:
    socket = await service.connect("?model=gpt-realtime-translate")
    created = await socket.receive_json()
    assert created["session"]["model"] == "gpt-realtime-translate"
    await socket.send_str('{"type":"session.update","session":{"audio":{"output":{"language":"de"}}}}')
    await socket.send_str(SECOND)
    await socket.send_str('{"type":"session.close"}')
    frames = [json.loads(message.data) async for message in socket]
    words = "".join(frame["delta"] for frame in frames if frame["type"] == "session.output_transcript.delta")
    assert words == "hallo wie geht es"
    assert frames[-1]["type"] == "session.closed"
    assert socket.close_code == 1000
    await service.manager.drain(5)
    assert service.manager.active == 0


async def test_every_line_of_a_session_names_its_call_and_itself(service: Service) -> None:
    with capture_logs([merge_contextvars]) as logs:
        socket = await service.connect()
        created = await socket.receive_json()
        await socket.close()
        await service.manager.drain(5)
    assert [entry["event"] for entry in logs] == ["translation opened", "session started", "session ended"]
    (call_id,) = {entry["call_id"] for entry in logs}
    assert call_id.startswith("rtc_")
    assert {entry["session"] for entry in logs} == {created["session"]["id"]}


async def test_the_session_takes_a_place_and_gives_it_back_when_the_client_vanishes(
    start: Callable[..., Awaitable[Service]],
) -> None:
    service = await start(max_sessions=1)
    socket = await service.connect()
    assert service.manager.active == 1
    status, error = await service.refusal()
    assert (status, error["code"]) == (503, "capacity_exceeded")
    await socket.close()
    await service.manager.drain(5)  # would stop it only after that time, and say so
    assert socket.close_code == 1000
    assert service.manager.active == 0


async def test_draining_ends_it(service: Service) -> None:
    socket = await service.connect()
    await socket.receive_json()
    async with asyncio.TaskGroup() as group:
        group.create_task(service.manager.drain(0.01))
        await socket.receive()
    assert socket.close_code == 1001


@pytest.mark.parametrize(
    ("query", "key", "status", "code"),
    [
        ("?model=nobody", "sk-ops", 404, "model_not_found"),
        ("?model=native", "sk-ops", 400, "unsupported_model"),
        ("?model=polyglot", "sk-wrong", 401, "invalid_api_key"),
        ("", "ek_unknown", 401, "invalid_api_key"),
    ],
)
async def test_a_bad_request_is_refused_before_the_upgrade(
    service: Service, query: str, key: str, status: int, code: str
) -> None:
    found, error = await service.refusal(query, key)
    assert (found, error["code"]) == (status, code)


async def test_a_plain_request_is_told_that_this_speaks_websocket(service: Service) -> None:
    async with service.client.get(PATH, headers=KEY) as answer:
        assert answer.status == 426


async def test_a_secret_opens_the_session_that_was_configured(service: Service) -> None:
    audio = {"input": {"transcription": {"model": "gpt-realtime-whisper"}}, "output": {"language": "es"}}
    status, minted = await service.secret(f"{PATH}/client_secrets", model="polyglot", audio=audio)
    assert status == 200
    assert minted["session"]["type"] == "translation"
    assert set(minted["session"]) == {"id", "type", "expires_at", "model", "audio"}
    socket = await service.connect("?model=native", key=minted["value"])
    created = await socket.receive_json()
    assert created["session"]["model"] == "polyglot"
    assert created["session"]["audio"]["output"] == {"language": "es"}
    await socket.close()


@pytest.mark.parametrize(
    ("session", "status", "code", "param"),
    [
        ({}, 400, "missing_required_parameter", "session.model"),
        ({"model": "native"}, 400, "unsupported_model", "model"),
        ({"model": "nobody"}, 404, "model_not_found", "model"),
        ({"model": "polyglot", "voice": "alloy"}, 400, "unknown_parameter", "session.voice"),
        (
            {"model": "polyglot", "audio": {"output": {"language": "fr"}}},
            400,
            "invalid_value",
            "session.audio.output.language",
        ),
    ],
)
async def test_a_bad_configuration_makes_no_secret(
    service: Service, session: dict[str, Any], status: int, code: str, param: str
) -> None:
    found, body = await service.secret(f"{PATH}/client_secrets", **session)
    assert (found, body["error"]["code"], body["error"]["param"]) == (status, code, param)


async def test_a_secret_opens_its_own_kind_of_session_only(service: Service) -> None:
    _, translating = await service.secret(f"{PATH}/client_secrets", model="polyglot")
    _, conversing = await service.secret("/v1/realtime/client_secrets", type="realtime")
    status, error = await service.refusal(key=conversing["value"])
    assert status == 400
    assert "opens realtime sessions" in error["message"]
    with pytest.raises(WSServerHandshakeError) as refused:
        await service.client.ws_connect("/v1/realtime", headers={"Authorization": f"Bearer {translating['value']}"})
    assert refused.value.status == 400


async def test_calls_are_told_where_translations_are_served(service: Service) -> None:
    async with service.client.post(f"{PATH}/calls", headers=KEY, data="v=0") as answer:
        assert answer.status == 400
        assert PATH in (await answer.json())["error"]["message"]
