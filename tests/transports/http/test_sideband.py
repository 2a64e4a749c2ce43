"""Joining and ending a live session from aside (contract 1.4, 2.1, 2.3)."""

import asyncio
import itertools
from dataclasses import replace
from typing import Any

import pytest
from aiohttp import ClientWebSocketResponse, WSMsgType, WSServerHandshakeError

from transports.port import Transport
from transports.rtp.dtmf import check_keys
from voice.protocol.client_events import ClientEvent
from voice.protocol.server_events import InputAudioBufferCleared, SessionCreated

OPS = {"Authorization": "Bearer sk-ops.with-dots_and-more"}
KIOSK = {"Authorization": "Bearer sk-kiosk"}


async def begin(service: Any) -> tuple[ClientWebSocketResponse, str]:
    """Open a session that greets as one does, and answers each event with one."""
    numbers = itertools.count(1)

    async def talk(transport: Transport) -> None:
        def answer(_: ClientEvent) -> None:
            transport.send_event(InputAudioBufferCleared(event_id=f"event_{next(numbers)}"))

        service.sessions.steer = answer
        transport.send_event(SessionCreated(event_id="event_0", session={"instructions": "Be brief."}))
        async for event in transport.client_events():
            answer(event)

    service.sessions.talk = talk
    socket = await service.client.ws_connect("/v1/realtime", headers=KIOSK)
    assert (await receive(socket))["type"] == "session.created"
    return socket, socket._response.headers["x-call-id"]


async def receive(socket: ClientWebSocketResponse) -> dict[str, Any]:
    async with asyncio.timeout(5):
        event: dict[str, Any] = await socket.receive_json()
    return event


async def test_sidebands_get_every_event_in_the_same_order_and_may_send(locked: Any) -> None:
    """Contract §8 row 19: they close as soon as the client has left."""
    primary, call_id = await begin(locked)
    assert call_id.startswith("rtc_local_")
    path = f"/v1/realtime?call_id={call_id}&model=ignored"
    sidebands = [await locked.client.ws_connect(path, headers=KIOSK) for _ in range(2)]
    for socket in sidebands:
        greeting = await receive(socket)
        assert (greeting["type"], greeting["session"]) == ("session.created", {"instructions": "Be brief."})
    for socket in (primary, *sidebands) * 5:
        await socket.send_json({"type": "input_audio_buffer.clear"})
    for socket in (primary, *sidebands):
        assert [(await receive(socket))["event_id"] for _ in range(15)] == [f"event_{n}" for n in range(1, 16)]
    assert len(locked.sessions.admitted) == 1
    await primary.close()
    for socket in sidebands:
        assert (await socket.receive(timeout=5)).type is WSMsgType.CLOSE
        assert socket.close_code == 1000
    await locked.ended()


async def test_a_sideband_that_leaves_changes_nothing(locked: Any) -> None:
    primary, call_id = await begin(locked)
    sideband = await locked.client.ws_connect(f"/v1/realtime?call_id={call_id}", headers=KIOSK)
    await receive(sideband)
    await sideband.close()
    await primary.send_json({"type": "input_audio_buffer.clear"})
    assert (await receive(primary))["event_id"] == "event_1"
    await primary.close()


async def test_flooding_sidebands_end_with_the_session(locked: Any) -> None:
    primary, call_id = await begin(locked)
    sidebands = [await locked.client.ws_connect(f"/v1/realtime?call_id={call_id}", headers=KIOSK) for _ in range(3)]
    for socket in sidebands:
        for _ in range(200):
            await socket.send_json({"type": "input_audio_buffer.clear"})
    await primary.close()
    for socket in sidebands:
        async with asyncio.timeout(5):
            async for _ in socket:
                pass
        assert socket.close_code == 1000


async def test_only_the_key_of_a_session_finds_it(locked: Any) -> None:
    """Contract §8 row 10: a secret or another key is answered by a 404 that says why, in JSON."""
    primary, call_id = await begin(locked)
    async with locked.client.post("/v1/realtime/client_secrets", json={}, headers=KIOSK) as answer:
        secret = {"Authorization": f"Bearer {(await answer.json())['value']}"}
    upgrade = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    }
    for who, wanted in ((OPS, call_id), (secret, call_id), (KIOSK, "rtc_local_0")):
        async with locked.client.get(f"/v1/realtime?call_id={wanted}", headers=upgrade | who) as answer:
            assert answer.status == 404
            assert (await answer.json())["error"]["code"] == "call_id_not_found"
    await primary.close()


