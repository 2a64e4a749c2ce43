"""What the contract says to refuse: keys, secrets, other people's calls, and configurations. The session goes on."""

import asyncio
import json
from collections.abc import Awaitable
from typing import Any

import pytest
from openai import (
    APIStatusError,
    AsyncOpenAI,
    AuthenticationError,
    NotFoundError,
    OpenAIError,
    PermissionDeniedError,
)
from openai.resources.realtime.realtime import AsyncRealtimeConnection
from websockets.exceptions import InvalidStatus

from voice.talk.service import ServiceProcess

SHORTEST_LIFETIME_S = 10
"""That a client secret may have (contract 1.2)."""


def client(service: ServiceProcess, key: str) -> AsyncOpenAI:
    return AsyncOpenAI(
        api_key=key,
        base_url=f"{service.http_url}/v1",
        websocket_base_url=f"ws://{service.host}:{service.port}/v1",
        max_retries=0,
    )


async def refusal(openai: AsyncOpenAI, **query: str) -> tuple[int, dict[str, Any]]:
    """Try to open a session; return the status and the error that it was refused with."""
    with pytest.raises((InvalidStatus, OpenAIError)) as refused:
        await openai.realtime.connect(**query).enter()  # type: ignore[arg-type]  # model or call_id, by its name
    error = refused.value
    assert isinstance(error, InvalidStatus)
    return error.response.status_code, json.loads(error.response.body or b"{}")["error"]


async def mint(openai: AsyncOpenAI, seconds: int = 60) -> str:
    made = await openai.realtime.client_secrets.create(expires_after={"anchor": "created_at", "seconds": seconds})
    return made.value


async def test_wrong_keys_and_secrets_open_nothing(keyed: ServiceProcess) -> None:
    async with asyncio.timeout(30):
        for key in ("wrong", "ek_wrong", "ek_", "right-key2", "RIGHT-KEY"):
            async with client(keyed, key) as openai:
                status, error = await refusal(openai, model="plain")
                assert (status, error["code"]) == (401, "invalid_api_key")
                assert key not in error["message"]
                with pytest.raises((AuthenticationError, PermissionDeniedError)):
                    await openai.models.list()


async def test_a_secret_that_has_expired_opens_nothing(keyed: ServiceProcess) -> None:
    """Contract §8 row 21: refused before a socket is open."""
    async with (
        asyncio.timeout(60),
        client(keyed, "right-key") as backend,
        client(keyed, await mint(backend, SHORTEST_LIFETIME_S)) as browser,
        browser.realtime.connect(model="plain") as connection,
    ):
        assert (await connection.recv()).type == "session.created"
        await asyncio.sleep(SHORTEST_LIFETIME_S + 1)
        status, error = await refusal(browser, model="plain")
        assert status == 401
        assert "expired" in error["message"]
        # The session that it opened outlives it.
        await connection.session.update(session={"type": "realtime"})
        assert (await connection.recv()).type == "session.updated"


async def test_a_secret_is_of_no_use_but_for_a_session(keyed: ServiceProcess) -> None:
    async with (
        asyncio.timeout(30),
        client(keyed, "right-key") as backend,
        client(keyed, await mint(backend)) as browser,
        browser.realtime.connect(model="plain") as connection,
    ):
        await connection.recv()
        call_id = call_of(connection)
        requests: list[Awaitable[Any]] = [
            browser.models.list(),
            browser.realtime.client_secrets.create(),
            browser.realtime.calls.hangup(call_id),
            browser.chat.completions.create(model="gpt-realtime", messages=[{"role": "user", "content": "Hi"}]),
            browser.audio.speech.create(model="gpt-realtime", voice="alloy", input="Hi"),
        ]
        for request in requests:
            with pytest.raises((PermissionDeniedError, AuthenticationError)):
                await request
        status, error = await refusal(browser, call_id=call_id)
        assert (status, error["code"]) == (404, "call_id_not_found")
        await connection.session.update(session={"type": "realtime"})
        assert (await connection.recv()).type == "session.updated"


async def test_someone_elses_call_is_not_found(keyed: ServiceProcess) -> None:
    async with (
        asyncio.timeout(30),
        client(keyed, "right-key") as mine,
        client(keyed, "other-key") as other,
        mine.realtime.connect(model="plain") as connection,
    ):
        await connection.recv()
        call_id = call_of(connection)
        status, error = await refusal(other, call_id=call_id)
        assert (status, error["code"]) == (404, "call_id_not_found")
        with pytest.raises(NotFoundError) as refused:
            await other.realtime.calls.hangup(call_id)
        assert refused.value.code == "call_id_not_found"
        for call in (
            other.realtime.calls.reject(call_id),
            other.realtime.calls.refer(call_id, target_uri="tel:+1"),
        ):
            with pytest.raises(APIStatusError) as refused_call:
                await call
            assert refused_call.value.status_code == 404
        await connection.session.update(session={"type": "realtime"})
        assert (await connection.recv()).type == "session.updated"


def call_of(connection: AsyncRealtimeConnection) -> str:
    response = connection._connection.response
    assert response is not None
    return response.headers["x-call-id"]


