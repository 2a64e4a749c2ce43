"""Two legs that talk to each other, time stepped."""

import itertools
from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from transports.live_audio import LiveAudio
from transports.rtp.codecs import G722, OPUS, PCMA, PCMU, Codec
from transports.rtp.dtmf import DtmfSender
from transports.rtp.leg import COMFORT_NOISE_TYPE, LegOwner, LegTerms, MediaLeg
from transports.rtp.packet import RtpPacket, parse_rtp, serialise_rtp
from transports.rtp.srtp import SrtpLeg
from transports.rtp.tones import ToneDetector
from voice.audio.frames import CORE_RATE_HZ

ONE, OTHER = bytes(range(30)), bytes(range(30, 60))
SUITE = "AES_CM_128_HMAC_SHA1_80"


def terms(codec: Codec = PCMU, payload_type: int = 0, srtp: SrtpLeg | None = None) -> LegTerms:
    return LegTerms(
        sends=(payload_type, codec),
        receives={payload_type: codec},
        srtp=srtp,
        sends_events=101,
        receives_events=101,
        event_clock_hz=codec.clock_hz,
    )


@dataclass
class End:
    """One leg with what it has sent and was told."""

    leg_terms: LegTerms
    sent: list[bytes] = field(default_factory=list)
    reports: list[bytes] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.audio = LiveAudio()
        owner = LegOwner(self.sent.append, self.reports.append, self.keys.append)
        self.leg = MediaLeg(self.leg_terms, owner, self.audio, wall_offset_s=1000.0)


def run(one: End, other: End, ticks: int, start: int = 0) -> bytes:
    """Let both tick; return what `other` heard."""
    heard = b""
    for tick in range(start, start + ticks):
        now_s = tick / 50
        for end, peer in ((one, other), (other, one)):
            before, reported = len(end.sent), len(end.reports)
            frame = end.leg.tick(now_s, 0)
            if end is other:
                heard += frame or b""
            for datagram in (*end.sent[before:], *end.reports[reported:]):
                peer.leg.receive(datagram, now_s)
    return heard


