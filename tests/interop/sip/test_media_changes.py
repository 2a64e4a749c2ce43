"""Media that changes, stops or is attacked in the middle of a call: sipp signals, our own ports count the packets.

Each test is named after what went wrong elsewhere: livekit/sip #661 and rtpengine #1354 (audio went on to the old
port), livekit/sip #608 and #724 (gaps), #337 and #812 (calls that hang, or are cut while held),
rtpproxy #47 (hijacking).
"""

import asyncio
from dataclasses import replace
from itertools import pairwise

import pytest

from transports.phone import PhoneSettings
from transports.rtp.codecs import PCMU, make_decoder
from transports.rtp.packet import RtpPacket, serialise_rtp
from transports.rtp.tones import ToneDetector
from transports.sip_call import KeySettings

from .conftest import Sipp, free_media_ports
from .media_peers import Line, Packets, babble, echo_line, open_packets
from .scenarios import ANSWERED, HANGS_UP, ack, invite, ok, pause, recv, scenario, sdp, send

SHORT = PhoneSettings(first_port=21_400, last_port=21_799, media_timeout_s=1.0, first_media_timeout_s=1.0)


def described(port: int, payload_type: int, version: int = 1) -> str:
    names = {0: "PCMU/8000", 8: "PCMA/8000", 9: "G722/8000"}
    text = sdp(port=str(port), version=version).replace("RTP/AVP 0 101", f"RTP/AVP {payload_type} 101")
    return text + f"a=rtpmap:{payload_type} {names[payload_type]}\n"


def moved(port: int, payload_type: int) -> str:
    return send("INVITE", cseq=2, in_dialog=True, body=described(port, payload_type, 2), retrans=500)


async def say(packets: Packets, line: Line, count: int, ssrc: int = 1) -> None:
    """Send so many packets of 20 ms of noise."""
    await line.until(lambda: line.phone._open)
    (transport,) = line.phone._open
    for number in range(count):
        packet = RtpPacket(0, number & 0xFFFF, number * 160, ssrc, bytes(range(160)))
        packets.send(serialise_rtp(packet), transport._media.port)
        await asyncio.sleep(0.02)


async def test_a_reinvite_with_a_new_port_and_codec_moves_the_audio(sipp: Sipp) -> None:
    old, new = await open_packets(), await open_packets()
    async with echo_line(says=babble(9, 24_000).tobytes()) as line:
        steps = (pause(600), moved(new.port, 8), recv(100, optional=True), recv(200, rrs=True), ack(2), pause(600))
        call = scenario(invite(body=described(old.port, 0)), *ANSWERED, *steps, *HANGS_UP)
        ran = await sipp(call.replace("2 BYE", "3 BYE"), line.port)
        assert ran.status == 0, ran.said
        await line.until(lambda: line.phone.active == 0)
    assert {packet.payload_type for packet, _ in old.received} == {0}
    assert {packet.payload_type for packet, _ in new.received} == {8}
    assert len(old.received) > 5
    assert len(new.received) > 5
    # Both came from the port that the answer named, and none came late to the old one.
    assert len({source for _, source in old.received + new.received}) == 1
    for one in (old, new):
        one.close()


