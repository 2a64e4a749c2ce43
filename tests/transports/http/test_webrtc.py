"""Calls by WebRTC on the loopback device: a real connection, a session that is scripted here, and every bad offer."""

import asyncio
import io
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from aiohttp import FormData
from aiortc.rtcsctptransport import DataChunk, tsn_plus_one

from tests.transports.http.conftest import Service, Start
from transports.port import Transport
from transports.rtp.leg import MediaLeg
from transports.rtp.ticker import Ticker
from transports.shared import SharedTransport
from transports.webrtc import description
from transports.webrtc.client import dial
from transports.webrtc.dtls import CertificateStore
from transports.webrtc.errors import CallRefused
from transports.webrtc.network import Network, NetworkSettings
from transports.webrtc.peer import Peer
from transports.webrtc.settings import WebRtcSettings
from transports.webrtc.transport import WebRtcLimits, WebRtcTransport
from voice.audio.frames import AudioFrame
from voice.config_webrtc import IceServerConfig
from voice.protocol.client_events import InvalidEvent
from voice.protocol.server_events import ErrorBody, ErrorEvent, SessionCreated
from voice.session.effects import FinishAudio, PlayAudio

CALLS = "/v1/realtime/calls"
LOOPBACK = NetworkSettings(addresses=("127.0.0.1",))
SETTINGS = WebRtcSettings(LOOPBACK, WebRtcLimits(connect_s=5.0, vanished_s=2.0))
"""Two looks, a second apart, see that a peer is gone."""


@pytest.fixture
async def calls(start: Start) -> Service:
    """A service without keys that takes calls."""
    return await start(webrtc=SETTINGS)


@asynccontextmanager
async def call(service: Service, **options: Any) -> AsyncIterator[tuple[Peer, AsyncIterator[str | bytes], str]]:
    """Call; give the peer, its messages and the call's id; hang up."""
    url = f"http://127.0.0.1:{service.port}{CALLS}"
    peer, call_id = await dial(url, network=Network(LOOPBACK), **options)
    assert peer.channel is not None
    peer.on_end(peer.channel.end)
    try:
        yield peer, peer.channel.messages(), call_id
    finally:
        await peer.aclose()


async def next_event(messages: AsyncIterator[str | bytes]) -> dict[str, Any]:
    async with asyncio.timeout(5):
        found: dict[str, Any] = json.loads(await anext(messages))
        return found


async def offer() -> str:
    """A real offer of a peer that never comes."""
    peer = Peer(Network(LOOPBACK), CertificateStore(), None, is_controlling=True)
    text = await peer.offer()
    await peer.aclose()
    return text


def post(service: Service, body: str | bytes, content_type: str = "application/sdp", **headers: str) -> Any:
    data = io.BytesIO(body.encode("utf-8", "surrogatepass") if isinstance(body, str) else body)
    return service.client.post(CALLS, data=data, headers={"Content-Type": content_type, **headers})


def _ignore(_: bytes | None) -> None:
    pass


async def test_events_go_both_ways_on_the_channel(calls: Service) -> None:
    async with call(calls) as (peer, messages, call_id):
        assert call_id.startswith("rtc_")
        assert (await next_event(messages))["type"] == "input_audio_buffer.cleared"
        assert peer.channel is not None
        peer.channel.send('{"type":"input_audio_buffer.clear"}')
        assert (await next_event(messages))["type"] == "input_audio_buffer.cleared"
    await calls.ended()


@pytest.mark.parametrize("message", ["no JSON", "{", "[]", '{"type":"nothing"}', ""])
async def test_a_message_that_is_no_event_is_an_error_and_no_end(calls: Service, message: str) -> None:
    async with call(calls) as (peer, messages, _):
        await next_event(messages)
        assert peer.channel is not None
        peer.channel.send(message)
        assert (await next_event(messages))["type"] == "error"
        peer.channel.send('{"type":"input_audio_buffer.clear"}')
        assert (await next_event(messages))["type"] == "input_audio_buffer.cleared"


async def test_audio_goes_both_ways_on_the_track(calls: Service) -> None:
    heard = asyncio.Event()
    drained = asyncio.get_running_loop().create_future()

    async def talk(transport: Transport) -> None:
        frame = AudioFrame(b"\x00\x20" * 2400, 24_000, 0)
        transport.play_audio(PlayAudio("resp", "item", 0, 0, frame, "audio/pcm"))
        transport.finish_audio(FinishAudio("resp", "item"))
        async for heard_frame in transport.frames():
            if any(heard_frame.pcm):
                break
        heard.set()
        drained.set_result(await transport.wait_drained())
        await transport.aclose()

    calls.sessions.talk = talk
    async with call(calls) as (peer, _, _), asyncio.timeout(10):
        media = peer.media
        assert media is not None
        peer.audio.playout.play("mine", b"\x00\x20" * 24_000)
        ticker = Ticker()
        ticker.add(media.speak, behind=ticker.add(lambda now_s, skipped: _ignore(media.hear(now_s, skipped))))
        await heard.wait()
        assert await drained == "item"
        ticker.close()
        assert media.inbound is not None
        assert media.inbound.counts.decoded_ms > 0


