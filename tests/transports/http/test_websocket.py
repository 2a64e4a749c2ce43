"""A session's WebSocket under good and bad clients, on loopback sockets (contract 2.4 to 2.6)."""

import asyncio
import base64
import contextvars
import socket as sockets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import ClientWebSocketResponse, WSMsgType

from transports.outbox import OutboxLimits
from transports.websocket import WebSocketLimits
from voice.audio.frames import CORE_RATE_HZ, AudioFrame
from voice.protocol.server_events import InputAudioBufferCleared
from voice.session.effects import FinishAudio, PlayAudio

CLEAR = '{"type":"input_audio_buffer.clear"}'


@asynccontextmanager
async def connected(service: Any) -> AsyncIterator[ClientWebSocketResponse]:
    """Connect and take the first event."""
    async with service.client.ws_connect("/v1/realtime", max_msg_size=0) as socket:
        await receive(socket)
        yield socket


async def receive(socket: ClientWebSocketResponse) -> dict[str, Any]:
    async with asyncio.timeout(10):
        event: dict[str, Any] = await socket.receive_json()
    return event


async def silent_client(service: Any) -> sockets.socket:
    """Do the handshake on a bare socket, and never read again."""
    raw = sockets.socket()
    raw.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, 4096)
    raw.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(raw, ("127.0.0.1", service.port))
    await loop.sock_sendall(
        raw,
        b"GET /v1/realtime HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    )
    assert (await loop.sock_recv(raw, 64)).startswith(b"HTTP/1.1 101")
    return raw


def masked(text: str, opcode: int = 1) -> bytes:
    """Return a short client frame, masked with zeros."""
    payload = text.encode()
    assert len(payload) < 126
    return bytes([0x80 | opcode, 0x80 | len(payload), 0, 0, 0, 0]) + payload


def play(pcm: bytes) -> PlayAudio:
    return PlayAudio("resp_1", "item_1", 0, 0, AudioFrame(pcm, CORE_RATE_HZ), "audio/pcm")


# ---- bad input


@pytest.mark.parametrize(
    ("text", "code", "param", "event_id"),
    [
        ("{", "invalid_json", None, None),
        ("[]", "invalid_type", None, None),
        ('{"event_id":"e1"}', "missing_required_parameter", "type", "e1"),
        ('{"type":"nonsense","event_id":"e1"}', "invalid_value", "type", "e1"),
        ('{"type":"input_audio_buffer.append","event_id":"e1"}', "missing_required_parameter", "audio", "e1"),
        ('{"type":"input_audio_buffer.append","event_id":"e1","audio":7}', "invalid_type", "audio", "e1"),
        ('{"type":"input_audio_buffer.append","event_id":"e1","audio":"%%%"}', "invalid_value", "audio", "e1"),
    ],
)
async def test_a_bad_event_is_answered_and_the_socket_stays_open(
    service: Any, text: str, code: str, param: str | None, event_id: str | None
) -> None:
    async with connected(service) as socket:
        await socket.send_str(text)
        error = (await receive(socket))["error"]
        assert (error["code"], error["param"], error["event_id"]) == (code, param, event_id)
        await socket.send_str(CLEAR)
        assert (await receive(socket))["type"] == "input_audio_buffer.cleared"


async def test_a_binary_frame_is_answered_with_an_error(service: Any) -> None:
    async with connected(service) as socket:
        await socket.send_bytes(b"\x00" * 100)
        event = await receive(socket)
        assert (event["type"], event["error"]["type"]) == ("error", "invalid_request_error")
        assert "binary" in event["error"]["message"]
        await socket.send_str(CLEAR)
        assert (await receive(socket))["type"] == "input_audio_buffer.cleared"


async def test_an_append_of_15_mib_is_taken_and_one_of_16_is_refused(service: Any) -> None:
    async with connected(service) as socket:
        for mib, answer in ((15, "input_audio_buffer.cleared"), (16, "error")):
            audio = base64.b64encode(bytes(mib * 1024 * 1024)).decode()
            await socket.send_str(f'{{"type":"input_audio_buffer.append","event_id":"big","audio":"{audio}"}}')
            event = await receive(socket)
            assert event["type"] == answer
        assert (event["error"]["param"], event["error"]["event_id"]) == ("audio", "big")
        await socket.send_str(CLEAR)
        assert (await receive(socket))["type"] == "input_audio_buffer.cleared"


async def test_a_message_beyond_24_mib_closes_with_1009(service: Any) -> None:
    async with connected(service) as socket:
        await socket.send_str("x" * (24 * 1024 * 1024))
        assert (await receive(socket))["type"] == "error"
        await socket.send_str("x" * (24 * 1024 * 1024 + 1))
        async with asyncio.timeout(10):
            assert (await socket.receive()).type is WSMsgType.CLOSE
        assert socket.close_code == 1009
    await service.ended()


async def test_a_message_far_beyond_the_limit_ends_the_session_without_being_gathered(service: Any) -> None:
    raw = await silent_client(service)
    await asyncio.get_running_loop().sock_sendall(raw, b"\x81\xff" + (1 << 40).to_bytes(8, "big") + bytes(1000))
    await service.ended()
    raw.close()


async def test_text_that_is_not_utf8_closes_with_1007(service: Any) -> None:
    async with connected(service) as socket:
        await socket.send_frame(b"\xff\xfe", WSMsgType.TEXT)
        async with asyncio.timeout(10):
            await socket.receive()
        assert socket.close_code == 1007
    await service.ended()


async def test_pings_are_answered(service: Any) -> None:
    async with service.client.ws_connect("/v1/realtime", autoping=False) as socket:
        await receive(socket)
        await socket.ping(b"are you there")
        async with asyncio.timeout(10):
            answer = await socket.receive()
        assert (answer.type, bytes(answer.data)) == (WSMsgType.PONG, b"are you there")


async def test_events_that_are_taken_where_they_arrive_and_those_that_are_not_keep_their_order(service: Any) -> None:
    whose = contextvars.ContextVar("whose", default="nobody's")
    came: list[tuple[str, str, bool]] = []
    sent = [f"e{index}" for index in range(100)]

    async def note(transport: Any) -> None:
        whose.set("this session's")

        def take(event: Any) -> bool:
            if event.event_id.endswith("7"):
                return False
            came.append((event.event_id, whose.get(), True))
            return True

        transport.send_event(InputAudioBufferCleared(event_id="event_0"))
        async for event in transport.client_events(take):
            came.append((event.event_id, whose.get(), False))
            if len(came) == len(sent):
                return

    service.sessions.talk = note
    async with connected(service) as socket:
        for each in sent:
            await socket.send_str(f'{{"type":"input_audio_buffer.clear","event_id":"{each}"}}')
        await service.ended()
    assert [(each, owner) for each, owner, _ in came] == [(each, "this session's") for each in sent]
    assert {was_taken for *_, was_taken in came} == {True, False}


# ---- floods and clients that do not read


@pytest.mark.parametrize("takes", [False, True])
async def test_a_flood_of_one_client_leaves_the_others_served(service: Any, takes: bool) -> None:
    """The flood lies ready in the server's buffers; another's event is answered before it is through."""
    answered: list[str] = []

    async def note(transport: Any) -> None:
        def take(event: Any) -> bool:
            answered.append(event.event_id)
            transport.send_event(InputAudioBufferCleared(event_id="event_1"))
            return True

        transport.send_event(InputAudioBufferCleared(event_id="event_0"))
        async for event in transport.client_events(take if takes else None):
            take(event)

    service.sessions.talk = note
    flood = b"".join(masked(f'{{"type":"input_audio_buffer.clear","event_id":"f{index}"}}') for index in range(5000))
    raw = await silent_client(service)
    async with connected(service) as polite:
        sending = asyncio.create_task(asyncio.get_running_loop().sock_sendall(raw, flood))
        await polite.send_str('{"type":"input_audio_buffer.clear","event_id":"polite"}')
        await receive(polite)
        assert "polite" in answered[:2000]
        raw.close()
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
    await service.ended()


async def test_a_client_that_never_reads_is_dropped_and_its_memory_bounded(start: Any) -> None:
    limits = WebSocketLimits(outbox=OutboxLimits(limit_bytes=256 * 1024))
    service = await start(limits=limits)
    highest = 0

    async def chatter(transport: Any) -> None:
        nonlocal highest
        for _ in range(200):
            for _ in range(50):
                transport.send_event(InputAudioBufferCleared(event_id="x" * 1000))
                highest = max(highest, transport._primary._outbox.queued_bytes)
            await asyncio.sleep(0)
        assert [event async for event in transport.client_events()] == []

    service.sessions.talk = chatter
    raw = await silent_client(service)
    await service.ended()
    raw.close()
    assert highest < 256 * 1024 + 5000
    async with service.client.get("/metrics") as answer:
        assert "voice_websocket_slow_consumers_total 1.0" in await answer.text()


async def test_audio_for_a_client_that_never_reads_waits_and_then_drops_it(start: Any) -> None:
    limits = WebSocketLimits(outbox=OutboxLimits(high_water_bytes=64 * 1024, stall_s=0.1))
    service = await start(limits=limits)
    seconds = 0
    ended = asyncio.Event()

    async def talk(transport: Any) -> None:
        nonlocal seconds

        async def generate() -> None:
            nonlocal seconds
            while True:
                await transport.wait_playable()
                transport.play_audio(play(bytes(2 * CORE_RATE_HZ)))
                seconds += 1
                await asyncio.sleep(0)

        engine = asyncio.create_task(generate())
        async for _ in transport.client_events():
            pass
        engine.cancel()
        ended.set()

    service.sessions.talk = talk
    raw = await silent_client(service)
    async with asyncio.timeout(10):
        await ended.wait()
    await service.ended()
    raw.close()
    assert seconds < 200  # the kernel's own buffers and the high water; then it waited


@pytest.mark.parametrize(("opcode", "takes"), [(1, False), (1, True), (9, False)])
async def test_a_client_that_asks_and_never_reads_is_not_read_from_either(start: Any, opcode: int, takes: bool) -> None:
    """Events and pings alike: answers pile up to the limit, then the client stands still and is dropped."""
    limits = WebSocketLimits(outbox=OutboxLimits(limit_bytes=64 * 1024, stall_s=0.1))
    service = await start(limits=limits)
    highest = 0

    async def answer(transport: Any) -> None:
        def take(_: Any) -> bool:
            nonlocal highest
            for _ in range(4):
                transport.send_event(InputAudioBufferCleared(event_id="x" * 2000))
            highest = max(highest, transport._primary._outbox.queued_bytes)
            return True

        async for event in transport.client_events(take if takes else None):
            take(event)

    service.sessions.talk = answer
    raw = await silent_client(service)
    loop = asyncio.get_running_loop()

    async def ask() -> None:
        await loop.sock_sendall(raw, masked(CLEAR) * 2000)
        while True:
            await loop.sock_sendall(raw, masked("" if opcode == 9 else CLEAR, opcode) * 1000)

    asking = asyncio.create_task(ask())
    await service.ended()
    with pytest.raises(ConnectionError):
        await asking
    raw.close()
    assert highest < 64 * 1024 + 10_000


# ---- ends


async def test_a_client_that_closes_ends_the_session_politely(service: Any) -> None:
    async with connected(service) as socket:
        await socket.close()
        assert socket.close_code == 1000
    await service.ended()


async def test_a_killed_client_ends_the_session(service: Any) -> None:
    raw = await silent_client(service)
    raw.close()
    await service.ended()


async def test_closing_sends_what_is_queued_first_with_code_and_reason(service: Any) -> None:
    async def leave(transport: Any) -> None:
        for _ in range(300):
            transport.play_audio(play(bytes(4800)))
        await transport.aclose(4001, "ü" * 100)
        await transport.aclose(1000)

    service.sessions.talk = leave
    async with service.client.ws_connect("/v1/realtime") as socket:
        for _ in range(300):
            assert (await receive(socket))["type"] == "response.output_audio.delta"
        message = await socket.receive()
        assert (message.type, message.data, message.extra) == (WSMsgType.CLOSE, 4001, "ü" * 61)
    await service.ended()


async def test_closing_on_a_client_that_never_reads_is_bounded_in_time(start: Any) -> None:
    service = await start(limits=WebSocketLimits(close_s=0.1))
    left: list[int] = []

    async def leave(transport: Any) -> None:
        for _ in range(60):
            transport.play_audio(play(bytes(48_000)))
        await transport.aclose(1001, "bye")
        for _ in range(5):  # uvloop frees what an abort leaves one turn later
            await asyncio.sleep(0)
        left.append(transport._primary._outbox.queued_bytes)

    service.sessions.talk = leave
    raw = await silent_client(service)
    await service.ended()
    raw.close()
    assert left == [0]


async def test_shutting_down_says_1001_to_those_who_are_left(service: Any) -> None:
    async with connected(service) as socket:
        closing = asyncio.create_task(service.runner.cleanup())
        async with asyncio.timeout(10):
            message = await socket.receive()
        assert (message.type, message.data) == (WSMsgType.CLOSE, 1001)
        await closing
    await service.ended()


async def test_events_and_audio_reach_the_client_in_the_order_of_the_calls(service: Any) -> None:
    async def talk(transport: Any) -> None:
        for index in range(100):
            transport.send_event(InputAudioBufferCleared(event_id=f"event_{index}"))
            transport.play_audio(play(index.to_bytes(2, "little")))
        transport.finish_audio(FinishAudio("resp_1", "item_1"))
        assert transport.flush_audio() is None
        assert [frame async for frame in transport.frames()] == []

    service.sessions.talk = talk
    async with service.client.ws_connect("/v1/realtime") as socket:
        for index in range(100):
            assert (await receive(socket))["event_id"] == f"event_{index}"
            assert base64.b64decode((await receive(socket))["delta"]) == index.to_bytes(2, "little")


async def test_wait_drained_never_returns_and_cancels_cleanly(service: Any) -> None:
    outcome: list[str] = []

    async def talk(transport: Any) -> None:
        try:
            async with asyncio.timeout(0):
                await transport.wait_drained()
        except TimeoutError:
            outcome.append("waited")

    service.sessions.talk = talk
    async with service.client.ws_connect("/v1/realtime") as socket:
        await socket.receive()
    await service.ended()
    assert outcome == ["waited"]


async def test_a_silent_client_that_answers_pings_is_kept(start: Any) -> None:
    service = await start(limits=WebSocketLimits(ping_s=0.01, drop_after_s=0.05))
    async with service.client.ws_connect("/v1/realtime", autoping=False) as socket:
        await receive(socket)
        async with asyncio.timeout(10):
            for _ in range(20):
                message = await socket.receive()
                assert message.type is WSMsgType.PING
                await socket.pong(message.data)


async def test_a_client_that_answers_no_ping_is_dropped(start: Any) -> None:
    service = await start(limits=WebSocketLimits(ping_s=0.02, drop_after_s=0.1, close_s=0.1))
    raw = await silent_client(service)
    await service.ended()
    raw.close()