async def test_packets_follow_one_another_without_a_gap_from_answer_to_bye(sipp: Sipp) -> None:
    caller = await open_packets()
    async with echo_line(speaks=False) as line:  # an agent that says nothing at all
        call = scenario(invite(body=described(caller.port, 0)), *ANSWERED, pause(1500), *HANGS_UP)
        ran = await sipp(call, line.port)
        assert ran.status == 0, ran.said
    packets = [packet for packet, _ in caller.received]
    assert len(packets) > 10
    assert {(later.sequence - earlier.sequence) & 0xFFFF for earlier, later in pairwise(packets)} == {1}
    # A machine that stands still for more than 60 ms skips ticks; time runs on over them.
    steps = [(later.timestamp - earlier.timestamp) & 0xFFFFFFFF for earlier, later in pairwise(packets)]
    assert sorted(steps)[len(steps) // 2] == 160
    assert not any(step % 160 for step in steps)
    assert {packet.ssrc for packet in packets} == {packets[0].ssrc}
    caller.close()


@pytest.mark.parametrize(("first_s", "running_s", "packets"), [(1.0, 60.0, 0), (60.0, 1.0, 10)], ids=["never", "later"])
async def test_a_caller_who_vanishes_is_hung_up_on(sipp: Sipp, first_s: float, running_s: float, packets: int) -> None:
    caller = await open_packets()
    settings = replace(SHORT, first_media_timeout_s=first_s, media_timeout_s=running_s)
    async with echo_line(settings=settings) as line:
        call = scenario(invite(body=described(caller.port, 0)), *ANSWERED, recv("BYE"))
        ran, _ = await asyncio.gather(sipp(call, line.port), say(caller, line, packets))
        assert ran.status == 0, ran.said
        await line.until(lambda: line.phone.active == 0)
        assert line.place.is_over
    caller.close()


@pytest.mark.parametrize("direction", ["sendonly", "inactive", "recvonly"])
async def test_a_caller_on_hold_or_silent_by_agreement_is_not_hung_up_on(sipp: Sipp, direction: str) -> None:
    caller = await open_packets()
    async with echo_line(settings=SHORT) as line:
        held = described(caller.port, 0).replace("a=sendrecv", f"a={direction}")
        call = scenario(invite(body=held), *ANSWERED, pause(2500), *HANGS_UP)
        ran = await sipp(call, line.port)
        assert ran.status == 0, ran.said
    caller.close()


async def test_a_caller_who_suppresses_silence_is_not_hung_up_on(sipp: Sipp) -> None:
    caller = await open_packets()

    async def falls_silent(line: Line) -> None:
        await line.until(lambda: line.phone._open)
        (transport,) = line.phone._open
        for number in range(5):
            packet = RtpPacket(0 if number < 4 else 13, number, number * 160, 7, bytes(160))
            caller.send(serialise_rtp(packet), transport._media.port)
            await asyncio.sleep(0.02)

    async with echo_line(settings=SHORT) as line:
        call = scenario(invite(body=described(caller.port, 0)), *ANSWERED, pause(2500), *HANGS_UP)
        ran, _ = await asyncio.gather(sipp(call, line.port), falls_silent(line))
        assert ran.status == 0, ran.said
    caller.close()


async def test_a_stranger_neither_hears_nor_is_heard(sipp: Sipp) -> None:
    caller, stranger = await open_packets(), await open_packets()
    async with echo_line() as line:
        call = scenario(invite(body=described(caller.port, 0)), *ANSWERED, pause(1200), *HANGS_UP)
        talking = [asyncio.create_task(say(one, line, 10_000, ssrc)) for one, ssrc in ((caller, 1), (stranger, 2))]
        ran = await sipp(call, line.port)
        for task in talking:
            task.cancel()
        assert ran.status == 0, ran.said
    assert len(caller.received) > 10
    assert not stranger.received
    for one in (caller, stranger):
        one.close()


async def test_a_delayed_offer_brings_audio_with_the_ack(sipp: Sipp) -> None:
    caller = await open_packets()
    async with echo_line(says=babble(9, 24_000).tobytes()) as line:
        answered = (recv(100, optional=True), recv(200, rrs=True), ack(body=described(caller.port, 0)))
        call = scenario(invite(body=""), *answered, pause(800), *HANGS_UP)
        ran = await sipp(call, line.port)
        assert ran.status == 0, ran.said
    assert len(caller.received) > 5
    caller.close()


async def test_ports_run_out_with_503_and_come_back_after_quarantine(sipp: Sipp) -> None:
    first = free_media_ports(2)
    settings = PhoneSettings(first_port=first, last_port=first + 1, quarantine_s=0.3)
    async with echo_line(settings=settings) as line:
        call = scenario(invite(), *ANSWERED, pause(400), *HANGS_UP)
        refused = scenario(invite(), recv(100, optional=True), recv(503))
        taken = asyncio.create_task(sipp(call, line.port))
        await line.until(lambda: line.phone.active == 1)
        other = Sipp(sipp._folder / "other")
        other._folder.mkdir()
        assert (await other(refused, line.port)).status == 0
        ran = await taken
        assert ran.status == 0, ran.said
        await asyncio.sleep(0.4)
        assert (await sipp(call, line.port)).status == 0


@pytest.mark.parametrize(("wish", "expected_ms"), [("ptime:30", 30), ("ptime:60", 60), ("maxptime:10", 10)])
async def test_packets_are_as_long_as_the_caller_wants_them(sipp: Sipp, wish: str, expected_ms: int) -> None:
    caller = await open_packets()
    async with echo_line(says=babble(9, 24_000).tobytes()) as line:
        offer = described(caller.port, 0) + f"a={wish}\n"
        ran = await sipp(scenario(invite(body=offer), *ANSWERED, pause(800), *HANGS_UP), line.port)
        assert ran.status == 0, ran.said
    packets = [packet for packet, _ in caller.received]
    assert len(packets) > 3
    assert {len(packet.payload) for packet in packets} == {8 * expected_ms}
    for earlier, later in pairwise(packets):
        assert (later.timestamp - earlier.timestamp) & 0xFFFFFFFF == 8 * expected_ms
    caller.close()


@pytest.mark.parametrize(("answered", "expected"), [(200, ["INFO"] * 2), (501, ["INFO"])])
async def test_keys_by_info_that_the_caller_refuses_go_on_as_tones(
    sipp: Sipp, answered: int, expected: list[str]
) -> None:
    caller = await open_packets()
    settings = PhoneSettings(first_port=21_400, last_port=21_799, keys=KeySettings(means=("info", "inband")))
    reply = ok().replace("200 OK", f"{answered} Whatever")
    infos = [step for key in "12"[: len(expected)] for step in (recv("INFO", body=f"Signal={key}"), reply)]

    async def press(line: Line) -> None:
        await line.until(lambda: line.sessions.places and line.place.phone is not None)
        assert line.place.press("12")

    async with echo_line(settings=settings, speaks=False) as line:
        call = scenario(invite(body=described(caller.port, 0)), *ANSWERED, *infos, pause(700), *HANGS_UP)
        ran, _ = await asyncio.gather(sipp(call, line.port), press(line))
        assert ran.status == 0, ran.said
    decoder = make_decoder(PCMU)
    heard = b"".join(decoder.decode(packet.payload) or b"" for packet, _ in caller.received)
    assert "".join(ToneDetector(24_000).receive(heard)) == ("" if answered == 200 else "12")
    caller.close()