async def test_a_session_that_ends_closes_the_connection(calls: Service) -> None:
    async def talk(transport: Transport) -> None:
        await transport.aclose()

    calls.sessions.talk = talk
    async with call(calls) as (peer, _, _):
        gone = asyncio.Event()
        peer.on_end(gone.set)
        async with asyncio.timeout(5):
            await gone.wait()


@pytest.mark.parametrize(("code", "told"), [(1001, ["service_stopping"]), (1011, ["server_error"]), (1000, [])])
async def test_why_a_session_ends_is_told_before_its_channel_closes(calls: Service, code: int, told: list[str]) -> None:
    async def talk(transport: Transport) -> None:
        await transport.aclose(code, "Why.")

    calls.sessions.talk = talk
    async with call(calls) as (_, messages, _), asyncio.timeout(5):
        events = [json.loads(message) async for message in messages]
    assert [event["error"]["code"] for event in events] == told
    assert all(event["error"]["message"] == "Why." for event in events)


async def test_an_end_that_an_event_has_told_already_is_not_told_again(calls: Service) -> None:
    async def talk(transport: Transport) -> None:
        body = ErrorBody(code="session_expired", message="Your session hit the maximum duration of 60 minutes.")
        transport.send_event(ErrorEvent(event_id="event_1", error=body))
        await transport.aclose(1001, body.message)

    calls.sessions.talk = talk
    async with call(calls) as (_, messages, _), asyncio.timeout(5):
        events = [json.loads(message) async for message in messages]
    assert [event["error"]["code"] for event in events] == ["session_expired"]


async def test_a_service_that_stops_tells_its_callers(calls: Service) -> None:
    async with call(calls) as (_, messages, _), asyncio.timeout(5):
        await next_event(messages)
        await calls.runner.shutdown()
        assert (await next_event(messages))["error"]["code"] == "service_stopping"
    await calls.ended()


