"""How calls by WebRTC end: what their clients are told, and what is left of them."""

import asyncio
import json
from contextlib import suppress

import pytest
from aiortc.rtcsctptransport import DataChunk, tsn_plus_one
from structlog.contextvars import merge_contextvars
from structlog.testing import capture_logs

from tests.transports.http.conftest import Service, Start
from tests.transports.http.webrtc_calls import LOOPBACK, SETTINGS, call, next_event, offer, post
from transports.http import webrtc
from transports.port import Transport
from transports.rtp.leg import MediaLeg
from transports.shared import SharedTransport
from transports.webrtc.settings import WebRtcSettings
from transports.webrtc.transport import WebRtcLimits, WebRtcTransport
from voice.protocol.server_events import ErrorBody, ErrorEvent, InputAudioBufferCleared


@pytest.fixture
async def calls(start: Start) -> Service:
    """A service without keys that takes calls."""
    return await start(webrtc=SETTINGS)


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


async def test_why_a_session_ends_is_told_over_a_path_that_loses_packets(
    calls: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_listening = asyncio.Event()

    async def talk(transport: Transport) -> None:
        transport.send_event(InputAudioBufferCleared(event_id="event_0"))
        await is_listening.wait()
        await transport.aclose(1001, "Why.")

    calls.sessions.talk = talk
    async with call(calls) as (peer, messages, _), asyncio.timeout(5):
        await next_event(messages)
        receive, passed = peer._receive_dtls, iter([False])
        lossy = lambda datagram: next(passed, True) and receive(datagram)  # noqa: E731
        monkeypatch.setattr(peer._agent, "_receive_dtls", lossy)
        is_listening.set()
        events = [json.loads(message) async for message in messages]
    assert [event["error"]["code"] for event in events] == ["service_stopping"]


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


async def test_a_session_that_does_not_end_with_the_service_is_cancelled(
    calls: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    cancelled = asyncio.Event()

    async def talk(transport: Transport) -> None:
        transport.send_event(InputAudioBufferCleared(event_id="event_0"))
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    calls.sessions.talk = talk
    monkeypatch.setattr(webrtc, "_END_S", 0.05)
    async with call(calls) as (_, messages, _), asyncio.timeout(5):
        await next_event(messages)
        await calls.runner.shutdown()
        assert cancelled.is_set()
    assert calls.sessions.active == 0


async def test_a_fault_in_a_call_s_media_ends_it(calls: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    def break_down(*_: object) -> None:
        raise RuntimeError("a fault of ours")

    async with call(calls) as (_, messages, _):
        await next_event(messages)
        monkeypatch.setattr(MediaLeg, "hear", break_down)
        await calls.ended()


async def test_how_a_call_went_is_one_line_of_the_log(calls: Service) -> None:
    with capture_logs([merge_contextvars]) as logs:
        async with call(calls) as (_, messages, _):
            await next_event(messages)
        await calls.ended()
        await calls.runner.shutdown()
    (created,) = [entry for entry in logs if entry["event"] == "call created"]
    assert {(entry.get("call_id"), entry.get("session")) for entry in logs} == {(created["call_id"], "sess_fake")}
    (line,) = [entry for entry in logs if entry["event"] == "call ended"]
    assert line["reason"] in ("the peer closed the connection", "the peer closed the data channel")
    assert (line["codec"], line["loss"], line["unheard_ms"]) == ("opus", 0.0, 0)


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
