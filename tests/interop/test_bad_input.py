"""Bad input against the whole service: an error event or a plain refusal, and the session goes on."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from voice.talk.service import ServiceProcess


@pytest.fixture
async def socket(scripted: ServiceProcess) -> AsyncIterator[ClientConnection]:
    """A session that stands."""
    async with connect(f"{scripted.url}?model=plain", max_size=None, compression=None) as connection:
        first = await receive(connection)
        assert first["type"] == "session.created"
        yield connection


async def receive(connection: ClientConnection, kind: str | None = None) -> dict[str, Any]:
    async with asyncio.timeout(10):
        while True:
            event: dict[str, Any] = json.loads(await connection.recv())
            if kind in (None, event["type"]):
                return event


async def still_answers(connection: ClientConnection) -> None:
    await connection.send('{"type":"response.cancel","event_id":"still_there"}')
    while True:
        event = await receive(connection, "error")
        if event["error"]["event_id"] == "still_there":
            assert event["error"]["code"] == "response_cancel_not_active"
            return


def append(audio: str) -> str:
    return json.dumps({"type": "input_audio_buffer.append", "audio": audio, "event_id": "mine"})


BAD_EVENTS = {
    "invalid JSON": ("{not json", None),
    "an array": ("[]", None),
    "unknown type": ('{"type":"session.explode","event_id":"mine"}', "type"),
    "no type": ('{"event_id":"mine"}', "type"),
    "missing field": ('{"type":"conversation.item.retrieve","event_id":"mine"}', "item_id"),
    "mistyped field": ('{"type":"conversation.item.retrieve","item_id":7,"event_id":"mine"}', "item_id"),
    "unknown field": ('{"type":"session.update","session":{"type":"realtime","x":1},"event_id":"mine"}', "session.x"),
    "bad base64": (append("%%%%"), "audio"),
    "odd byte count": (append(base64.b64encode(b"abc").decode()), "audio"),
    "empty commit": ('{"type":"input_audio_buffer.commit","event_id":"mine"}', None),
}


@pytest.mark.parametrize("name", BAD_EVENTS)
async def test_a_bad_event_gets_an_error_event_and_nothing_else(socket: ClientConnection, name: str) -> None:
    text, param = BAD_EVENTS[name]
    await socket.send(text)
    error = (await receive(socket, "error"))["error"]
    assert error["type"] == "invalid_request_error"
    assert error["message"]
    if param is not None:
        assert error["param"] == param
    if '"mine"' in text:
        assert error["event_id"] == "mine"
    await still_answers(socket)


async def test_sixteen_megabytes_of_audio_are_refused(socket: ClientConnection) -> None:
    await socket.send(append(base64.b64encode(bytes(16 * 1024 * 1024)).decode()))
    assert (await receive(socket, "error"))["error"]["event_id"] == "mine"
    await still_answers(socket)


async def test_a_binary_frame_harms_nobody(socket: ClientConnection) -> None:
    await socket.send(b"\x00\x01\x02")
    assert (await receive(socket, "error"))["error"]["message"]
    await still_answers(socket)


async def test_a_flood_of_bad_events_is_answered_one_by_one(socket: ClientConnection) -> None:
    for _ in range(2_000):
        await socket.send('{"type":"nonsense"}')
    for _ in range(2_000):
        await receive(socket, "error")
    await still_answers(socket)


async def test_an_unknown_model_is_refused_by_name(scripted: ServiceProcess) -> None:
    with pytest.raises(InvalidStatus) as refused:
        await connect(f"{scripted.url}?model=nobody")
    body = json.loads(refused.value.response.body or b"{}")
    assert 400 <= refused.value.response.status_code < 500
    assert body["error"]["code"] == "model_not_found"
    assert "nobody" in body["error"]["message"]


async def test_a_client_that_never_reads_loses_only_its_own_session(
    scripted: ServiceProcess, socket: ClientConnection
) -> None:
    """Its answers pile up until the service reads no more of it; after 20 s without progress it is given up."""
    part = {"type": "input_text", "text": "x" * 64_000}
    item = {"type": "message", "role": "user", "content": [part]}
    long_message = json.dumps({"type": "conversation.item.create", "item": item})
    url = f"{scripted.url}?model=plain"
    # Without pings: it is the service that gives up, not the client.
    deaf = await connect(url, max_size=None, compression=None, max_queue=1, ping_interval=None)
    try:
        async with asyncio.timeout(30):
            for _ in range(2_000):
                await deaf.send(long_message)  # comes back twice: as added, and as done
            pytest.fail("the service kept everything")
    except (ConnectionClosed, ConnectionError):
        pass
    finally:
        deaf.transport.abort()
    await still_answers(socket)


async def test_without_the_right_key_nobody_comes_in(keyed: ServiceProcess) -> None:
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic right-key"}):
        with pytest.raises(InvalidStatus) as refused:
            await connect(keyed.url, additional_headers=headers)
        assert refused.value.response.status_code == 401
        assert json.loads(refused.value.response.body or b"{}")["error"]["code"] == "invalid_api_key"
    async with connect(keyed.url, additional_headers={"Authorization": "Bearer right-key"}) as connection:
        assert (await receive(connection))["type"] == "session.created"
    offered: Any = ["realtime", "openai-insecure-api-key.right-key"]
    async with connect(keyed.url, subprotocols=offered) as connection:
        assert connection.subprotocol == "realtime"