async def test_a_fault_in_a_call_s_media_ends_it(calls: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    def break_down(*_: object) -> None:
        raise RuntimeError("a fault of ours")

    async with call(calls) as (_, messages, _):
        await next_event(messages)
        monkeypatch.setattr(MediaLeg, "hear", break_down)
        await calls.ended()


async def test_a_peer_that_heeds_no_window_is_given_up(calls: Service) -> None:
    async with call(calls) as (peer, messages, _):
        await next_event(messages)
        channel = peer.channel
        assert channel is not None
        association = channel._association
        with suppress(ConnectionError):  # hung up on
            for _ in range(100_000):  # pieces of a message that has no end
                chunk = DataChunk(flags=0)
                chunk.tsn, chunk.stream_id, chunk.protocol, chunk.user_data = association._local_tsn, 1, 51, b"x"
                association._local_tsn = tsn_plus_one(association._local_tsn)
                await association._send_chunk(chunk)
                await asyncio.sleep(0)
        await calls.ended()


async def test_a_caller_who_vanishes_is_noticed(calls: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    async with call(calls) as (peer, messages, _):
        await next_event(messages)
        monkeypatch.setattr(peer._agent, "receive_datagram", lambda *_: None)
        monkeypatch.setattr(peer._agent, "send_now", lambda _: None)
        for protocol in peer._agent._protocols:
            monkeypatch.setattr(protocol, "send_stun", lambda *_: None)
        await calls.ended()


async def test_an_offer_that_nobody_follows_up_costs_its_place_for_a_while(start: Start) -> None:
    service = await start(webrtc=WebRtcSettings(LOOPBACK, WebRtcLimits(connect_s=0.2)))
    async with post(service, await offer()) as answer:
        assert answer.status == 201
    assert service.sessions.active == 1
    await service.ended()


async def test_the_answer_tells_where_the_call_is(calls: Service) -> None:
    async with post(calls, await offer(), Origin="http://localhost:3000") as answer:
        assert answer.status == 201
        assert answer.content_type == "application/sdp"
        assert answer.headers["Location"].startswith("/v1/realtime/calls/rtc_")
        assert "Location" in answer.headers["Access-Control-Expose-Headers"]
        assert answer.headers["Access-Control-Allow-Origin"] == "*"


async def test_a_preflight_is_answered(calls: Service) -> None:
    async with calls.client.options(CALLS, headers={"Origin": "http://localhost:3000"}) as answer:
        assert answer.status == 204
        for name in ("Authorization", "Content-Type", "X-OpenAI-Agents-SDK", "OpenAI-Safety-Identifier"):
            assert name in answer.headers["Access-Control-Allow-Headers"]
        assert "POST" in answer.headers["Access-Control-Allow-Methods"]


async def test_the_form_configures_the_session(calls: Service) -> None:
    session = {"type": "realtime", "model": "gpt-realtime", "instructions": "Be brief."}
    async with call(calls, session=session):
        opening = calls.sessions.openings[-1]
        assert opening is not None
        assert opening.instructions == "Be brief."
        assert calls.sessions.admitted == [("gpt-realtime", None)]


@pytest.mark.parametrize("typed", [False, True])
async def test_parts_are_found_by_name_whatever_they_come_with(calls: Service, typed: bool) -> None:
    form = FormData(default_to_multipart=True)
    kinds = ({"content_type": "application/sdp"}, {"content_type": "application/json"}) if typed else ({}, {})
    form.add_field("sdp", await offer(), **kinds[0])
    form.add_field("session", '{"type":"realtime","instructions":"x"}', **kinds[1])
    async with calls.client.post(CALLS, data=form) as answer:
        assert answer.status == 201
    opening = calls.sessions.openings[-1]
    assert opening is not None
    assert opening.instructions == "x"


async def test_the_old_name_of_the_route_and_its_model_are_served(calls: Service) -> None:
    headers = {"Content-Type": "application/sdp"}
    url = "/v1/realtime?model=gpt-realtime"
    async with calls.client.post(url, data=await offer(), headers=headers) as answer:
        assert answer.status == 201
    assert calls.sessions.admitted == [("gpt-realtime", None)]


@pytest.mark.parametrize(
    ("body", "content_type", "status", "code"),
    [
        ("", "application/sdp", 400, "invalid_offer"),
        ("v=0\r\no=- 1 2 IN", "application/sdp", 400, "invalid_offer"),
        ("v=0\r\n" + "a=x\r\n" * 10_000, "application/sdp", 400, "invalid_offer"),
        ("v=0\r\n" + "a" * 2_000_000, "application/sdp", 413, "request_too_large"),
        (b"\xff\xfe\x00", "application/sdp", 400, "invalid_offer"),
        ("{}", "application/json", 415, "unsupported_content_type"),
        ("x", "text/plain", 415, "unsupported_content_type"),
        ("x", "multipart/form-data", 400, "invalid_multipart"),
        ("--b\r\n\r\n", "multipart/form-data; boundary=b", 400, None),
    ],
)
async def test_what_is_no_offer_is_refused(
    calls: Service, body: str | bytes, content_type: str, status: int, code: str | None
) -> None:
    async with post(calls, body, content_type) as answer:
        assert answer.status == status
        error = (await answer.json())["error"]
        assert error["message"]
        assert code is None or error["code"] == code
    assert calls.sessions.active == 0


@pytest.mark.parametrize(
    ("session", "param"),
    [("{", "session"), ('{"type":"realtime","voice":"x"}', "session.voice"), ("{}", "session.type")],
)
async def test_a_bad_session_is_refused_with_its_path(calls: Service, session: str, param: str) -> None:
    form = FormData({"sdp": await offer(), "session": session}, default_to_multipart=True)
    async with calls.client.post(CALLS, data=form) as answer:
        assert answer.status == 400
        assert (await answer.json())["error"]["param"] == param
    assert calls.sessions.active == 0


async def test_a_key_or_its_secret_is_needed(start: Start) -> None:
    service = await start({"shop": "right-key"}, webrtc=SETTINGS)
    for wrong in (None, "wrong-key", "ek_unknown"):
        with pytest.raises(CallRefused) as refused:
            async with call(service, key=wrong):
                pass
        assert refused.value.status == 401
    asked = {"session": {"type": "realtime", "model": "gpt-realtime"}}
    key = {"Authorization": "Bearer right-key"}
    async with service.client.post("/v1/realtime/client_secrets", json=asked, headers=key) as answer:
        secret = (await answer.json())["value"]
    async with call(service, key=secret) as (_, messages, call_id):
        await next_event(messages)
        assert service.sessions.admitted == [("gpt-realtime", "shop")]
        hang_up = f"{CALLS}/{call_id}/hangup"
        async with service.client.post(hang_up, headers={"Authorization": f"Bearer {secret}"}) as answer:
            assert answer.status == 403
        async with service.client.post(hang_up, headers=key) as answer:
            assert answer.status == 200
        assert service.sessions.stopped == [(1000, "The call was hung up.")]


async def test_servers_that_help_are_told_to_the_client(start: Start) -> None:
    turn = IceServerConfig.model_validate({"urls": "turn:turn.example.com", "secret": "shared"})
    service = await start({"shop": "right-key"}, webrtc=WebRtcSettings(LOOPBACK, SETTINGS.limits, (turn,)))
    key = {"Authorization": "Bearer right-key"}
    async with service.client.post("/v1/realtime/client_secrets", json={}, headers=key) as answer:
        (server,) = (await answer.json())["ice_servers"]
    assert server["urls"] == ["turn:turn.example.com"]
    assert server["username"].endswith(":shop")
    async with post(service, await offer(), **key) as answer:
        assert answer.headers["Link"].startswith('<turn:turn.example.com>; rel="ice-server"; username=')


async def test_ports_come_from_the_range(start: Start) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    network = NetworkSettings(addresses=("127.0.0.1",), ports=(port, port), public_address="203.0.113.9")
    service = await start(webrtc=WebRtcSettings(network, SETTINGS.limits))
    async with post(service, await offer()) as answer:
        assert f" 203.0.113.9 {port} typ host" in await answer.text()
    async with post(service, await offer()) as answer:
        assert answer.status == 503


async def test_garbage_at_the_media_port_harms_nobody(calls: Service) -> None:
    async with call(calls) as (peer, messages, _):
        await next_event(messages)
        port = peer._agent._nominated[1].remote_addr[1]
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            for number in range(2000):
                first = (0, 1, 22, 128, 144, 200, 255)[number % 7]
                stranger.sendto(bytes([first]) + number.to_bytes(2) * (number % 300), ("127.0.0.1", port))
        assert peer.channel is not None
        peer.channel.send('{"type":"input_audio_buffer.clear"}')
        assert (await next_event(messages))["type"] == "input_audio_buffer.cleared"


async def test_a_sideband_joins_a_call(calls: Service) -> None:
    bad: asyncio.Queue[Any] = asyncio.Queue()
    calls.sessions.steer = bad.put_nowait
    greeted: Callable[[Transport], Awaitable[None]] = calls.sessions.talk

    async def talk(transport: Transport) -> None:
        transport.send_event(SessionCreated(event_id="event_1", session={"type": "realtime"}))
        await greeted(transport)

    calls.sessions.talk = talk
    async with call(calls) as (_, messages, call_id):
        await next_event(messages)
        async with calls.client.ws_connect(f"/v1/realtime?call_id={call_id}") as sideband:
            assert (await sideband.receive_json())["type"] == "session.created"
            await sideband.send_str("no event")
            async with asyncio.timeout(5):
                assert isinstance(await bad.get(), InvalidEvent)


async def test_a_call_goes_on_over_other_addresses(calls: Service) -> None:
    async with call(calls) as (peer, messages, call_id):
        await next_event(messages)
        before = peer._agent
        new_offer = await peer.offer_restart()
        headers = {"Content-Type": "application/sdp"}
        async with calls.client.patch(f"{CALLS}/{call_id}", data=new_offer, headers=headers) as answer:
            assert answer.status == 200
            remote = description.read(await answer.text())
        async with asyncio.timeout(5):
            await peer.finish_restart(remote)
        assert peer._agent is not before
        assert peer.channel is not None
        peer.channel.send('{"type":"input_audio_buffer.clear"}')
        assert (await next_event(messages))["type"] == "input_audio_buffer.cleared"


async def test_a_call_that_never_came_about_has_no_addresses_to_change(calls: Service) -> None:
    async with post(calls, await offer()) as answer:
        location = answer.headers["Location"]
    headers = {"Content-Type": "application/sdp"}
    async with calls.client.patch(location, data=await offer(), headers=headers) as answer:
        assert answer.status == 400
        assert "not connected yet" in (await answer.json())["error"]["message"]


async def test_nobody_else_takes_a_call_over(calls: Service) -> None:
    async with call(calls) as (_, messages, call_id):
        await next_event(messages)
        headers = {"Content-Type": "application/sdp"}
        for path, status in ((call_id, 400), ("rtc_unknown", 404)):
            async with calls.client.patch(f"{CALLS}/{path}", data=await offer(), headers=headers) as answer:
                assert answer.status == status


async def test_a_fault_in_one_call_is_no_end_of_the_others(calls: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    async with call(calls) as (peer, messages, _):
        await next_event(messages)

        close = SharedTransport.aclose
        failed = asyncio.Event()

        async def fail(*_: object) -> None:
            raise RuntimeError("a fault of ours")

        async def close_and_fail(shared: SharedTransport, *_: object) -> None:
            await close(shared)
            failed.set()
            await fail()

        with monkeypatch.context() as broken:
            broken.setattr(WebRtcTransport, "connect", fail)
            broken.setattr(SharedTransport, "aclose", close_and_fail)
            async with post(calls, await offer()) as answer:
                assert answer.status == 201
            async with asyncio.timeout(5):
                await failed.wait()
        assert peer.channel is not None
        peer.channel.send('{"type":"input_audio_buffer.clear"}')
        assert (await next_event(messages))["type"] == "input_audio_buffer.cleared"