def tone(ms: int, hz: float = 440.0) -> bytes:
    samples = np.arange(CORE_RATE_HZ * ms // 1000)
    return bytes(np.rint(8000 * np.sin(2 * np.pi * hz * samples / CORE_RATE_HZ)).astype("<i2").tobytes())


def loudness(pcm: bytes) -> float:
    samples = np.frombuffer(pcm, "<i2").astype(float)
    return float(np.sqrt(np.mean(samples**2))) if len(samples) else 0.0


@pytest.mark.parametrize(("codec", "payload_type"), [(PCMU, 0), (PCMA, 8), (G722, 9), (OPUS, 111)])
def test_what_is_played_is_heard_at_the_other_end(codec: Codec, payload_type: int) -> None:
    one, other = End(terms(codec, payload_type)), End(terms(codec, payload_type))
    one.audio.playout.play("item", tone(1000))
    assert loudness(run(one, other, 50)[20_000:]) > 4000


def test_a_leg_sends_a_packet_every_tick_whatever_there_is_to_say() -> None:
    one, other = End(terms()), End(terms())
    run(one, other, 100)
    packets = [parse_rtp(datagram) for datagram in one.sent]
    stamps = [packet.timestamp for packet in packets if packet is not None]
    assert len(packets) == 100
    assert {(later - earlier) & 0xFFFFFFFF for earlier, later in itertools.pairwise(stamps)} == {160}


def test_each_end_learns_round_trip_and_loss_from_reports() -> None:
    one, other = End(terms()), End(terms())
    run(one, other, 400)
    assert one.leg.quality.round_trip_ms is not None
    assert one.leg.quality.loss == 0.0
    assert one.leg.quality.mos > 4.0


def test_keys_are_heard_once_each() -> None:
    one, other = End(terms()), End(terms())
    run(one, other, 10)
    assert one.leg.outbound.press("12#")
    run(one, other, 60, start=10)
    assert other.keys == ["1", "2", "#"]


@pytest.mark.parametrize("means", ["press", "press_tones"])
def test_while_keys_are_sent_playout_stands_still_and_nothing_of_it_is_lost(means: str) -> None:
    one, other = End(terms()), End(terms())
    run(one, other, 10)
    one.audio.playout.play("item", tone(400))
    getattr(one.leg.outbound, means)("5")
    run(one, other, 9, start=10)
    assert one.audio.playout.level_ms == 400
    run(one, other, 10, start=19)
    assert one.audio.playout.level_ms < 400


def test_keys_in_the_audio_are_heard_as_tones() -> None:
    one, other = End(terms()), End(terms())
    run(one, other, 10)
    one.leg.outbound.press_tones("7*")
    assert ToneDetector(CORE_RATE_HZ).receive(run(one, other, 30, start=10)) == ["7", "*"]
    assert other.keys == []


def test_a_peer_that_takes_no_events_is_sent_no_keys() -> None:
    assert not End(replace(terms(), sends_events=None)).leg.outbound.press("1")


def test_a_protected_leg_takes_nothing_else() -> None:
    one, other = End(terms(srtp=SrtpLeg(SUITE, ONE, OTHER))), End(terms(srtp=SrtpLeg(SUITE, OTHER, ONE)))
    run(one, other, 20)
    heard = other.leg.heard
    other.leg.receive(serialise_rtp(RtpPacket(0, 1, 160, 7, bytes(160))), 0.5)
    assert heard > 15
    assert other.leg.heard == heard


def test_on_hold_nothing_is_sent_and_nobody_is_heard() -> None:
    one, other = End(terms()), End(terms())
    run(one, other, 20)
    one.leg.change(replace(terms(), pauses=True))
    before = len(one.sent)
    other.audio.playout.play("music", tone(2000))
    run(other, one, 100, start=20)
    assert len(one.sent) == before
    assert len(one.audio._frames) <= 50
    assert not any(any(frame.pcm) for frame in one.audio._frames)


def test_playout_stands_still_on_hold_and_goes_on_after_it() -> None:
    one, other = End(terms()), End(terms())
    run(one, other, 20)
    one.audio.playout.play("item", tone(400))
    run(one, other, 10, start=20)
    one.leg.change(replace(terms(), pauses=True))
    run(one, other, 50, start=30)
    assert one.audio.playout.level_ms == 200
    one.leg.change(terms())
    heard = run(one, other, 20, start=80)
    assert one.audio.playout.level_ms == 0
    assert loudness(heard[: len(heard) // 2]) > 3000


def test_timestamps_run_on_during_hold() -> None:
    one, other = End(terms()), End(terms())
    run(one, other, 10)
    one.leg.change(replace(terms(), pauses=True))
    run(one, other, 50, start=10)
    one.leg.change(terms())
    run(one, other, 2, start=60)
    last, first = parse_rtp(one.sent[9]), parse_rtp(one.sent[10])
    assert last is not None
    assert first is not None
    assert (first.timestamp - last.timestamp) & 0xFFFFFFFF == 51 * 160
    assert (first.sequence - last.sequence) & 0xFFFF == 1
    assert first.marker


def test_another_codec_is_another_stream() -> None:
    one, other = End(terms()), End(terms())
    run(one, other, 20)
    for end in (one, other):
        end.leg.change(terms(G722, 9))
    one.audio.playout.play("item", tone(1000))
    heard = run(one, other, 50, start=20)
    assert loudness(heard[20_000:]) > 4000
    assert {packet.payload_type for datagram in one.sent[20:] if (packet := parse_rtp(datagram))} == {9}


def test_the_same_codec_is_the_same_stream() -> None:
    one, other = End(terms()), End(terms())
    run(one, other, 20)
    ssrc = one.leg.outbound.ssrc
    one.leg.change(terms())
    assert one.leg.outbound.ssrc == ssrc


def test_a_new_key_of_the_peer_leaves_our_stream_alone() -> None:
    old = SrtpLeg(SUITE, ONE, OTHER)
    one = End(terms(srtp=old))
    ssrc = one.leg.outbound.ssrc
    one.leg.change(terms(srtp=old.receiving(ONE)))
    assert one.leg.outbound.ssrc == ssrc
    one.leg.change(terms(srtp=SrtpLeg(SUITE, OTHER, ONE)))
    assert one.leg.outbound.ssrc != ssrc


def test_silence_suppression_is_known_until_the_next_audio() -> None:
    one = End(terms())
    one.leg.receive(serialise_rtp(RtpPacket(0, 1, 160, 7, bytes(160))), 0.0)
    one.leg.receive(serialise_rtp(RtpPacket(COMFORT_NOISE_TYPE, 2, 320, 7, b"\x40")), 0.02)
    assert one.leg.suppresses_silence
    one.leg.receive(serialise_rtp(RtpPacket(0, 3, 480, 7, bytes(160))), 0.04)
    assert not one.leg.suppresses_silence


def test_unknown_payload_types_are_not_of_the_call() -> None:
    one = End(terms())
    assert not one.leg.knows(RtpPacket(18, 1, 160, 7, bytes(20)))
    assert one.leg.knows(RtpPacket(0, 1, 160, 7, bytes(160)))


def test_keys_of_ours_go_out_in_place_of_audio() -> None:
    sender = DtmfSender(101, 8_000)
    one, other = End(terms()), End(terms())
    one.leg.outbound.dtmf = sender
    sender.send("5")
    run(one, other, 10)
    kinds = [packet.payload_type for datagram in one.sent if (packet := parse_rtp(datagram))]
    assert kinds.count(101) >= 5
