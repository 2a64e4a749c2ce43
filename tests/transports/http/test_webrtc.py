"""Calls by WebRTC on the loopback device: a real connection, and a session that is scripted here."""

import asyncio
import dataclasses
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tests.transports.http.conftest import Service, Start
from tests.transports.http.webrtc_calls import CALLS, SETTINGS, call, next_event, offer, post
from transports.port import Transport
from transports.rtp.ticker import Ticker
from transports.webrtc import description
from transports.webrtc.description import LocalDescription
from transports.webrtc.network import NetworkSettings
from transports.webrtc.settings import WebRtcSettings
from voice.audio.frames import AudioFrame
from voice.protocol.client_events import InvalidEvent
from voice.protocol.server_events import SessionCreated
from voice.session.effects import FinishAudio, PlayAudio


@pytest.fixture
async def calls(start: Start) -> Service:
    """A service without keys that takes calls."""
    return await start(webrtc=SETTINGS)


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
        assert int(answer.headers["Retry-After"]) > 0


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


async def test_a_browser_that_hides_its_addresses_is_found_by_its_checks(
    calls: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = description.offer
    names: list[str] = []

    def offer_names(local: LocalDescription) -> str:
        hidden = tuple(line.replace(local.host, "f2fe908b-a599-4c2b.local") for line in local.candidates)
        names.extend(hidden)
        return write(dataclasses.replace(local, candidates=hidden))

    monkeypatch.setattr(description, "offer", offer_names)
    async with call(calls) as (_, messages, _):
        assert (await next_event(messages))["type"] == "input_audio_buffer.cleared"
    assert all(".local " in name for name in names)


async def test_nobody_else_takes_a_call_over(calls: Service) -> None:
    async with call(calls) as (_, messages, call_id):
        await next_event(messages)
        headers = {"Content-Type": "application/sdp"}
        for path, status in ((call_id, 400), ("rtc_unknown", 404)):
            async with calls.client.patch(f"{CALLS}/{path}", data=await offer(), headers=headers) as answer:
                assert answer.status == status