VAD = {"type": "server_vad"}
SEMANTIC = {"type": "semantic_vad"}
MCP = {"type": "mcp", "server_label": "shop", "server_url": "https://shop.example"}
BAD_FIELDS: list[tuple[str, Any]] = [
    ("model", 7),
    ("model", "someone-else"),
    ("instructions", None),
    ("instructions", ["Be brief."]),
    ("output_modalities", ["audio", "text"]),
    ("output_modalities", []),
    ("output_modalities", ["smell"]),
    ("output_modalities", "audio"),
    ("max_output_tokens", 0),
    ("max_output_tokens", 4097),
    ("max_output_tokens", "many"),
    ("tool_choice", "sometimes"),
    ("tool_choice", {"type": "function"}),
    ("tools", {"type": "function", "name": "look_up"}),
    ("tools[0].type", [{"type": "plumber"}]),
    ("tools[0].name", [{"type": "function"}]),
    ("tools[0].server_label", [{"type": "mcp", "server_url": "https://shop.example"}]),
    ("tools[0].require_approval", [{**MCP, "require_approval": "now and then"}]),
    ("tools[0].allowed_tools", [{**MCP, "allowed_tools": 7}]),
    ("parallel_tool_calls", "yes"),
    ("truncation", "a little"),
    ("truncation.retention_ratio", {"type": "retention_ratio", "retention_ratio": 1.5}),
    ("truncation.retention_ratio", {"type": "retention_ratio"}),
    ("include", ["item.everything"]),
    ("include", "item.input_audio_transcription.logprobs"),
    ("prompt", "pmpt_1"),
    ("tracing", 7),
    ("reasoning.effort", "heroic"),
    ("temperature", 0.8),
    ("voice", "alloy"),
    ("modalities", ["text"]),
    ("input_audio_format", "pcm16"),
    ("turn_detection", VAD),
    ("audio", "loud"),
    ("audio.loudness", 11),
    ("audio.input.format", {"type": "audio/mp3"}),
    ("audio.input.format.rate", {"type": "audio/pcm", "rate": 16000}),
    ("audio.input.transcription.language", {"model": "whisper-1", "language": 7}),
    ("audio.input.transcription.colour", {"model": "whisper-1", "colour": "green"}),
    ("audio.input.noise_reduction.type", {"type": "middle_field"}),
    ("audio.input.turn_detection.type", {"type": "psychic_vad"}),
    ("audio.input.turn_detection.threshold", {**VAD, "threshold": 1.5}),
    ("audio.input.turn_detection.threshold", {**VAD, "threshold": "high"}),
    ("audio.input.turn_detection.silence_duration_ms", {**VAD, "silence_duration_ms": -1}),
    ("audio.input.turn_detection.prefix_padding_ms", {**VAD, "prefix_padding_ms": "some"}),
    ("audio.input.turn_detection.prefix_padding_ms", {**VAD, "prefix_padding_ms": 10**400}),
    ("audio.input.turn_detection.idle_timeout_ms", {**VAD, "idle_timeout_ms": 4999}),
    ("audio.input.turn_detection.idle_timeout_ms", {**VAD, "idle_timeout_ms": 30001}),
    ("audio.input.turn_detection.eagerness", {**VAD, "eagerness": "low"}),
    ("audio.input.turn_detection.eagerness", {**SEMANTIC, "eagerness": "extreme"}),
    ("audio.input.turn_detection.threshold", {**SEMANTIC, "threshold": 0.5}),
    ("audio.output.format", {"type": "audio/wav"}),
    ("audio.output.speed", 1.6),
    ("audio.output.speed", 0.2),
    ("audio.output.voice", 7),
]
"""The field that the error has to name, and what stands at it or at the object that holds it."""

BOUNDS = {f"{kind}_{bound}_value" for kind in ("integer", "decimal") for bound in ("below_min", "above_max")}
CODES = {"unknown_parameter", "missing_required_parameter", "invalid_value", "invalid_type", *BOUNDS}
"""Contract 4.15."""


def update_with(param: str, value: Any) -> dict[str, Any]:
    """Put a value where `param` says, or, where it is an object, at what holds that field."""
    path = param.partition("[")[0].split(".")
    if (
        isinstance(value, dict)
        and param not in ("tools", "tool_choice")
        and path[-1] not in ("format", "turn_detection")
    ):
        path = path[:-1]
    found: Any = value
    for name in reversed(path):
        found = {name: found}
    return {"type": "realtime", "instructions": "Never taken.", **found}


async def test_fifty_bad_fields_are_refused_one_by_one_and_nothing_of_them_is_taken(scripted: ServiceProcess) -> None:
    async with (
        asyncio.timeout(60),
        client(scripted, "none") as openai,
        openai.realtime.connect(model="plain") as session,
    ):
        created = json.loads(await session.recv_bytes())["session"]
        for number, (param, value) in enumerate(BAD_FIELDS):
            update: Any = update_with(param, value)
            await session.send({"type": "session.update", "session": update, "event_id": f"bad_{number}"})
            answer = json.loads(await session.recv_bytes())
            assert answer["type"] == "error", (param, value, answer)
            error = answer["error"]
            assert error["event_id"] == f"bad_{number}"
            assert error["code"] in CODES, (param, value, error)
            assert error["param"].startswith(f"session.{param}"), (param, value, error)
        await session.session.update(session={"type": "realtime"})
        updated = json.loads(await session.recv_bytes())
        assert updated["type"] == "session.updated"
        assert updated["session"] == created
        await session.response.create()
        kinds = [json.loads(await session.recv_bytes())["type"]]
        while kinds[-1] != "response.done":
            kinds.append(json.loads(await session.recv_bytes())["type"])
        assert "error" not in kinds