async def test_hanging_up_ends_a_session_of_the_same_key(locked: Any) -> None:
    primary, call_id = await begin(locked)
    path = f"/v1/realtime/calls/{call_id}/hangup"
    async with locked.client.post(path, headers=OPS) as answer:
        assert answer.status == 404
    assert locked.sessions.stopped == []
    async with locked.client.post(path, headers=KIOSK) as answer:
        assert (answer.status, await answer.read()) == (200, b"")
    assert [code for code, _ in locked.sessions.stopped] == [1000]
    await primary.close()
    await locked.ended()
    async with locked.client.post(path, headers=KIOSK) as answer:
        assert answer.status == 404


@pytest.mark.parametrize(("action", "status"), [("accept", 409), ("reject", 409), ("refer", 400), ("dtmf", 400)])
async def test_what_only_a_call_that_rings_or_a_phone_can_do_leaves_a_session_alone(
    locked: Any, action: str, status: int
) -> None:
    """Contract §8 row 11, of `refer`: what cannot be done fails with a status, and not in silence."""
    primary, call_id = await begin(locked)
    for headers, id, expected in ((KIOSK, call_id, status), (OPS, call_id, 404), (KIOSK, "rtc_nobody", 404)):
        async with locked.client.post(f"/v1/realtime/calls/{id}/{action}", headers=headers) as answer:
            assert answer.status == expected
    assert locked.sessions.stopped == []
    await primary.close()


@pytest.mark.parametrize("query", ["?call_id=rtc_local_0&model=receptionist", "?call_id="])
async def test_an_unknown_call_takes_no_place(service: Any, query: str) -> None:
    async with service.client.get(f"/v1/realtime{query}", headers={"Upgrade": "websocket"}) as answer:
        assert answer.status == 404
    assert service.sessions.admitted == []


async def test_a_call_has_only_so_many_sidebands(locked: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("transports.http.realtime.MAX_SIDEBANDS", 1)
    primary, call_id = await begin(locked)
    path = f"/v1/realtime?call_id={call_id}"
    sideband = await locked.client.ws_connect(path, headers=KIOSK)
    await receive(sideband)
    with pytest.raises(WSServerHandshakeError) as refused:
        await locked.client.ws_connect(path, headers=KIOSK)
    assert refused.value.status == 429
    assert refused.value.headers is not None
    assert int(refused.value.headers["Retry-After"]) > 0
    await sideband.close()
    await primary.close()


async def test_sidebands_that_come_at_once_do_not_pass_the_bound_together(
    locked: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("transports.http.realtime.MAX_SIDEBANDS", 2)
    primary, call_id = await begin(locked)
    path = f"/v1/realtime?call_id={call_id}"
    comers = (locked.client.ws_connect(path, headers=KIOSK) for _ in range(6))
    results = await asyncio.gather(*comers, return_exceptions=True)
    refused = [result for result in results if isinstance(result, WSServerHandshakeError)]
    assert [error.status for error in refused] == [429] * 4
    joined = [result for result in results if isinstance(result, ClientWebSocketResponse)]
    for socket in joined:
        await receive(socket)
        await socket.close()
    await primary.close()


class Phone:
    """The telephone of a call: takes keys, or none."""

    trunk, caller, called, headers = "carrier", "+15550123", "+15550100", ()

    def __init__(self, *, takes_keys: bool = True) -> None:
        self.takes_keys = takes_keys
        self.pressed: list[str] = []

    def press(self, keys: str) -> bool:
        check_keys(keys)
        self.pressed.append(keys)
        return self.takes_keys


@pytest.mark.parametrize(
    ("body", "takes_keys", "status", "pressed"),
    [
        ('{"digits": "12#"}', True, 200, ["12#"]),
        ('{"digits": "1"}', False, 409, ["1"]),
        ('{"digits": "hello"}', True, 400, []),
        ('{"digits": ""}', True, 400, []),
        ('{"digits": 12}', True, 400, []),
        ("12#", True, 400, []),
    ],
)
async def test_keys_are_pressed_on_a_phone_call_by_its_id(
    locked: Any, body: str, takes_keys: bool, status: int, pressed: list[str]
) -> None:
    primary, call_id = await begin(locked)
    phone = Phone(takes_keys=takes_keys)
    locked.calls.add(call_id, replace(locked.calls.find(call_id, "kiosk"), phone=phone))
    async with locked.client.post(f"/v1/realtime/calls/{call_id}/dtmf", headers=KIOSK, data=body) as answer:
        assert answer.status == status
    assert phone.pressed == pressed
    await primary.close()
