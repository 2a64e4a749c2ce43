"""A whole leg: frames → packets → a path → frames."""

import random
from collections.abc import Collection

import numpy as np
import pytest

from transports.rtp.codecs import CODECS, G722, OPUS, PCMU, Codec, make_decoder, make_encoder
from transports.rtp.dtmf import DtmfSender
from transports.rtp.inbound import FRAME_BYTES, InboundAudio
from transports.rtp.outbound import OutboundAudio
from transports.rtp.packet import RtpPacket, parse_rtp

from .test_codecs import frames, similarity, speech_like

pytest.importorskip("av")


def read(datagram: bytes) -> RtpPacket:
    packet = parse_rtp(datagram)
    assert packet is not None
    return packet


def carry(codec: Codec, pcm: bytes, lost: Collection[int] = (), jitter_ms: float = 0.0, reported: float = 0.0):
    encoder = make_encoder(codec)
    encoder.expect_loss(reported)
    outbound = OutboundAudio(codec, encoder, 96, ssrc=7, sequence=65_530, timestamp=2**32 - 1000)
    inbound = InboundAudio(codec, make_decoder(codec))
    chance = random.Random(9)
    waiting = sorted(
        (number * 20.0 + chance.uniform(0, jitter_ms), number, outbound.packets(frame, number * 0.02)[0])
        for number, frame in enumerate(frames(pcm))
    )
    waiting = [arrival for arrival in waiting if arrival[1] not in lost]
    heard = []
    for tick in range(len(pcm) // 960 + 8):
        now_ms = tick * 20.0 + 13
        while waiting and waiting[0][0] <= now_ms:
            arrival_ms, _, datagram = waiting.pop(0)
            inbound.receive(read(datagram), arrival_ms)
        heard.append(inbound.frame(now_ms))
    assert {len(frame) for frame in heard} == {FRAME_BYTES}
    return b"".join(heard), inbound


@pytest.mark.parametrize("codec", CODECS.values(), ids=CODECS)
def test_a_leg_carries_a_voice_within_sixty_milliseconds(codec: Codec) -> None:
    pcm = speech_like(2.0)
    heard, inbound = carry(codec, pcm)
    correlation, delay_ms = similarity(pcm, heard, max_delay_ms=70)
    assert correlation > 0.97
    assert delay_ms <= 60
    assert inbound.counts.concealed_ms <= 120  # the end of the stream only
    assert inbound.counts.broken_packets == 0


@pytest.mark.parametrize("codec", CODECS.values(), ids=CODECS)
def test_loss_and_jitter_leave_no_gap_and_are_counted(codec: Codec) -> None:
    chance = random.Random(3)
    pcm = speech_like(4.0)
    lost = {number for number in range(20, 190) if chance.random() < 0.05}
    _, inbound = carry(codec, pcm, lost, jitter_ms=25.0, reported=0.05)
    assert inbound.counts.concealed_ms + inbound.counts.recovered_ms >= 20 * len(lost) - 40
    assert inbound.buffer.counts.lost + 2 >= len(lost)
    assert (inbound.counts.recovered_ms > 0) is (codec.name == "opus")


def test_broken_payloads_are_concealed() -> None:
    inbound = InboundAudio(PCMU, make_decoder(PCMU))
    for number in range(10):
        inbound.receive(RtpPacket(0, number, number * 160, 1, b""), number * 20.0)
        assert len(inbound.frame(number * 20.0 + 5)) == FRAME_BYTES
    assert inbound.counts.broken_packets > 5


@pytest.mark.parametrize("packet_ms", [10, 30, 40, 60])
def test_packets_of_any_length_make_frames_of_twenty_milliseconds(packet_ms: int) -> None:
    inbound, pcm = InboundAudio(PCMU, make_decoder(PCMU)), speech_like(2.0)
    encoded = make_encoder(PCMU).encode(pcm)
    size = packet_ms * 8
    packets = [RtpPacket(0, at // size, at, 1, encoded[at : at + size]) for at in range(0, len(encoded), size)]
    heard = b""
    for tick in range(100):
        while packets and packets[0].timestamp / 8 + packet_ms <= tick * 20:
            inbound.receive(packets.pop(0), tick * 20.0)
        heard += inbound.frame(tick * 20.0 + 1)
    second = 48_000  # by then the delay has settled
    correlation, delay_ms = similarity(pcm[second:], heard[second:], max_delay_ms=packet_ms + 70)
    assert correlation > 0.97
    assert delay_ms <= packet_ms + 65


@pytest.mark.parametrize("packet_ms", [10, 20, 60])
@pytest.mark.parametrize("ppm", [500, -500])
def test_clock_drift_is_followed_whatever_the_packet_length(packet_ms: int, ppm: int) -> None:
    inbound = InboundAudio(PCMU, make_decoder(PCMU))
    size, sent = packet_ms * 8, 0
    for tick in range(6000):
        now_ms = tick * 20.0
        while (arrival_ms := sent * packet_ms * (1 + ppm / 1e6)) <= now_ms:
            inbound.receive(RtpPacket(0, sent, sent * size, 1, b"\x55" * size), arrival_ms)
            sent += 1
        inbound.frame(now_ms)
    assert inbound.counts.adjusted_ms == pytest.approx(120_000 * ppm / 1e6, abs=30)
    assert inbound.counts.concealed_ms <= 20
    assert inbound.buffer.counts.late == 0
    assert inbound.buffer.queued_packets * packet_ms <= 120


def test_a_sent_stream_counts_up_and_its_clock_never_stops() -> None:
    outbound = OutboundAudio(PCMU, make_encoder(PCMU), 0, ssrc=7, sequence=65_535, timestamp=2**32 - 160)
    packets = [read(*outbound.packets(bytes(960), 0.0)) for _ in range(3)]
    outbound.skip(4)
    packets.append(read(*outbound.packets(bytes(960), 0.0)))
    assert [got.sequence for got in packets] == [65_535, 0, 1, 2]
    assert [got.timestamp for got in packets] == [2**32 - 160, 0, 160, 960]
    assert [got.marker for got in packets] == [True, False, False, True]
    assert outbound.statistics.sent_packets == 4


def test_keys_take_the_place_of_audio_in_sequence() -> None:
    dtmf = DtmfSender(101, 8000)
    outbound = OutboundAudio(PCMU, make_encoder(PCMU), 0, ssrc=7, dtmf=dtmf)
    outbound.packets(bytes(960), 0.0)
    dtmf.send("1", tone_ms=60, gap_ms=40)
    packets = [read(*outbound.packets(bytes(960), 0.0)) for _ in range(7)]
    assert [got.payload_type for got in packets] == [101] * 5 + [0, 0]
    assert [got.sequence for got in packets] == list(range(1, 8))
    assert {got.timestamp for got in packets[:5]} == {160}
    assert packets[5].timestamp == 160 * 6
    assert np.all([got.marker for got in packets] == np.array([1, 0, 0, 0, 0, 1, 0], bool))


@pytest.mark.parametrize(
    ("codec", "packet_ms", "expected_ms"),
    [(PCMU, 10, 10), (PCMU, 30, 30), (PCMU, 40, 40), (G722, 60, 60), (OPUS, 10, 10), (OPUS, 30, 20), (OPUS, 60, 60)],
)
def test_packets_are_as_long_as_the_peer_prefers(codec: Codec, packet_ms: int, expected_ms: int) -> None:
    outbound = OutboundAudio(codec, make_encoder(codec), 96, ssrc=7, packet_ms=packet_ms)
    packets = [read(one) for _ in range(12) for one in outbound.packets(bytes(960), 0.0)]
    per_ms = codec.clock_hz // 1000
    assert {codec.samples_of(packet) for packet in packets} == {expected_ms * per_ms}
    assert [packet.timestamp for packet in packets] == [at * expected_ms * per_ms for at in range(240 // expected_ms)]


def test_a_key_waits_for_the_packet_that_is_being_filled() -> None:
    dtmf = DtmfSender(101, 8000)
    outbound = OutboundAudio(PCMU, make_encoder(PCMU), 0, ssrc=7, dtmf=dtmf, packet_ms=40)
    assert outbound.packets(bytes(960), 0.0) == []
    dtmf.send("1", tone_ms=40)
    packets = [read(one) for _ in range(4) for one in outbound.packets(bytes(960), 0.0)]
    assert [(packet.payload_type, packet.timestamp) for packet in packets] == [(0, 0)] + [(101, 320)] * 3


def test_a_pause_drops_what_has_not_filled_a_packet() -> None:
    outbound = OutboundAudio(PCMU, make_encoder(PCMU), 0, ssrc=7, packet_ms=60)
    outbound.packets(bytes(960), 0.0)
    outbound.skip(1)
    packets = [read(one) for _ in range(3) for one in outbound.packets(bytes(960), 0.0)]
    assert [(packet.timestamp, packet.marker) for packet in packets] == [(320, True)]
